"""Every interleaving of the protocol's steps, over a simulated server that runs the real scripts."""
