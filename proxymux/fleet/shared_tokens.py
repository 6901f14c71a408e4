"""One-time tokens of a fleet: each is used once in all of its gateways, of which etcd keeps the account."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from typing import Final, NoReturn, Protocol, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from proxymux.core.token import Claims
from proxymux.core.token.verifier import ReplayCache
from proxymux.errors import BadToken, EtcdError
from proxymux.fleet.keys import once_key
from proxymux.fleet.outage import Outage
from proxymux.fleet.owed_tokens import OwedTokens
from proxymux.fleet.store import LEASE_NOT_FOUND, Store
from proxymux.fleet.token_leases import TokenLeases

_T = TypeVar("_T")

#: Seconds that etcd may take to say whether a token was used before.
LIMIT: Final = 3.0
#: The most tokens that etcd is asked about at a time; one over is decided as if it did not answer.
MAX_ASKED: Final = 1000
_USED: Final = "one-time token was used before"
_AWAY: Final = "etcd does not say whether the one-time token was used before (--once-without-etcd)"
_MEANWHILE: Final = {
    True: "one-time tokens are used once in this gateway, and not in the fleet, until it answers again",
    False: "one-time tokens are refused until it answers again",
}


class LocalTokens(Protocol):
    """The one-time tokens that were used at this gateway, whichever worker has decided."""

    def spend(self, claims: Claims, now: float) -> Deferred[None] | None:
        """As in :class:`~proxymux.gateway.token_decider.SpentTokens`."""


class SharedTokens:
    """The :class:`~proxymux.gateway.token_decider.SpentTokens` of a gateway in a fleet.

    A token is good if nobody has written its key before.  Those that were used here are remembered here, too: should
    etcd lose its keys, none of them is used here again.

    :param store: the keys of the fleet.
    :param local: remembers the tokens that were used here.
    :param is_local_enough: while etcd does not answer, ``local`` decides alone; otherwise every token is refused.
    :param clock: measures how long etcd takes.
    :param wall: returns the seconds since the epoch.
    """

    def __init__(
        self,
        store: Store,
        local: LocalTokens,
        is_local_enough: bool,
        clock: IReactorTime,
        wall: Callable[[], float],
        log: Logger,
    ) -> None:
        self._store = store
        self._local = local
        self._is_local_enough = is_local_enough
        self._clock = clock
        self._leases = TokenLeases(store.grant)
        self._outage = Outage(f"the fleet at {store.name}", _MEANWHILE[is_local_enough], log)
        self._asked = 0
        #: Those of which etcd has said that they were used, for when it says nothing.
        self._used = ReplayCache()
        self._owed = OwedTokens(lambda claims: Deferred.fromCoroutine(self._create(claims, wall(), Deferred())), clock)

    def spend(self, claims: Claims, now: float) -> Deferred[None]:
        return Deferred.fromCoroutine(self._spend(claims, now))

    def start(self, _service: object) -> None:
        """Do nothing: etcd is asked when there is a token."""

    def stop(self, _service: object) -> Deferred[object]:
        """Leave no connection."""
        self._owed.stop()
        self._store.close()
        return succeed(None)

    async def _spend(self, claims: Claims, now: float) -> None:
        is_first = await self._ask(claims, now)
        if is_first is False:
            # Not told to ``local``: another of this gateway may be the first, and have its answer still to come.
            with contextlib.suppress(BadToken):
                self._used.spend(claims, now)
            raise BadToken(_USED, "in the fleet")
        if is_first is None:
            if not self._is_local_enough:
                raise BadToken(_AWAY)
            self._used.spend(claims, now)
        await maybeDeferred(self._local.spend, claims, now)
        if is_first is None:
            self._owed.add(claims)

    async def _ask(self, claims: Claims, now: float) -> bool | None:
        """Whether the token was never used before; None if etcd does not say in time."""
        if self._asked >= MAX_ASKED:
            return None
        self._asked += 1
        answer: Deferred[bool] = Deferred()
        # It goes on when the answer would come too late: the client of etcd learns which member does not answer.
        asking = Deferred.fromCoroutine(self._create(claims, now, answer)).addBoth(self._ended)
        asking.addCallbacks(answer.callback, answer.errback)
        try:
            is_first = await answer.addTimeout(LIMIT, self._clock, _too_late)
        except EtcdError as error:
            self._outage.noticed(str(error))
            return None
        self._outage.ended()
        return is_first

    def _ended(self, result: _T) -> _T:
        self._asked -= 1
        return result

    async def _create(self, claims: Claims, now: float, answer: Deferred[bool]) -> bool:
        """Write the key of a token; False if it is there.

        A second try follows a failure: a connection, or a lease, may have been lost since it was last used.

        :param answer: has fired if nobody waits any more; then nothing more is written.
        """
        assert claims.once is not None
        assert claims.expires is not None
        key, value = once_key(claims.key, claims.once), secrets.token_hex(8)
        was_sent = False
        for is_last in (False, True):
            lease = await self._leases.of(claims.expires, now)
            if answer.called:
                break
            try:
                is_new = await self._store.create(key, value, lease)
            except EtcdError as error:
                if is_last or error.code not in (None, LEASE_NOT_FOUND):
                    raise
                was_sent = error.is_unsure
                self._leases.lost(claims.expires, lease)
                continue
            if not is_new and was_sent:  # perhaps the first try has written the key after all
                is_new = await self._store.get(key) == value.encode()
            return is_new
        raise EtcdError("too late")


def _too_late(_: object, seconds: float) -> NoReturn:
    raise EtcdError(f"no answer within {seconds:g} s", is_unsure=True)
