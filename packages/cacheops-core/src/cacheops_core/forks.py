"""Locks of modules in processes that fork.

A thread that holds a lock while another one forks is not there in the child, and gives nothing back: whoever asks for
the lock there would wait for ever.
"""

import os
from threading import Lock

__all__ = ["module_lock"]


def module_lock() -> Lock:
    """Return a lock for as long as the process lives, which a forked child finds free."""
    lock = Lock()
    # As the standard library does for its own.
    renew = getattr(lock, "_at_fork_reinit", None)
    if renew is not None and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)
    return lock
