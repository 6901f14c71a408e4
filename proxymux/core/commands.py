"""The vocabulary of a session: its states, what can happen to it, and the commands that it gives.

No command is ever changed.  They are not frozen, because to make a frozen object takes three times as long, and every
connection makes a dozen.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal

from proxymux.core.decision import Forward, Share
from proxymux.core.outcome import Ending, Outcome


class State(enum.Enum):
    """Where a session is."""

    __hash__ = object.__hash__  # members are looked up for every input; Enum's own is a Python function

    #: Accepted; the PROXY header or the TLS handshake is not done.
    OPENING = "opening"
    #: The decider wants more bytes.
    READING = "reading"
    #: The decider has been asked.
    DECIDING = "deciding"
    CONNECTING = "connecting"
    #: The relay has both connections.
    JOINED = "joined"
    #: The user's error callback has been asked for a last word.
    ANSWERING = "answering"
    #: The outcome is known, the last bytes are on their way.
    CLOSING = "closing"
    ENDED = "ended"


class Input(enum.Enum):
    """What can happen to a session, with the value that comes with it."""

    __hash__ = object.__hash__

    ACCEPTED = "accepted"
    OPENED = "opened"
    #: An :class:`Ending`: admission, PROXY header or TLS handshake failed.
    BARRED = "barred"
    #: bytes.
    RECEIVED = "received"
    #: The client has sent FIN.
    CLIENT_FINISHED = "client finished"
    #: A reason: the client's connection is gone.
    CLIENT_LOST = "client lost"
    #: A reason: the client's connection is gone since TLS failed on it.
    TLS_FAILED = "tls failed"
    #: The client was found to have reset its connection, which is still to be closed.
    CLIENT_RESET = "client reset"
    #: The client does not read what it is sent, or reads again.
    OUTPUT_FULL = "output full"
    OUTPUT_FREE = "output free"
    #: A :class:`Decision`.
    DECIDED = "decided"
    #: A problem: the decider failed.
    FAULTED = "faulted"
    CONNECTED = "connected"
    #: A :class:`ConnectFailure`.
    CONNECT_FAILED = "connect failed"
    #: A :class:`RelayEnd`.
    RELAY_ENDED = "relay ended"
    #: bytes, the last word of the user's callback.
    ANSWERED = "answered"
    #: The running deadline has passed; the value says how long it was, in words.
    DEADLINE = "deadline"
    #: The time to drain is over.
    DRAIN = "drain"


@dataclass(slots=True)
class ConnectFailure:
    """Connecting was given up.

    :param reason: why.
    :param outcome: CONNECT_TIMEOUT if every attempt timed out, BAD_HANDSHAKE if no target may be connected to.
    """

    reason: str
    outcome: Outcome = Outcome.UNREACHABLE


class Cause(enum.Enum):
    """What ended a relay."""

    COMPLETED = "completed"
    CLIENT_ABORTED = "client aborted"
    UPSTREAM_ABORTED = "upstream aborted"
    #: The upstream closed before it had sent a byte, and the client was still waiting.
    SILENT = "silent"
    #: The upstream's first byte did not come in time.
    INACTIVE = "inactive"
    IDLE = "idle"
    #: The client gets no more, for the reason that the outcome says.
    DISMISSED = "dismissed"


@dataclass(slots=True)
class RelayEnd:
    """How a relay ended, and whether the client had sent FIN by then.

    :param outcome: where it is not the usual one of the cause.
    """

    cause: Cause
    client_finished: bool = False
    reason: str | None = None
    outcome: Outcome | None = None


class Deadline(enum.Enum):
    """What a session may wait for, each with a limit of its own."""

    DECISION = "decision"
    ANSWER = "answer"
    LINGER = "linger"


class Closing(enum.Enum):
    """How to close the client."""

    #: Flush, send FIN and read on without looking until the client's own FIN, so that no reset overtakes our last word.
    LINGER = "linger"
    #: Flush and close.
    CLOSE = "close"
    #: Reset, once the client has everything that was sent.
    RESET = "reset"
    #: Reset now.
    ABORT = "abort"


@dataclass(slots=True)
class Ask:
    """Have the decider decide on ``data``; None is "the client has come, there are no bytes yet"."""

    data: bytes | None


@dataclass(slots=True)
class Send:
    """Send ``data`` to the client."""

    data: bytes


@dataclass(slots=True)
class Connect:
    """Connect as the decision says."""

    forward: Forward


@dataclass(slots=True)
class Join:
    """Give both connections to the relay, which sends ``data`` upstream first."""

    data: bytes
    forward: Forward
    client_finished: bool


@dataclass(slots=True)
class JoinPool:
    """Have the client's requests share the pool's upstreams; ``data`` is the first that it has sent."""

    decision: Share
    data: bytes
    client_finished: bool


@dataclass(slots=True)
class Consult:
    """Call the user's callback for what went wrong; its bytes will be the client's last."""

    callback: Literal["connect_error", "inactivity_error"]


@dataclass(slots=True)
class Pause:
    """Read no more from the client for now."""


@dataclass(slots=True)
class Resume:
    """Read from the client again."""


@dataclass(slots=True)
class Cancel:
    """Give up the decision, connect, callback or exchange that is under way, and close the upstream."""


@dataclass(slots=True)
class Await:
    """Start the deadline, in place of the one that runs; None is to run none."""

    deadline: Deadline | None


@dataclass(slots=True)
class Blame:
    """Log one line about the router: ``problem``, with the place in its file.

    :param fault: True if the router did wrong, False if it only did not come to a decision.
    """

    problem: str
    fault: bool = False


@dataclass(slots=True)
class Close:
    """Close the client."""

    how: Closing


@dataclass(slots=True)
class Finish:
    """The session is over.  Comes once and last."""

    ending: Ending


Command = Ask | Send | Connect | Join | JoinPool | Consult | Pause | Resume | Cancel | Await | Blame | Close | Finish
