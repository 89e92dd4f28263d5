"""The tour in the terminal, one module a stop: `speed`, `precision`, `rollback`, `race`.

Each has a function `show(console)` that prints what it sees and returns whether that is what it should be.
"""
