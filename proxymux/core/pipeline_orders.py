"""The vocabulary of a pipeline: its rules, states, inputs and orders.

Orders are immutable by convention.  The two most frequent ones have no classes of their own, to save making an object:
a :class:`~proxymux.core.batch.Batch` among the orders is to be submitted, bytes are to be sent to the client.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from proxymux.core.batch import Batch
from proxymux.core.codecs import Codec
from proxymux.core.codecs.limits import DEFAULT_LIMITS
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

    :param pipelined: an upstream may get a batch before it has answered the one before.
    :param batches: requests of one client that came together form one batch; otherwise each is a batch of its own.
    :param is_ordered: the batches of all clients are served in the order in which they came (FIFO mode).
    :param may_have_own: returns True if one client may take an upstream alone now.
    :param request_limit: the most bytes of a request that are kept until it is whole.
    """

    codec: Codec
    pipelined: bool
    batches: bool
    is_ordered: bool
    may_have_own: Callable[[], bool]
    request_limit: int = DEFAULT_LIMITS.request
    #: Bytes of replies that one client may have outstanding.
    max_outstanding: int = 1 << 20
    #: Called with the name of a request that was refused for want of an upstream, and the reason in one line.
    note_refusal: Callable[[str, str], None] = field(default=lambda name, problem: None)
    #: Returns the next number in the order of all clients' batches.
    next_sequence: Callable[[], int] = field(default_factory=lambda: count(1).__next__)


class State(enum.Enum):
    """The states of a pipeline."""

    __hash__ = object.__hash__  # members are looked up for every input; Enum's own is a Python function

    #: The client's requests are cut into batches as they come.
    OPEN = "open"
    #: A large request, whose codec sees no ends, is coming in several chunks; silence ends it.
    COLLECTING = "collecting"
    #: The client waits for an upstream alone; the bytes that it sends meanwhile are kept for that.
    CLAIMING = "claiming"
    #: No further requests are served; the pipeline ends after the last outstanding reply.
    FINISHING = "finishing"
    #: A reply was cut short.  The client will be reset once it has been sent what came of the reply.
    BREAKING_OFF = "breaking off"
    #: The client has an upstream alone, and an exchange has taken over.
    HANDED_OVER = "handed over"
    #: The client's connection has been given back to the session.
    ENDED = "ended"


class Input(enum.Enum):
    """The inputs of a pipeline.  The comment at a member says which value comes with it; None if it says nothing."""

    __hash__ = object.__hash__

    #: bytes that the client has sent.
    RECEIVED = "received"
    #: The client has sent FIN.
    CLIENT_FINISHED = "client finished"
    #: A reason (str), or None if it was closed in good order: the client's connection is gone.
    CLIENT_LOST = "client lost"
    #: The client does not read what it is sent (full), or reads again (free).
    OUTPUT_FULL = "output full"
    OUTPUT_FREE = "output free"
    #: The client has been silent for the gap, which ends a large request.
    SILENCE = "silence"
    #: bytes: a part of the replies to the first outstanding batch; where requests are routed the batch is with them.
    REPLY = "reply"
    #: A tuple of a batch and bytes: all replies to the batch have come, the bytes are their last part.
    DONE = "done"
    #: A :class:`Failure`: the replies to a batch will not come completely.
    FAILED = "failed"
    #: A batch: its slot is about to be closed, and it may be sent on another.
    UNSENT = "unsent"
    #: A batch: the order to :class:`Follow` could not be carried out for now.
    HELD_UP = "held up"
    #: The last batch was submitted, or slots have changed: the next batch may be submitted.
    GO_ON = "go on"
    #: A :data:`~proxymux.core.choice.Choice`: where the request goes that was last asked about.
    DECIDED = "decided"
    #: A batch: it has been given a slot alone.
    GIVEN = "given"
    #: A reason (str): no byte was sent or received for the idle timeout.
    IDLE = "idle"
    #: All bytes that were sent to the client before :class:`BreakOff` have been passed to the kernel.
    FLUSHED = "flushed"
    #: A reason (str): too much is kept for the client, which does not read.
    DISMISSED = "dismissed"
    #: The session ends the client (drained, say).
    ABORTED = "aborted"


@dataclass(slots=True)
class Failure:
    """A batch whose replies will not come completely, and the reason."""

    batch: Batch
    ending: Ending


@dataclass(slots=True)
class Follow:
    """Send ``batch`` on the slot of ``before``; give the input HELD_UP if that slot takes no more."""

    batch: Batch
    before: Batch


@dataclass(slots=True)
class Requeue:
    """Put ``batch`` at the head of the pool's queue, as it is to be sent on another slot."""

    batch: Batch


@dataclass(slots=True)
class Withdraw:
    """Withdraw ``batch``, whether it waits or was sent: drop its replies, and give no further input for it."""

    batch: Batch


@dataclass(slots=True)
class GoOn:
    """Give the input GO_ON once the orders before this one are carried out: what they send may let more go on."""


@dataclass(slots=True)
class HandOver:
    """Join the client to the upstream in the slot of ``batch``, and send the batch's data there first.

    :param problem: what was refused to the client before, in one line; empty if nothing was.
    """

    batch: Batch
    problem: str = ""


@dataclass(slots=True)
class StartGap:
    """Start the gap timer, or start it anew; give the input SILENCE when it is due."""


@dataclass(slots=True)
class StopGap:
    """Stop the gap timer."""


@dataclass(slots=True)
class BreakOff:
    """Stop reading from the client, and give the input FLUSHED when all bytes sent to it are passed to the kernel."""


@dataclass(slots=True)
class End:
    """Give the client's connection back to the session, and report how the client ended.  The last order.

    :param outcome: replaces the usual outcome of the cause; None keeps that.
    :param reason: one line, or None where the outcome says all.
    """

    cause: Cause
    outcome: Outcome | None = None
    reason: str | None = None


@dataclass(slots=True)
class Leave:
    """Give the client's connection back without a report: the session asked for it.  Last, in place of End."""


#: Orders that have a class of their own.
_Action = Follow | Requeue | Withdraw | GoOn | HandOver | StartGap | StopGap | Pause | Resume | BreakOff | End | Leave
#: A batch is to be submitted; bytes are to be sent to the client.
Order = Batch | bytes | _Action
