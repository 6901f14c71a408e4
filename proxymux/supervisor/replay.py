"""One-time tokens of a gateway with workers: which were used is remembered in the supervisor alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from proxymux.core.token import Claims
from proxymux.core.token.verifier import ReplayCache
from proxymux.errors import BadToken
from proxymux.supervisor.channel import Message

#: Seconds that the supervisor may take to say whether a token was used before.
_PATIENCE: Final = 5.0
_UNKNOWN: Final = "it is not known whether the one-time token was used before"


class RemoteReplayCache:
    """A worker's way to ask: see :class:`~proxymux.gateway.token_decider.SpentTokens`."""

    def __init__(self) -> None:
        #: Sends a message to the supervisor; None until there is a channel.
        self.send: Callable[[Message], None] | None = None
        #: Measures how long the supervisor takes.
        self.clock: IReactorTime | None = None
        self._asked: dict[int, tuple[Deferred[None], IDelayedCall]] = {}
        self._number = 0

    def spend(self, claims: Claims, now: float) -> Deferred[None]:
        if self.send is None or self.clock is None:
            return fail(BadToken(_UNKNOWN))
        self._number += 1
        number = self._number
        answer: Deferred[None] = Deferred()  # without a canceller, it does not mind an answer after its client left
        late = self.clock.callLater(_PATIENCE, self.answered, number, _UNKNOWN)
        self._asked[number] = answer, late
        self.send({"is": "spend", "number": number, "key": claims.key, "once": claims.once, "expires": claims.expires})
        return answer

    def answered(self, number: int, problem: str | None) -> None:
        """Take the supervisor's answer.

        :param problem: why the token is no good; None if it is.
        """
        asked = self._asked.pop(number, None)
        if asked is None:
            return
        answer, late = asked
        if late.active():
            late.cancel()
        if problem is None:
            answer.callback(None)
        else:
            answer.errback(BadToken(problem))


def answer_to(question: Message, cache: ReplayCache, now: float) -> Message:
    """The supervisor's answer to what a worker has asked.

    :param now: seconds since the epoch.
    """
    problem = None
    try:
        cache.spend_id(question["key"], question["once"], question["expires"], now)
    except BadToken as error:
        problem = error.reason
    return {"do": "spent", "number": question["number"], "problem": problem}
