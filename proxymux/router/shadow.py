"""The shadow router: a second router that is asked about the same bytes as the first, without effect on clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.core.decision import NEED_DATA, Decision, Forward, in_words
from proxymux.core.identity import Client, Notes, show
from proxymux.errors import DecisionFailed
from proxymux.interfaces import IDecider

#: A method of a decider that decides, with all arguments but the client bound.
_Decide: TypeAlias = Callable[[Client], Decision | Deferred[Decision]]


@implementer(IDecider)
class ShadowDecider:
    """Decides as ``first`` does, and logs where ``second`` decides otherwise.

    For every decision of the first that is not :data:`NEED_DATA`, the second is asked once, about the same bytes.

    :param clock: measures ``limit``.
    :param limit: the seconds after which an async decision of the second is cancelled.
    :param log: for the differences.
    """

    def __init__(self, first: IDecider, second: IDecider, clock: IReactorTime, limit: float, log: Logger) -> None:
        self._first = first
        self._second = second
        self._clock = clock
        self._limit = limit
        self._log = log
        self.name = first.name
        self.place = first.place
        self.greets = first.greets
        self.hears_failures = first.hears_failures
        self.undecided_reply = first.undecided_reply
        #: The number of decisions that were the same.
        self.same = 0
        #: The number of decisions that differed.
        self.different = 0

    @property
    def decided_at(self) -> str:
        """Where the first has made its last decision."""
        place: str = self._first.decided_at
        return place

    def accepted(self, client: Client) -> Decision | Deferred[Decision]:
        return self._ask_both(self._first.accepted, self._second.accepted if self._second.greets else None, client)

    def decide(self, data: bytes, client: Client) -> Decision | Deferred[Decision]:
        return self._ask_both(partial(self._first.decide, data), partial(self._second.decide, data), client)

    def connect_error(self, remote: str, client: Client) -> bytes | Deferred[bytes]:
        return self._first.connect_error(remote, client)

    def inactivity_error(self, remote: str, client: Client) -> bytes | Deferred[bytes]:
        return self._first.inactivity_error(remote, client)

    def _ask_both(self, first: _Decide, second: _Decide | None, client: Client) -> Decision | Deferred[Decision]:
        try:
            result = first(client)
        except DecisionFailed as error:
            self._ask_second(second, client, error)
            raise
        if isinstance(result, Deferred):
            return result.addBoth(self._first_decided, second, client)
        self._ask_second(second, client, result)
        return result

    def _first_decided(self, result: Decision | Failure, second: _Decide | None, client: Client) -> Decision | Failure:
        if isinstance(result, Failure):
            if isinstance(result.value, DecisionFailed) and not result.value.is_cancelled:
                self._ask_second(second, client, result.value)
        else:
            self._ask_second(second, client, result)
        return result

    def _ask_second(self, second: _Decide | None, client: Client, result: Decision | DecisionFailed) -> None:
        """Ask the second router, and compare its decision with the first one's.

        :param second: None if the second router does not decide before the first byte, which counts as
            :data:`NEED_DATA`.
        :param result: the decision of the first router, or its error.
        """
        if result is not NEED_DATA:
            self._ask_about(second, client, result)

    def _ask_about(self, second: _Decide | None, client: Client, result: Decision | DecisionFailed) -> None:
        if second is None:
            self._compare(NEED_DATA, result, client)
            return
        try:
            shadow = second(self._as_seen(client))
        except DecisionFailed as error:
            self._compare(error, result, client)
            return
        if isinstance(shadow, Deferred):
            timer = self._clock.callLater(self._limit, shadow.cancel)
            shadow.addBoth(self._compare_later, timer, result, client)
        else:
            self._compare(shadow, result, client)

    def _compare_later(
        self, shadow: Decision | Failure, timer: IDelayedCall, result: Decision | DecisionFailed, client: Client
    ) -> None:
        if timer.active():
            timer.cancel()
        self._compare(shadow.value if isinstance(shadow, Failure) else shadow, result, client)

    def _as_seen(self, client: Client) -> Client:
        """The client with the second router's own notes instead of the first one's."""
        if client.state.shadow is None:
            client.state.shadow = Notes()
        return replace(client, state=client.state.shadow)

    def _compare(self, shadow: object, result: Decision | DecisionFailed, client: Client) -> None:
        if agree(shadow, result):
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


def agree(one: object, other: object) -> bool:
    """True if two decisions, or the errors in their place, are the same for the client."""
    failed = isinstance(one, Exception) and isinstance(other, Exception)
    return failed or _canonical(one) == _canonical(other)


def _canonical(decision: object) -> object:
    """Return ``decision`` with its targets in their canonical form, so that equal decisions compare equal."""
    if isinstance(decision, Forward):
        return replace(decision, remote=tuple(map(str, decision.targets)))
    return decision
