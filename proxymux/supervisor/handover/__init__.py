"""The handover of sessions from a worker to its successor, over a socket of which only these two have an end.

The successor says ``HELLO`` first.  Then the old worker freezes some sessions and sends them: ``DATA``, as much as it
takes, and ``BATCH`` with their descriptors.  The successor looks at everything and answers ``ACK``, or ``NACK`` with
the reason.  ``COMMIT`` gives it the sessions: when the system has taken that packet they are the successor's.  Before
that, an ``ABORT``, an error or the end of the successor leaves them where they were, while the end of the old worker
gives them to the successor that has acknowledged them.  ``END`` is the last word.
"""
