"""Batches: one or more requests of one client that are sent to one upstream together.  Their replies come in a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from proxymux.core.outcome import Outcome
from proxymux.core.setup import Setup
from proxymux.core.slots import Slot, Work

if TYPE_CHECKING:
    from proxymux.core.lanes import Lane
    from proxymux.core.woven import Woven


class Sender(Protocol):
    """The client's side of a batch: is told of its replies or its failure, until it withdraws the batch.

    :class:`~proxymux.pool.exchange.DetachedExchange` implements it; the pool and its upstreams call it.
    """

    def given(self, batch: Batch) -> None:
        """The batch, which wanted a slot alone, has one: ``batch.slot``.  No other call for the batch follows."""

    def reply(self, batch: Batch, data: bytes) -> None:
        """A part of the replies has come, but not the last."""

    def done(self, batch: Batch, data: bytes) -> None:
        """All replies have come.

        If ``batch.is_last`` is set, the client's connection has to end after them.

        :param data: the last part of the replies; may be empty.
        """

    def failed(self, batch: Batch, outcome: Outcome, reason: str) -> None:
        """The replies will not come completely.  No other call for the batch follows.

        :param outcome: why, in one word.
        :param reason: why, in one line.
        """

    def unsent(self, batch: Batch) -> None:
        """The slot of the batch is about to be closed, and the batch may be sent on another.

        No byte of it was sent, or it is repeated.  The sender has to requeue it now, or submit it again after
        :meth:`go_on`.
        """

    def go_on(self) -> None:
        """A slot has been closed after :meth:`unsent`: batches that were held back may be submitted now."""


class ReplyListener(Protocol):
    """Is given the replies to one batch, beside its sender.  Used for listeners of ``request``."""

    def add(self, data: bytes) -> None:
        """A part of the replies has come."""

    def succeed(self) -> None:
        """All replies have come."""

    def fail(self, outcome: Outcome, reason: str) -> None:
        """The replies will not come completely."""


class Batch(Work):
    """One or more requests of one client, with the state of their replies.

    :param data: the bytes of the requests, unchanged.
    :param expected: for each run of requests that have replies, the hint for the reply scanner and their number.
    :param replies: the number of replies that the requests have.
    :param alone: the client takes a slot alone from here on; ``data`` is sent there once the two are joined.
    :param is_last: no further request of the client is served after this batch.
    """

    __slots__ = (
        "data",
        "ends",
        "ends_silent",
        "expected",
        "is_begun",
        "is_last",
        "is_repeated",
        "lane",
        "listener",
        "name",
        "replies",
        "sender",
        "sent_at",
        "setup",
        "size",
        "slot",
        "woven",
    )

    def __init__(
        self,
        data: bytes,
        expected: list[tuple[object, int]],
        replies: int,
        *,
        alone: bool = False,
        is_last: bool = False,
    ) -> None:
        # Repeats Work's constructor to save a call: almost every request makes a batch.
        self.alone = alone
        self.sequence = 0
        self.is_gone = self.is_queued = False
        self.queued_at = 0.0
        self.data = data
        self.expected = expected
        #: The number of replies that are still to come.
        self.replies = replies
        self.is_last = is_last
        #: The last of the requests has no reply.
        self.ends_silent = False
        #: The setup that the slot has to be in; a Change if the batch itself changes the client's.
        self.setup: Setup = None
        #: A part of the replies has come.
        self.is_begun = False
        #: The batch was sent before, on an upstream that closed without a reply.
        self.is_repeated = False
        #: The client's side; None before the batch is submitted and after it is withdrawn.
        self.sender: Sender | None = None
        #: The slot on which the batch is or was sent; None before it has one.
        self.slot: Slot | None = None
        #: When the batch was sent, in the clock's seconds.
        self.sent_at = 0.0
        #: Set if the event ``request`` has listeners.
        self.listener: ReplyListener | None = None
        #: What the replies are woven into; None if they are passed on as they come.
        self.woven: Woven | None = None

        #: Only set with ``woven``: where replies end in the part of them that was passed on last.
        self.ends: Sequence[int]
        #: Only set with ``alone``: what the request is called that wants it, and its bytes, where others may follow.
        self.name: str
        self.size: int
        #: Only set where requests are routed, once the place is known: what else of the client is outstanding there.
        self.lane: Lane

    def __repr__(self) -> str:
        return f"<Batch of {len(self.data)} bytes, {self.replies} replies to come>"
