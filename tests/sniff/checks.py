"""What the tests of every sniffer ask."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from proxymux import NEED_DATA

Sniffer = Callable[[bytes], Any]

#: What may follow: it must not matter.
TRAILING = [b"\0", b"\n", b"\r\n\r\n", b"A", b"\xff" * 40, b"\x16\x03\x01\0\x01\1", b"HTTP/1.1\r\n"]


def is_read(sniffer: Sniffer, data: bytes, value: object) -> None:
    """``data`` is what it takes: one byte less is not enough, however little has come, and more changes nothing."""
    for length in range(len(data)):
        assert sniffer(data[:length]) is NEED_DATA, (length, data[:length])
    for trailing in (b"", *TRAILING):
        found = sniffer(data + trailing)
        assert found == value, trailing
        assert type(found) is type(value)


def is_refused(sniffer: Sniffer, data: bytes) -> None:
    """The last byte of ``data`` is the one that shows that it is not the protocol."""
    for length in range(len(data)):
        assert sniffer(data[:length]) is NEED_DATA, (length, data[:length])
    for trailing in (b"", *TRAILING):
        assert sniffer(data + trailing) is None, trailing


def answers(sniffer: Sniffer, data: bytes) -> list[Any]:
    """What is said as ``data`` comes byte by byte."""
    return [sniffer(data[:length]) for length in range(len(data) + 1)]


def is_monotone(sniffer: Sniffer, data: bytes) -> None:
    """First NEED_DATA, any number of times; then always the same."""
    found = answers(sniffer, data)
    known = [answer for answer in found if answer is not NEED_DATA]
    assert found == [NEED_DATA] * (len(found) - len(known)) + known[:1] * len(known)


def milliseconds(sniffer: Sniffer, data: bytes) -> float:
    """How long one answer takes, on a machine whose Python counts to 50,000 in a millisecond.

    What is compared is the processor's time for the one and the other, in turns, and the best of each: other processes
    only make it longer, and a slow machine is slow in both.
    """
    answering, counting = [], []
    for _ in range(20):
        start = time.thread_time()
        sniffer(data)
        answering.append(time.thread_time() - start)
        start = time.thread_time()
        count = 0
        while count < 50_000:
            count += 1
        counting.append(time.thread_time() - start)
    return min(answering) / min(counting)
