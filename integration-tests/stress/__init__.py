"""Readers and writers at full speed in processes of their own, and a count of the reads that were stale.

What a writer has done it tells by memory that all processes share, and that is not the cache (`ledger`). A reader
looks there before it reads and after, and knows then what the answer may be.
"""
