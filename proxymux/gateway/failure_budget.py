"""The failure budget: after how many bad handshakes an address has to wait, and the queues of those that wait."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from twisted.internet.defer import Deferred

from proxymux.core.admission import parse_ip_address
from proxymux.core.wheel import Timer
from proxymux.net.timers import Timers

#: The most addresses that are remembered; of more, the one that failed longest ago is forgotten.
MAX_ADDRESSES: Final = 65_536
#: Length of the IPv6 prefix that counts as one address, as one household has at least such a network (RFC 6177).
_IPV6_PREFIX: Final = 64
_MINUTE: Final = 60.0
#: Seconds of waiting that count as none: rounding errors are smaller, and a client called too early would wait again.
_ROUNDING: Final = 0.001


class FailureBudget:
    """A leaky bucket for each address: a failure adds a drop, and ``limit`` drops leak a minute.

    :param limit: failures that an address may have at once, and as many a minute from then on; None is no limit.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        #: By address, the time in seconds when its bucket is empty; the address that failed last is the last one.
        self._empty_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._empty_at)

    def wait(self, host: str, now: float) -> float:
        """Seconds that an address has to wait before its next handshake is looked at.

        :param now: monotonic time in seconds.
        """
        if self._limit is None or not self._empty_at:
            return 0.0
        seconds = self._empty_at.get(counted_as(host), now) - _MINUTE - now + self._share
        return seconds if seconds > _ROUNDING else 0.0

    def fail(self, host: str, now: float) -> None:
        """Count a bad handshake of an address.

        :param now: monotonic time in seconds.
        """
        if self._limit is None:
            return
        name = counted_as(host)
        self._empty_at[name] = max(now, self._empty_at.get(name, now)) + self._share
        self._empty_at.move_to_end(name)
        if len(self._empty_at) > MAX_ADDRESSES:
            self._empty_at.popitem(last=False)

    @property
    def _share(self) -> float:
        assert self._limit is not None
        return _MINUTE / self._limit


def counted_as(host: str) -> str:
    """The address whose bucket ``host`` shares: itself, or the /64 network of an IPv6 address."""
    address = parse_ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((address, _IPV6_PREFIX), strict=False))
    return host if address is None else str(address)


@dataclass(slots=True)
class _Queue:
    """The waiting clients of one address, in the order of their arrival, with one timer for all."""

    #: An ordered set; each Deferred fires when it is its client's turn.
    places: dict[Deferred[None], None] = field(default_factory=dict)
    timer: Timer | None = None


class Turns:
    """Has clients of an address with too many failures wait for their turn.

    :param budget: says how long an address has to wait.
    :param timers: measure that time.
    """

    def __init__(self, budget: FailureBudget, timers: Timers) -> None:
        self._budget = budget
        self._timers = timers
        self._queues: dict[str, _Queue] = {}

    def __len__(self) -> int:
        return sum(len(queue.places) for queue in self._queues.values())

    def must_wait(self, host: str) -> bool:
        """True if a client of the address that comes now has to wait."""
        if self._queues and counted_as(host) in self._queues:
            return True
        return self._budget.wait(host, self._timers.seconds()) > 0

    def wait(self, host: str) -> Deferred[None]:
        """Queue a client of the address; the Deferred fires when it is its turn.  Cancelling it leaves the queue."""
        name = counted_as(host)
        queue = self._queues.setdefault(name, _Queue())

        def leave(place: Deferred[None]) -> None:
            del queue.places[place]
            if not queue.places and queue.timer is not None:
                queue.timer.cancel()
                del self._queues[name]

        place: Deferred[None] = Deferred(leave)
        queue.places[place] = None
        if len(queue.places) == 1:
            self._start_timer(name, queue)
        return place

    def _start_timer(self, name: str, queue: _Queue) -> None:
        queue.timer = self._timers.after(self._budget.wait(name, self._timers.seconds()), self._call_next, name, queue)

    def _call_next(self, name: str, queue: _Queue) -> None:
        queue.timer = None
        while queue.places:
            if self._budget.wait(name, self._timers.seconds()) > 0:
                self._start_timer(name, queue)
                return
            place = next(iter(queue.places))
            del queue.places[place]
            place.callback(None)
        del self._queues[name]
