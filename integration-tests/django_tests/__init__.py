"""Django's own test suite, run with all of Django's models cached, and compared with a run without a cache."""
