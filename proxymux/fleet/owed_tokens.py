"""The one-time tokens that were used while etcd was away: it is told of them when it is back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from proxymux.core.token import Claims
from proxymux.errors import EtcdError

#: Seconds from one attempt to the next.
PAUSE: Final = 5.0
#: The most tokens that etcd is told of; of further ones it never hears.
MAX_OWED: Final = 10_000


class OwedTokens:
    """Tokens in the order of their use.

    :param write: tells etcd of one; fails with EtcdError if it does not answer.
    """

    def __init__(self, write: Callable[[Claims], Deferred[bool]], clock: IReactorTime) -> None:
        self._write = write
        self._clock = clock
        self._owed: list[Claims] = []
        self._call: IDelayedCall | None = None
        self._paying: Deferred[None] | None = None

    def __len__(self) -> int:
        return len(self._owed)

    def add(self, claims: Claims) -> None:
        """Have etcd be told of a token."""
        if len(self._owed) < MAX_OWED:
            self._owed.append(claims)
            self._later()

    def stop(self) -> None:
        """Tell nothing more."""
        self._owed.clear()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._paying is not None:
            self._paying.cancel()

    def _later(self) -> None:
        if self._call is None and self._paying is None:
            self._call = self._clock.callLater(PAUSE, self._pay)

    def _pay(self) -> None:
        self._call = None
        self._paying = Deferred.fromCoroutine(self._tell())
        self._paying.addBoth(self._paid)

    def _paid(self, _: object) -> None:
        self._paying = None
        if self._owed:
            self._later()

    async def _tell(self) -> None:
        while self._owed:
            try:
                await self._write(self._owed[0])
            except EtcdError:
                return
            del self._owed[0]
