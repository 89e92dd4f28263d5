"""A site as one writes it for django-cacheops 7.2, and the test that it runs with our distributions instead.

Nothing in this folder but `test_compat` knows whose `cacheops` is installed. Its settings, its code and its
tests use what the documentation of 7.2 names, and nothing else.
"""
