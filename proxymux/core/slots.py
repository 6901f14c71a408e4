"""The vocabulary of leasing: slots, the work that waits for them, and the orders of the leasing.

Orders are immutable by convention.  Their classes are not frozen, because a frozen object takes three times as long to
make.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from proxymux.core.decision import Forward
from proxymux.core.outcome import Outcome
from proxymux.core.pool_target import PoolTarget

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
#: Added to the rank of a slot that is not open, once more each if it is taken or blocked, and for each of its bars.
BARRED: Final = 1 << 80


class Bar(enum.Enum):
    """Why a slot gets no work and is not opened."""

    #: The operator holds its target: work waits until it is released.
    HELD = "held"
    #: Its target is down, or the operator has it get nothing new: work does not wait for it.
    DOWN = "down"
    #: The pool has no use for it any more: it is gone once its connection is closed.
    RETIRED = "retired"


_NO_BARS: Final[frozenset[Bar]] = frozenset()
_HELD: Final = frozenset({Bar.HELD})


class Slot:
    """The permission for one connection to one target, and the state of that connection.

    :param number: the slot's number in logs, from 1 in the order of the targets.
    """

    __slots__ = (
        "bars",
        "failures",
        "forward",
        "is_blocked",
        "is_open",
        "is_opening",
        "is_taken",
        "number",
        "opening_at",
        "pool_target",
        "rank",
        "retry_at",
        "target",
    )

    def __init__(self, number: int, target: PoolTarget) -> None:
        self.number = number
        #: The target with its TLS.
        self.pool_target = target
        self.target = target.address
        #: What the connector is asked for: one attempt.
        self.forward = Forward(target.address, retries=0, tls=target.tls or False)
        self.is_open = False
        self.is_opening = False
        #: One client has taken the slot alone.
        self.is_taken = False
        #: The slot gets no work for now: its connection has too much to send, or is about to be closed.
        self.is_blocked = False
        #: While there are any, the slot gets no work and is not opened.  Changed by :meth:`bar` and :meth:`lift`.
        self.bars = _NO_BARS
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

    @property
    def is_in_use(self) -> bool:
        """The slot is open, being opened or taken."""
        return self.is_open or self.is_opening or self.is_taken

    @property
    def is_awaited(self) -> bool:
        """Work may wait for the slot: it is neither retired nor down."""
        return not self.bars or self.bars == _HELD

    @property
    def is_to_be_closed(self) -> bool:
        """The slot has a connection that it may not have any longer, as it is barred and nobody needs it.

        A connect goes on if the slot is only held, and so does what is under way on an open one.
        """
        if not self.bars:
            return False
        return not self.outstanding if self.is_open else self.is_opening and not self.is_awaited

    def bar(self, reason: Bar) -> None:
        """Give the slot no work, and do not open it, until the same reason is lifted."""
        if reason not in self.bars:
            self.bars |= {reason}
            self.rank += BARRED

    def lift(self, reason: Bar, now: float) -> None:
        """End what :meth:`bar` has begun for this reason, and the backoff with it; nothing changes if it has not."""
        if reason in self.bars:
            self.bars -= {reason}
            self.rank -= BARRED
            self.retry_at = now

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
        self.rank = BARRED * (1 + len(self.bars))

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
class Close:
    """Close the connection of the slot, or give up its connect, as it is barred, and report ``closed``.

    Nobody uses it, but for the client whose connect is given up in Proxy mode: that one gets another slot.
    """

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


Order = Give | Open | Abandon | Close | Dismiss
