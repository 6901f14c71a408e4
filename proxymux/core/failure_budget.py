"""The failure budget: how many handshakes an address may get wrong before it has to wait."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import Final

from proxymux.core.admission import parse_address

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
    address = parse_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((address, _IPV6_PREFIX), strict=False))
    return host if address is None else str(address)
