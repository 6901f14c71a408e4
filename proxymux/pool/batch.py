"""Batches: what goes to one upstream at once, and comes back as one."""

from __future__ import annotations

from typing import Any, Protocol

from proxymux.core.outcome import Outcome
from proxymux.core.slots import Slot, Work
from proxymux.pool.response import Response


class Sender(Protocol):
    """Has sent batches and is told what comes of them."""

    def given(self, batch: Batch, upstream: Any) -> None:
        """The batch has an upstream, which it asked to have alone."""

    def reply(self, batch: Batch, data: bytes) -> None:
        """A part of its replies has come."""

    def done(self, batch: Batch) -> None:
        """All its replies have come."""

    def unsent(self, batch: Batch) -> bool:
        """Its upstream is gone, to which nothing of it was sent.

        :returns: True if another may have it now; or else it will be submitted anew.
        """

    def go_on(self) -> None:
        """Submit what may be sent now."""

    def failed(self, batch: Batch, outcome: Outcome, reason: str) -> None:
        """They will not come, or not wholly."""


class Batch(Work):
    """One or more requests of one client, as they came.

    :param sender: whose they are; None once it does not care.
    :param data: the requests.
    :param expected: for each run of requests, what the reply scanner has to know, and how many they are.
    """

    __slots__ = ("data", "expected", "is_begun", "is_last", "replies", "response", "sender", "sent_at", "slot")

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
        #: For those who listen.
        self.response: Response | None = None
