"""What is read and written: one module for each kind of it, all with the same names.

``begin(environ)`` makes this process one of the world, ``caches()`` are its caches, ``fill(rows, places)`` makes
the rows and returns the place of each, ``truth(rows)`` returns the version and the place of each row as the database
has them, ``Writer(player).write()`` does one thing, ``Reader(player)`` has ``play()`` and ``audit()``.
"""
