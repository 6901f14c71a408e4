"""The vocabulary of a pipeline: its rules and states, what can happen to it, and the orders that it gives.

No order is ever changed.  The two that every request takes are no classes of their own, as making an object for each
takes time: a :class:`~proxymux.core.batch.Batch` among the orders is to be submitted, bytes are to be sent to the
client.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from proxymux.core.batch import Batch
from proxymux.core.codecs import Codec
from proxymux.core.commands import Cause, Pause, Resume
from proxymux.core.outcome import Ending, Outcome

__all__ = [
    "BreakOff",
    "End",
    "Failure",
    "Follow",
    "HandOver",
    "Input",
    "Leave",
    "Order",
    "Pause",
    "PipelineRules",
    "Requeue",
    "Resume",
    "StartGap",
    "State",
    "StopGap",
    "Withdraw",
]


@dataclass(slots=True)
class PipelineRules:
    """What all pipelines of a pool have in common.

    :param pipelined: requests may follow each other on one upstream without awaiting the replies.
    :param batches: those that came together may, in any case.
    :param is_ordered: batches are served in the order in which they came, whosever they are.
    :param may_have_own: asked whether there is an upstream to spare for one client alone.
    """

    codec: Codec
    pipelined: bool
    batches: bool
    is_ordered: bool
    may_have_own: Callable[[], bool]
    #: Numbers the batches of all.
    next_sequence: Callable[[], int] = field(default_factory=lambda: count(1).__next__)


class State(enum.Enum):
    """Where a pipeline is."""

    __hash__ = object.__hash__  # members are looked up for every input; Enum's own is a Python function

    #: The client's requests are looked at as they come.
    OPEN = "open"
    #: A large request without marks in its bytes is coming; silence ends it.
    COLLECTING = "collecting"
    #: The client needs an upstream of its own; what it sends from here on is for that.
    CLAIMING = "claiming"
    #: No more is looked at; it ends when all that it is still to get was sent.
    FINISHING = "finishing"
    #: A reply was cut short, and only a reset can tell the client; it waits until the client has what came of it.
    BREAKING_OFF = "breaking off"
    #: The client has an upstream of its own.
    HANDED_OVER = "handed over"
    ENDED = "ended"


class Input(enum.Enum):
    """What can happen to a pipeline, with the value that comes with it."""

    __hash__ = object.__hash__

    #: bytes of the client.
    RECEIVED = "received"
    #: The client has sent FIN.
    CLIENT_FINISHED = "client finished"
    #: A reason, or None for "in good order": the client's connection is gone.
    CLIENT_LOST = "client lost"
    #: The client does not read what it is sent, or reads again.
    OUTPUT_FULL = "output full"
    OUTPUT_FREE = "output free"
    #: The silence that ends a large request.
    SILENCE = "silence"
    #: bytes: a part of the replies to the first outstanding batch.
    REPLY = "reply"
    #: A batch and bytes: all its replies have come, the bytes are the last part.
    DONE = "done"
    #: A :class:`Failure`.
    FAILED = "failed"
    #: A batch: its slot is about to be closed, and nothing of it was sent.
    UNSENT = "unsent"
    #: A batch that was to :class:`Follow` cannot, for now.
    HELD_UP = "held up"
    #: Slots have changed, or what was ordered last was submitted: whatever waits may be next.
    GO_ON = "go on"
    #: A batch: it has a slot alone.
    GIVEN = "given"
    #: A reason: nothing was sent or received for as long as the client may be idle.
    IDLE = "idle"
    #: What was sent before :class:`BreakOff` is out.
    FLUSHED = "flushed"
    #: The session has given the client up.
    ABORTED = "aborted"


@dataclass(slots=True)
class Failure:
    """A batch whose replies will not come, or not wholly."""

    batch: Batch
    ending: Ending


@dataclass(slots=True)
class Follow:
    """Send ``batch`` on the slot of ``before``, if that takes more; or else say HELD_UP."""

    batch: Batch
    before: Batch


@dataclass(slots=True)
class Requeue:
    """``batch`` is the next that gets a slot."""

    batch: Batch


@dataclass(slots=True)
class Withdraw:
    """Nobody wants ``batch`` any more, wherever it is: nothing more is to be told of it."""

    batch: Batch


@dataclass(slots=True)
class HandOver:
    """Join the client to the slot of ``batch``, which gets the batch's data first."""

    batch: Batch


@dataclass(slots=True)
class StartGap:
    """Say SILENCE when the client has been silent for the gap, counted from now."""


@dataclass(slots=True)
class StopGap:
    """Do not say SILENCE."""


@dataclass(slots=True)
class BreakOff:
    """Read no more, and say FLUSHED when all that was sent to the client is out."""


@dataclass(slots=True)
class End:
    """Let go of the client, and say how it ended.  Comes once and last.

    :param outcome: where it is not the usual one of the cause.
    :param reason: one line, or None where the outcome says all.
    """

    cause: Cause
    outcome: Outcome | None = None
    reason: str | None = None


@dataclass(slots=True)
class Leave:
    """Let go of the client; nobody is told.  Comes last, in the place of :class:`End`."""


#: What is done outside.
_Action = Follow | Requeue | Withdraw | HandOver | StartGap | StopGap | Pause | Resume | BreakOff | End | Leave
#: A batch is to be submitted; bytes are to be sent to the client.
Order = Batch | bytes | _Action
