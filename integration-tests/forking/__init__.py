"""Programs that fork, thread and patch after they have used the cache, each to be run in a process of its own."""
