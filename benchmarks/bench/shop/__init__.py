"""A shop, the site that all contenders run."""
