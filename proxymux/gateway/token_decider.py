"""The decider of the gateway: reads the token in a client's first line and connects the client to its targets."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Final, Protocol, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.core.decision import NEED_DATA, BadHandshake, Decision, Forward
from proxymux.core.identity import Client
from proxymux.core.target import ClusterName, InetTarget
from proxymux.core.token import MAX_TOKEN, Claims
from proxymux.core.token.verifier import TokenVerifier
from proxymux.errors import BadToken
from proxymux.gateway.failure_budget import FailureBudget, Turns
from proxymux.gateway.handshake import (
    BAD_LINE,
    BAD_TOKEN,
    CONNECTED,
    NO_CONNECTION,
    TIMED_OUT,
    Line,
    TooLong,
    read_line,
)
from proxymux.interfaces import IDecider
from proxymux.net.timers import Timers

_TOO_LONG: Final = BadHandshake(BAD_LINE, f"no line's end within {MAX_TOKEN} bytes")


class SpentTokens(Protocol):
    """Remembers the one-time tokens that were used: a :class:`~proxymux.core.token.verifier.ReplayCache`, say."""

    def spend(self, claims: Claims, now: float) -> Deferred[None] | None:
        """Remember that a one-time token was used.

        :param now: seconds since the epoch.
        :returns: None; or fires with None once that is known elsewhere, or fails with BadToken.
        :raises BadToken: if it was used before, or no more can be remembered.
        """


@implementer(IDecider)
class TokenDecider:
    """Decides by the token in a client's first line.  A reload makes a new one with the same cache and budget.

    :param verifier: opens tokens and checks their claims.
    :param spent_tokens: remembers the one-time tokens that were used.
    :param budget: counts bad handshakes by address.
    :param opened: called for each good token with the id of its key; with None for an old token.
    :param attempts: the most attempts to connect; only an attempt that timed out is followed by another.
    :param timers: measure how long an address has to wait for its turn.
    :param wall: returns the seconds since the epoch, for the expiry of tokens.
    :param clusters: the names of the clusters that tokens may name.
    """

    name = "gateway"
    place = decided_at = "gateway"
    greets = False
    hears_failures = False
    undecided_reply = BAD_LINE

    def __init__(
        self,
        verifier: TokenVerifier,
        spent_tokens: SpentTokens,
        budget: FailureBudget,
        opened: Callable[[str | None], None],
        attempts: int,
        timers: Timers,
        wall: Callable[[], float],
        clusters: Collection[str] = (),
    ) -> None:
        self._verifier = verifier
        self._spent_tokens = spent_tokens
        self._budget = budget
        self._opened = opened
        self._timers = timers
        self._turns = Turns(budget, timers)
        self._wall = wall
        self._clusters = clusters
        self._retries = attempts - 1

    def accepted(self, client: Client) -> Decision:
        """Never called, as :attr:`greets` is False: the client sends its token first."""
        return NEED_DATA

    def decide(self, data: bytes, client: Client) -> Decision | Deferred[Decision]:
        try:
            line = read_line(data)
        except TooLong:
            self._budget.fail(client.address[0], self._timers.seconds())
            return _TOO_LONG
        if line is None:
            return NEED_DATA
        host = client.address[0]
        if self._turns.must_wait(host):
            return self._turns.wait(host).addCallback(lambda _: self._open(line, host))
        return self._open(line, host)

    def _open(self, line: Line, host: str) -> Decision | Deferred[Decision]:
        """Decide by a complete line; a bad token is counted against ``host``, the client's address."""
        try:
            now = self._wall()
            claims = self._verifier.open(line.token, host, now)
            self._check_clusters(claims)
            spent = self._spent_tokens.spend(claims, now) if claims.once is not None else None
        except BadToken as problem:
            return self._refuse(problem, host)
        if spent is None:
            return self._forward(claims, line)
        return spent.addCallbacks(lambda _: self._forward(claims, line), self._not_spent, errbackArgs=(host,))

    def _not_spent(self, failure: Failure, host: str) -> Decision:
        failure.trap(BadToken)  # anything else is that the client has left
        return self._refuse(cast("BadToken", failure.value), host)

    def _check_clusters(self, claims: Claims) -> None:
        for target in claims.targets:
            if isinstance(target, ClusterName) and target.name not in self._clusters:
                raise BadToken("no cluster of that name (--cluster)", target.name)

    def _refuse(self, problem: BadToken, host: str) -> Decision:
        self._budget.fail(host, self._timers.seconds())
        return BadHandshake(BAD_TOKEN, problem.reason, problem.details)

    def _forward(self, claims: Claims, line: Line) -> Decision:
        self._opened(claims.key)
        if line.rest:
            return _make_forward(self._retries, claims.targets, line.rest)
        return _shared_forward(self._retries, claims.targets)

    def connect_error(self, remote: str, client: Client) -> bytes:
        """Return no last word: the client has its status already, from the fields of the Forward."""
        return b""

    inactivity_error = connect_error


def _make_forward(retries: int, targets: tuple[InetTarget | ClusterName, ...], rest: bytes) -> Forward:
    return Forward(
        targets,
        data=rest,
        reply_on_connect=CONNECTED,
        reply_on_failure=NO_CONNECTION,
        reply_on_timeout=TIMED_OUT,
        reply_on_denial=BAD_TOKEN,
        retries=retries,
        retry_on="timeout",
    )


@functools.lru_cache(maxsize=1024)
def _shared_forward(retries: int, targets: tuple[InetTarget | ClusterName, ...]) -> Forward:
    """The decision for clients that send nothing before the status.  All with the same targets share one object."""
    return _make_forward(retries, targets, b"")
