"""Units: what goes to one upstream at once, and comes back as one."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import Deferred

from proxymux.core.leasing import Slot, Work
from proxymux.core.outcome import Outcome
from proxymux.errors import ProxymuxError


class RequestFailed(ProxymuxError):
    """A request has no whole reply.

    :param outcome: what became of it.
    """

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(f"{outcome}: {reason}")
        self.outcome = outcome


class Sender(Protocol):
    """Has sent a unit and is told what comes of it."""

    def given(self, unit: Unit, upstream: Any) -> None:
        """The unit has an upstream, which it asked to have alone."""

    def reply(self, unit: Unit, data: bytes) -> None:
        """A part of its replies has come."""

    def done(self, unit: Unit) -> None:
        """All its replies have come."""

    def failed(self, unit: Unit, outcome: Outcome, reason: str) -> None:
        """They will not come, or not wholly."""


class Unit(Work):
    """One or more requests of one client, as they came.

    :param sender: whose they are; None once it does not care.
    :param data: the requests.
    :param expected: for each run of requests, what the reply scanner has to know, and how many they are.
    """

    __slots__ = ("data", "expected", "is_begun", "is_last", "parts", "replies", "response", "sender", "sent_at", "slot")

    def __init__(
        self,
        sender: Sender | None,
        data: bytes,
        expected: list[tuple[Any, int]],
        replies: int,
        *,
        alone: bool = False,
        is_last: bool = False,
    ) -> None:
        super().__init__(alone)
        self.sender = sender
        self.data = data
        self.expected = expected
        #: How many are still to come.
        self.replies = replies
        #: Nothing of this client is looked at after it.
        self.is_last = is_last
        #: A part of its replies was passed on.
        self.is_begun = False
        self.slot: Slot | None = None
        self.sent_at = 0.0
        self.response: Deferred[bytes] | None = None
        self.parts: list[bytes] = []
