"""A page for staff, in the look of Django's admin: what the cache does, and buttons to drop what it holds."""
