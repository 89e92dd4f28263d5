"""A small shop, whose products move between categories while they are read."""
