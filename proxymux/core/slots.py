"""The vocabulary of leasing: slots, the work that waits for them, and the orders that a decision consists of.

No order is ever changed.  They are not frozen, because to make a frozen object takes three times as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxymux.core.outcome import Outcome
from proxymux.core.target import Target

#: Seconds until a slot that could not be opened is tried again, doubled each time up to the last.
FIRST_BACKOFF: Final = 0.05
LAST_BACKOFF: Final = 0.6
#: Batches that one upstream may have outstanding where they are pipelined.
DEPTH: Final = 1024


class Slot:
    """One connection that the operator has allowed, to one target; open or not.

    :param number: from 1, in the order of the targets.
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
        #: One client has it for itself.
        self.is_taken = False
        #: Its connection takes no more for now.
        self.is_blocked = False
        #: Batches that were sent and are not wholly answered.
        self.outstanding = 0
        #: How often it could not be opened since it was open last.
        self.failures = 0
        #: When it may be opened again, after it failed, in the clock's seconds.
        self.retry_at = 0.0

    def note_open(self) -> None:
        """Its connection is there."""
        self.is_open, self.is_opening, self.failures = True, False, 0

    def note_failure(self, now: float, jitter: float) -> None:
        """It could not be opened; it is not to be tried again for a while, of which ``jitter`` is a factor."""
        self.retry_at = now + jitter * min(LAST_BACKOFF, FIRST_BACKOFF * 2 ** min(self.failures, 10))
        self.failures += 1

    def note_close(self) -> None:
        """Its connection is gone, and so is what was outstanding on it."""
        self.is_open = self.is_opening = self.is_taken = self.is_blocked = False
        self.outstanding = 0

    def busyness(self) -> int:
        """How much is outstanding on it, as far as it takes more: :data:`DEPTH` is no more."""
        return self.outstanding if self.is_open and not (self.is_taken or self.is_blocked) else DEPTH

    def __repr__(self) -> str:
        state = "open" if self.is_open else "opening" if self.is_opening else "closed"
        return f"<Slot {self.number} {self.target} {state}, {self.outstanding} outstanding>"


class Work:
    """What waits for a slot.

    :param alone: it wants one for itself.
    :param sequence: where several are to be given in the order of their sequences, its own.
    """

    __slots__ = ("alone", "is_gone", "is_queued", "queued_at", "sequence")

    def __init__(self, alone: bool = False, sequence: int = 0) -> None:
        self.alone = alone
        self.sequence = sequence
        #: It was withdrawn, and is in the queue only until it is first there.
        self.is_gone = False
        self.is_queued = False
        #: Since when it has waited, in the clock's seconds; 0 if it never did.
        self.queued_at = 0.0


@dataclass(slots=True)
class Give:
    """``work`` has the slot; if that is not open it is to be opened for it."""

    slot: Slot
    work: Work


@dataclass(slots=True)
class Open:
    """Connect the slot; nobody has it yet."""

    slot: Slot


@dataclass(slots=True)
class Dismiss:
    """``work`` gets no slot.

    :param reason: one line.
    """

    work: Work
    outcome: Outcome
    reason: str


Order = Give | Open | Dismiss
