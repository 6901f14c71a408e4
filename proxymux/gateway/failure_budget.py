"""The failure budget: how many handshakes an address may get wrong before it has to wait."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

from twisted.internet.defer import Deferred

from proxymux.core.admission import parse_ip_address
from proxymux.core.wheel import Timer
from proxymux.net.timers import Timers

#: Addresses that are remembered; beyond these the one that failed longest ago is forgotten.
MAX_ADDRESSES: Final = 65_536
#: Bits of an IPv6 address that one customer's devices share (RFC 6177).
_IPV6_PREFIX: Final = 64
_MINUTE: Final = 60.0
#: Seconds that nobody waits for: floats and timers are off by less, and who was called too early would wait again.
_ROUNDING: Final = 0.001


class FailureBudget:
    """A leaky bucket for each address: each failure is a drop, and ``limit`` drops a minute run out.

    :param limit: failures that an address has at once, and again with every minute; None is no limit.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        #: When the bucket of an address will be empty, in seconds; the address that failed last is last.
        self._empty_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._empty_at)

    def wait(self, host: str, now: float) -> float:
        """Seconds that the address has to wait until it may try."""
        if self._limit is None or not self._empty_at:
            return 0.0
        seconds = self._empty_at.get(neighbourhood(host), now) - _MINUTE - now + self._share
        return seconds if seconds > _ROUNDING else 0.0

    def fail(self, host: str, now: float) -> None:
        """The address has got it wrong."""
        if self._limit is None:
            return
        name = neighbourhood(host)
        self._empty_at[name] = max(now, self._empty_at.get(name, now)) + self._share
        self._empty_at.move_to_end(name)
        if len(self._empty_at) > MAX_ADDRESSES:
            self._empty_at.popitem(last=False)

    @property
    def _share(self) -> float:
        assert self._limit is not None
        return _MINUTE / self._limit


def neighbourhood(host: str) -> str:
    """What ``host`` counts as: itself, or the network of an IPv6 address."""
    address = parse_ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((address, _IPV6_PREFIX), strict=False))
    return host if address is None else str(address)


@dataclass(slots=True)
class _Queue:
    """Those of one address, the first that came first; there is one timer for all."""

    waiting: dict[Deferred[None], None] = field(default_factory=dict)
    timer: Timer | None = None


class Turns:
    """Lets clients wait.

    :param budget: says for how long.
    :param timers: measure and wait.
    """

    def __init__(self, budget: FailureBudget, timers: Timers) -> None:
        self._budget = budget
        self._timers = timers
        self._queues: dict[str, _Queue] = {}

    def __len__(self) -> int:
        return sum(len(queue.waiting) for queue in self._queues.values())

    def must_wait(self, host: str) -> bool:
        """True if it is not the turn of a client that comes now."""
        if self._queues and neighbourhood(host) in self._queues:
            return True
        return self._budget.wait(host, self._timers.seconds()) > 0

    def wait(self, host: str) -> Deferred[None]:
        """Fires when it is the client's turn; cancelled, it gives its place to the next."""
        name = neighbourhood(host)
        queue = self._queues.setdefault(name, _Queue())

        def leave(place: Deferred[Any]) -> None:
            del queue.waiting[place]
            if not queue.waiting and queue.timer is not None:
                queue.timer.cancel()
                del self._queues[name]

        place: Deferred[None] = Deferred(leave)
        queue.waiting[place] = None
        if len(queue.waiting) == 1:
            self._wait(name, queue)
        return place

    def _wait(self, name: str, queue: _Queue) -> None:
        queue.timer = self._timers.after(self._budget.wait(name, self._timers.seconds()), self._call, name, queue)

    def _call(self, name: str, queue: _Queue) -> None:
        queue.timer = None
        while queue.waiting:
            if self._budget.wait(name, self._timers.seconds()) > 0:
                self._wait(name, queue)
                return
            place = next(iter(queue.waiting))
            del queue.waiting[place]
            place.callback(None)
        del self._queues[name]
