"""Batches: one or more requests of one client that go to one upstream at once, and whose replies come back in a row."""

from __future__ import annotations

from typing import Protocol

from proxymux.core.outcome import Outcome
from proxymux.core.slots import Slot, Work


class Sender(Protocol):
    """Has submitted batches and is told what becomes of each, until it withdraws it."""

    def given(self, batch: Batch) -> None:
        """The batch wanted a slot alone, and has it: ``batch.slot``.  Nothing more is told of it."""

    def reply(self, batch: Batch, data: bytes) -> None:
        """A part of its replies has come."""

    def done(self, batch: Batch, data: bytes) -> None:
        """All its replies have come, with ``data`` as their last part, which may be empty.

        If it ``is_last`` now, the client's connection is to end with them.
        """

    def failed(self, batch: Batch, outcome: Outcome, reason: str) -> None:
        """Its replies will not come, or not wholly.

        :param reason: one line.
        """

    def unsent(self, batch: Batch) -> None:
        """The slot that it had is about to be closed, and nothing of it was sent: it is queued anew, now or later."""

    def go_on(self) -> None:
        """Slots have changed: what waits for others of its client may be submitted."""


class ReplyListener(Protocol):
    """Is told the replies to one batch, whoever gets them."""

    def add(self, data: bytes) -> None:
        """A part has come."""

    def succeed(self) -> None:
        """All has come."""

    def fail(self, outcome: Outcome, reason: str) -> None:
        """They will not come, or not wholly."""


class Batch(Work):
    """One or more requests, as they came.

    :param data: the requests.
    :param expected: for each run of requests that have replies, the hint for the reply scanner, and how many they are.
    :param replies: how many replies are to come.
    :param alone: a slot is to be the client's alone from here on, and gets the data when it is.
    :param is_last: nothing of its client is looked at after it.
    """

    __slots__ = ("data", "expected", "is_begun", "is_last", "listener", "replies", "sender", "sent_at", "slot")

    def __init__(
        self,
        data: bytes,
        expected: list[tuple[object, int]],
        replies: int,
        *,
        alone: bool = False,
        is_last: bool = False,
    ) -> None:
        # All that Work's constructor does, in one call: there is one of these for almost every request.
        self.alone = alone
        self.sequence = 0
        self.is_gone = self.is_queued = False
        self.queued_at = 0.0
        self.data = data
        self.expected = expected
        #: How many are still to come.
        self.replies = replies
        self.is_last = is_last
        #: A part of its replies was passed on.
        self.is_begun = False
        #: Whose it is; None before it is submitted, and once it is withdrawn.
        self.sender: Sender | None = None
        self.slot: Slot | None = None
        #: When it was sent, in the clock's seconds.
        self.sent_at = 0.0
        self.listener: ReplyListener | None = None

    def __repr__(self) -> str:
        return f"<Batch of {len(self.data)} bytes, {self.replies} replies to come>"
