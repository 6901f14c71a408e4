"""The shadow: a second router that sees what the first one decides on, and changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.core.decision import NEED_DATA, Forward, in_words
from proxymux.core.identity import Client, Notes, show
from proxymux.errors import DecisionFailed
from proxymux.interfaces import IDecider


@implementer(IDecider)
class ShadowDecider:
    """Decides as ``first`` does, and says where ``second`` would have decided otherwise.

    The second router is asked once for every decision of the first that is not :data:`NEED_DATA`, on the same bytes.

    :param clock: for the limit of an async second decision.
    :param limit: that limit, in seconds.
    """

    def __init__(self, first: Any, second: Any, clock: IReactorTime, limit: float, log: Logger) -> None:
        self._first = first
        self._second = second
        self._clock = clock
        self._limit = limit
        self._log = log
        self.name = first.name
        self.place = first.place
        self.greets = first.greets
        self.undecided_reply = first.undecided_reply
        #: How often both decided alike, and how often not.
        self.same = 0
        self.different = 0

    def accepted(self, client: Client) -> Any:
        return self._beside(self._first.accepted, self._second.accepted if self._second.greets else None, client)

    def decide(self, data: bytes, client: Client) -> Any:
        return self._beside(self._first.decide, self._second.decide, data, client)

    def connect_error(self, remote: str, client: Client) -> Any:
        return self._first.connect_error(remote, client)

    def inactivity_error(self, remote: str, client: Client) -> Any:
        return self._first.inactivity_error(remote, client)

    def _beside(self, first: Any, second: Any, *arguments: Any) -> Any:
        try:
            result = first(*arguments)
        except DecisionFailed as error:
            self._ask(second, arguments, error)
            raise
        if isinstance(result, Deferred):
            return result.addBoth(self._then_ask, second, arguments)
        self._ask(second, arguments, result)
        return result

    def _then_ask(self, result: Any, second: Any, arguments: Any) -> Any:
        if isinstance(result, Failure):
            if isinstance(result.value, DecisionFailed) and not result.value.is_cancelled:
                self._ask(second, arguments, result.value)
        else:
            self._ask(second, arguments, result)
        return result

    def _ask(self, second: Any, arguments: tuple[Any, ...], result: Any) -> None:
        if result is NEED_DATA:
            return
        client: Client = arguments[-1]
        if second is None:
            self._compare(NEED_DATA, result, client)
            return
        try:
            shadow = second(*arguments[:-1], _seen_by_shadow(client))
        except DecisionFailed as error:
            shadow = error
        if isinstance(shadow, Deferred):
            timer = self._clock.callLater(self._limit, shadow.cancel)
            shadow.addBoth(self._compare_later, timer, result, client)
        else:
            self._compare(shadow, result, client)

    def _compare_later(self, shadow: Any, timer: Any, result: Any, client: Client) -> None:
        if timer.active():
            timer.cancel()
        self._compare(shadow.value if isinstance(shadow, Failure) else shadow, result, client)

    def _compare(self, shadow: Any, result: Any, client: Client) -> None:
        failed = isinstance(shadow, Exception) and isinstance(result, Exception)
        if failed or _in_effect(shadow) == _in_effect(result):
            self.same += 1
            return
        self.different += 1
        self._log.warn(
            "shadow: {client}: {first} {result}, {second} {shadow} ({different} of {all} decisions differ)",
            client=show(client.address),
            first=self._first.name,
            result=in_words(result),
            second=self._second.name,
            shadow=in_words(shadow),
            different=self.different,
            all=self.different + self.same,
        )


def _seen_by_shadow(client: Client) -> Client:
    """``client`` with the second router's state."""
    if client.state.shadow is None:
        client.state.shadow = Notes()
    return replace(client, state=client.state.shadow)


def _in_effect(decision: Any) -> Any:
    """``decision`` with its targets written in the one way."""
    if isinstance(decision, Forward):
        return replace(decision, remote=tuple(map(str, decision.targets)))
    return decision
