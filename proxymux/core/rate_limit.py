"""The limit on how often one address may connect: so many connections in so many seconds, as a token bucket.

The bucket is kept as one number for each address, the *theoretical arrival time* (GCRA, ITU-T I.371): when its next
connection would be due if all came evenly.  One that is early by no more than the burst is admitted, and moves the time
on by the interval of one connection; one that is refused moves nothing.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections import OrderedDict
from typing import Final, NamedTuple, Protocol

from proxymux.core.quantity import SECONDS, in_plain

#: The most addresses whose times are kept in one process; beyond it the one that has not connected for longest is
#: forgotten, and has its whole burst again.  They take up to 10 MB.
MOST_ADDRESSES: Final = 65536
#: The greatest N and S of a rate.
MOST: Final = 1_000_000
LONGEST: Final = 86400.0
#: Bytes of an IPv6 address that count: its /64, as a client can choose the rest.
_PREFIX: Final = 8
#: How early a connection may be all the same, lest rounding counts: in seconds for each connection of the burst, and at
#: most in intervals.
_ROUNDING: Final = 1e-9
_MOST_ROUNDING: Final = 0.1
#: The most times that have run out and are dropped when one is set.
_DROPPED: Final = 2


class Rate(NamedTuple):
    """So many in so many seconds, as many of them at once."""

    most: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.most}/{self.seconds:g}"


def parse_rate(text: str) -> Rate:
    """Read ``N/S``, or ``N``, which is ``N/1``; S may have a unit, as in ``100/1m``.

    :raises ValueError: if N is not a whole number from 1 to :data:`MOST`, or S not one of seconds from 0.001 to
        :data:`LONGEST`.
    """
    count, slash, seconds = text.partition("/")
    rate = Rate(
        int(count) if count.isascii() and count.isdecimal() else 0, float(in_plain(seconds, SECONDS)) if slash else 1.0
    )
    if not 1 <= rate.most <= MOST or not 0.001 <= rate.seconds <= LONGEST:
        raise ValueError
    return rate


class ArrivalTimes(Protocol):
    """Where the theoretical arrival times are kept, in seconds of a clock that all who use them share."""

    def get(self, key: int) -> float:
        """The time of ``key``, a number of 64 bits; one that has long passed if there is none."""

    def set(self, key: int, time: float) -> None:
        """Replace the time of ``key``."""


class LocalTimes:
    """Arrival times of one process, in memory.

    :param seconds: how far at most a time lies ahead when it is set.
    :param most: keys that are kept.
    """

    def __init__(self, seconds: float, most: int = MOST_ADDRESSES) -> None:
        self._seconds = seconds
        self._most = most
        #: The one that was set longest ago is first, and is found at once; in a dict that is cut there it would not be.
        self._times: OrderedDict[int, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._times)

    def get(self, key: int) -> float:
        return self._times.get(key, 0.0)

    def set(self, key: int, time: float) -> None:
        times = self._times
        times[key] = time
        times.move_to_end(key)
        for _ in range(_DROPPED):
            oldest = next(iter(times))
            # It is no later now than that, so what is before it says no more than no time at all.
            if times[oldest] > time - self._seconds and len(times) <= self._most:
                break
            del times[oldest]


def key_of(address: ipaddress.IPv4Address | ipaddress.IPv6Address, secret: bytes) -> int:
    """The key of an address, a number of 64 bits: for IPv6 that of its /64.

    :param secret: up to 64 bytes.  Whoever does not know them cannot find addresses whose keys are the same,
        or fall together in a table.
    """
    return key_of_bytes(address.packed if address.version == 4 else address.packed[:_PREFIX], secret)


def key_of_bytes(data: bytes, secret: bytes) -> int:
    """The key of anything else, likewise; it is not 0."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8, key=secret).digest(), "little") or 1


class RateLimit:
    """Limits the connections of each address.

    :param times: where its arrival times are kept.
    :param secret: see :func:`key_of`; the same for all who share the times.
    """

    def __init__(self, rate: Rate, times: ArrivalTimes, secret: bytes) -> None:
        self.rate = rate
        self._times = times
        self._secret = secret
        self._interval = rate.seconds / rate.most
        #: How far the time of an address may be ahead, so that one more connection is within the burst.
        rounding = min(rate.most * _ROUNDING, self._interval * _MOST_ROUNDING)
        self._ahead = rate.seconds - self._interval + rounding

    def take(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address, now: float) -> bool:
        """Count a connection of ``address``.

        :param now: the time in the clock's seconds.
        :returns: False if it is one too many, in which case it is not counted.
        """
        key = key_of(address, self._secret)
        due = max(self._times.get(key), now)
        if due - now > self._ahead:
            return False
        self._times.set(key, due + self._interval)
        return True
