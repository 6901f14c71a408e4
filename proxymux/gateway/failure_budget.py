"""The failure budget of each address for bad handshakes, and the queues of clients whose address has spent it."""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass, field
from typing import Final

from twisted.internet.defer import Deferred

from proxymux.core.admission import parse_ip_address
from proxymux.core.rate_limit import ArrivalTimes, LocalTimes, key_of_bytes
from proxymux.core.wheel import Timer
from proxymux.net.timers import Timers

#: The length in bits of the IPv6 prefix that counts as one address: one site has at least a /64 (RFC 6177).
_IPV6_PREFIX: Final = 64
_MINUTE: Final = 60.0
#: A wait of at most so many seconds counts as none.  Rounding errors are smaller: a timer that fires early by one must
#: not be set again.
_ROUNDING: Final = 0.001


class FailureBudget:
    """A leaky bucket for each address: a failure adds a drop, and ``limit`` drops leak each minute.

    :param limit: the failures that an address may have at once, and from then on each minute; None sets no limit.
    :param times: where the times are kept at which each bucket will be empty; None keeps them in this process, those of
        the addresses that failed last.
    :param secret: makes the keys of the times, see :func:`~proxymux.core.rate_limit.key_of_bytes`.
    """

    def __init__(self, limit: int | None, times: ArrivalTimes | None = None, secret: bytes = b"") -> None:
        self._limit = limit
        self._empty_at = LocalTimes(math.inf) if times is None else times
        self._secret = secret

    def wait(self, host: str, now: float) -> float:
        """Return the seconds that an address has to wait before its next handshake is read.

        :param host: the IP address.
        :param now: the monotonic time in seconds.
        """
        if self._limit is None:
            return 0.0
        seconds = self._empty_at.get(self._key(host)) - _MINUTE - now + self._seconds_per_drop
        return seconds if seconds > _ROUNDING else 0.0

    def fail(self, host: str, now: float) -> None:
        """Count a bad handshake of an address.

        :param host: the IP address.
        :param now: the monotonic time in seconds.
        """
        if self._limit is not None:
            key = self._key(host)
            self._empty_at.set(key, max(now, self._empty_at.get(key)) + self._seconds_per_drop)

    def _key(self, host: str) -> int:
        return key_of_bytes(counted_as(host).encode(), self._secret)

    @property
    def _seconds_per_drop(self) -> float:
        """Seconds in which one drop leaks."""
        assert self._limit is not None
        return _MINUTE / self._limit


def counted_as(host: str) -> str:
    """The key of the bucket and the queue of ``host``: the address itself, or the /64 network of an IPv6 address."""
    address = parse_ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((address, _IPV6_PREFIX), strict=False))
    return host if address is None else str(address)


@dataclass(slots=True)
class _Queue:
    """The waiting clients of one address in the order of their arrival, with one timer for all."""

    #: An ordered set of Deferreds, one for each client, which fires when it is the client's turn.
    turns: dict[Deferred[None], None] = field(default_factory=dict)
    timer: Timer | None = None


class Turns:
    """Lets the clients of an address that has spent its budget wait, and calls them one by one.

    :param budget: says how long an address has to wait.
    :param timers: measure that time.
    """

    def __init__(self, budget: FailureBudget, timers: Timers) -> None:
        self._budget = budget
        self._timers = timers
        self._queues: dict[str, _Queue] = {}

    def __len__(self) -> int:
        return sum(len(queue.turns) for queue in self._queues.values())

    def must_wait(self, host: str) -> bool:
        """True if a client from ``host`` whose handshake is complete now has to wait for its turn."""
        if self._queues and counted_as(host) in self._queues:
            return True
        return self._budget.wait(host, self._timers.seconds()) > 0

    def wait(self, host: str) -> Deferred[None]:
        """Put a client from ``host`` into the queue of its address.

        :returns: fires when it is the client's turn; cancelling it takes the client out of the queue.
        """
        key = counted_as(host)
        queue = self._queues.setdefault(key, _Queue())

        def leave(turn: Deferred[None]) -> None:
            del queue.turns[turn]
            if not queue.turns and queue.timer is not None:
                queue.timer.cancel()
                del self._queues[key]

        turn: Deferred[None] = Deferred(leave)
        queue.turns[turn] = None
        if len(queue.turns) == 1:
            self._start_timer(key, queue)
        return turn

    def _start_timer(self, key: str, queue: _Queue) -> None:
        queue.timer = self._timers.after(self._budget.wait(key, self._timers.seconds()), self._call_next, key, queue)

    def _call_next(self, key: str, queue: _Queue) -> None:
        """Call the clients of a queue in their order, until the address has to wait again: each may have failed."""
        queue.timer = None
        while queue.turns:
            if self._budget.wait(key, self._timers.seconds()) > 0:
                self._start_timer(key, queue)
                return
            turn = next(iter(queue.turns))
            del queue.turns[turn]
            turn.callback(None)
        del self._queues[key]
