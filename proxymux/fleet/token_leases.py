"""The leases under which used one-time tokens are kept: one for all tokens that expire within the same minute."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from proxymux.core.token.verifier import SKEW

#: Seconds of expiry that one lease is for.
SPAN: Final = 60
#: Seconds that a lease lasts longer than the tokens under it are good for: two gateways may each be :data:`SKEW` off.
MARGIN: Final = 2 * SKEW
#: The longest lease in seconds; etcd takes none of more than 9,000,000,000.
MAX_TTL: Final = 9_000_000_000
#: The most leases that are known at a time.  One that is forgotten lasts on, and the next token has another granted.
MAX_LEASES: Final = 1000


class TokenLeases:
    """Has leases granted as tokens need them.

    :param grant: has one of so many seconds granted; fires with its number.
    """

    def __init__(self, grant: Callable[[int], Deferred[int]]) -> None:
        self._grant = grant
        #: By the minute of expiry, the one that was used last at the end: the number, or who waits for it.
        self._leases: OrderedDict[int, int | list[Deferred[int]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._leases)

    def of(self, expires: float, now: float) -> Deferred[int]:
        """The lease of a token, which lasts until no gateway takes the token any more.

        :param expires: of the token, in seconds since the epoch.
        :param now: likewise.
        :returns: fires with the number of the lease; fails as the grant does.
        """
        minute = math.floor(expires / SPAN)
        lease = self._leases.get(minute)
        if isinstance(lease, int):
            self._leases.move_to_end(minute)
            return succeed(lease)
        waiting: Deferred[int] = Deferred()
        if lease is not None:
            lease.append(waiting)
            return waiting
        self._make_room(now)
        self._leases[minute] = waiters = [waiting]
        ttl = math.ceil((minute + 1) * SPAN + SKEW + MARGIN - now)
        granted = self._grant(min(max(ttl, MARGIN), MAX_TTL))
        granted.addCallbacks(
            lambda lease: self._granted(lease, minute, waiters),
            lambda failure: self._not_granted(failure, minute, waiters),
        )
        return waiting

    def lost(self, expires: float, lease: int) -> None:
        """Forget a lease that etcd does not know any more."""
        minute = math.floor(expires / SPAN)
        if self._leases.get(minute) == lease:
            del self._leases[minute]

    def _make_room(self, now: float) -> None:
        """Forget the leases that no token needs any more, and then the one that was used longest ago."""
        for minute in [each for each in self._leases if (each + 1) * SPAN + SKEW < now]:
            del self._leases[minute]
        while len(self._leases) >= MAX_LEASES:
            self._leases.popitem(last=False)

    def _granted(self, lease: int, minute: int, waiters: list[Deferred[int]]) -> None:
        if self._leases.get(minute) is waiters:
            self._leases[minute] = lease
        for each in waiters:
            each.callback(lease)

    def _not_granted(self, failure: Failure, minute: int, waiters: list[Deferred[int]]) -> None:
        if self._leases.get(minute) is waiters:
            del self._leases[minute]
        for each in waiters:
            each.errback(failure)
