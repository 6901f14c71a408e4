"""The vocabulary of leasing: slots, the work that waits for them, and the orders of the leasing.

Orders are immutable by convention.  Their classes are not frozen, because a frozen object takes three times as long to
make.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxymux.core.outcome import Outcome
from proxymux.core.target import Target

#: Seconds until a slot is tried again after its first failure to open; doubled at each further failure, up to the last.
FIRST_BACKOFF: Final = 0.05
LAST_BACKOFF: Final = 0.6
#: The most batches that a pipelined upstream may have outstanding.
DEPTH: Final = 1024


class Slot:
    """The permission for one connection to one target, and the state of that connection.

    :param number: the slot's number in logs, from 1 in the order of the targets.
    """

    __slots__ = (
        "failures",
        "is_blocked",
        "is_open",
        "is_opening",
        "is_taken",
        "number",
        "outstanding",
        "retry_at",
        "target",
    )

    def __init__(self, number: int, target: Target) -> None:
        self.number = number
        self.target = target
        self.is_open = False
        self.is_opening = False
        #: One client has taken the slot alone.
        self.is_taken = False
        #: The slot gets no work for now: its connection has too much to send, or is about to be closed.
        self.is_blocked = False
        #: The number of batches that were sent and are not completely answered.
        self.outstanding = 0
        #: How often in a row the slot could not be opened.
        self.failures = 0
        #: The end of the backoff after a failure, in the clock's seconds.
        self.retry_at = 0.0

    def note_open(self) -> None:
        """Take note that the slot is connected."""
        self.is_open, self.is_opening, self.failures = True, False, 0

    def note_failure(self, now: float, jitter: float) -> None:
        """Take note that the slot could not be connected, and begin the backoff.

        :param jitter: a factor of the backoff's length.
        """
        self.retry_at = now + jitter * min(LAST_BACKOFF, FIRST_BACKOFF * 2 ** min(self.failures, 10))
        self.failures += 1

    def note_close(self) -> None:
        """Take note that the connection of the slot is closed."""
        self.is_open = self.is_opening = self.is_taken = self.is_blocked = False
        self.outstanding = 0

    def busyness(self) -> int:
        """Return the number of outstanding batches; :data:`DEPTH` if the slot takes no more for any reason."""
        return self.outstanding if self.is_open and not (self.is_taken or self.is_blocked) else DEPTH

    def __repr__(self) -> str:
        state = "open" if self.is_open else "opening" if self.is_opening else "closed"
        return f"<Slot {self.number} {self.target} {state}, {self.outstanding} outstanding>"


class Work:
    """Something that needs a slot: a batch, or a client in Proxy mode.

    :param alone: the work takes a slot alone, which no other work may use until it is closed.
    :param sequence: the place among the work of all clients where it is served in order (FIFO mode), else 0.
    """

    __slots__ = ("alone", "is_gone", "is_queued", "queued_at", "sequence")

    def __init__(self, alone: bool = False, sequence: int = 0) -> None:
        self.alone = alone
        self.sequence = sequence
        #: The work was withdrawn; it stays in the queue until it comes to the head.
        self.is_gone = False
        #: The work is in the queue.
        self.is_queued = False
        #: When the work was first queued, in the clock's seconds; 0 if it never was.
        self.queued_at = 0.0


@dataclass(slots=True)
class Give:
    """Let ``work`` use the slot.  A slot that is not open is given to exclusive work only, which then opens it."""

    slot: Slot
    work: Work


@dataclass(slots=True)
class Open:
    """Connect the slot, and report ``opened`` or ``failed``.  No work has the slot yet."""

    slot: Slot


@dataclass(slots=True)
class Dismiss:
    """Tell the client of ``work`` that it gets no slot.

    :param outcome: why, in one word.
    :param reason: why, in one line.
    """

    work: Work
    outcome: Outcome
    reason: str


Order = Give | Open | Dismiss
