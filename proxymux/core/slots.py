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
#: How much a batch that is outstanding adds to the rank of a slot.  What is below counts all batches that it ever got.
STEP: Final = 1 << 48
#: How much a slot's rank grows when it gets a batch.
GIVEN: Final = STEP + 1
#: The rank of a slot with as many batches as it takes.
FULL: Final = DEPTH * STEP
#: Added to the rank of a slot that is not open, once more if it is taken, and once more if it is blocked.
BARRED: Final = 1 << 80


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
        "opening_at",
        "rank",
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
        #: The slot with the lowest rank gets the next batch: the least busy one, and of these the one that has got the
        #: fewest.  One number, as it changes and is compared for every batch.  It is less than :data:`STEP` if the slot
        #: is open and idle, and at least :data:`FULL` if it takes no batch.
        self.rank = BARRED
        #: When the last connect began, in the clock's seconds.
        self.opening_at = 0.0
        #: How often in a row the slot could not be opened.
        self.failures = 0
        #: The end of the backoff after a failure, in the clock's seconds.
        self.retry_at = 0.0

    @property
    def outstanding(self) -> int:
        """The number of batches that were sent and are not completely answered; 1 if one client has taken the slot."""
        return self.rank % BARRED // STEP

    def note_open(self, turns: int) -> None:
        """Take note that the slot is connected.

        :param turns: the number of batches that the slot counts as having got, for its rank.
        """
        self.is_open, self.is_opening, self.failures = True, False, 0
        self.rank += turns - self.rank % STEP - BARRED

    def note_failure(self, now: float, jitter: float) -> None:
        """Take note that the slot could not be connected, and begin the backoff.

        :param jitter: a factor of the backoff's length.
        """
        self.retry_at = now + jitter * min(LAST_BACKOFF, FIRST_BACKOFF * 2 ** min(self.failures, 10))
        self.failures += 1

    def note_close(self) -> None:
        """Take note that the connection of the slot is closed."""
        self.is_open = self.is_opening = self.is_taken = self.is_blocked = False
        self.rank = BARRED

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
class Abandon:
    """Give up the connect of the slot, which takes long, and report ``failed``: its client gets another slot."""

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


Order = Give | Open | Abandon | Dismiss
