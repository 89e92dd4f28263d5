"""Readers and writers at full speed in processes of their own, faults in between, and a count of the stale reads.

What a writer has done it tells by memory that all processes share, and that is not the cache (`ledger`). A reader
looks there before it reads and after, and knows then what the answer may be (`judge`). A *scenario* is what the
readers and writers do, on which servers, and what goes wrong meanwhile (`scenario`, one module each in
`scenarios`). In the end the writers stop, and the readers ask for everything once more: now each answer has to be
what the database says.
"""
