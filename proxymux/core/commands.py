"""The vocabulary of a session: its states, its inputs, and the commands that it returns.

Commands are immutable by convention.  Their classes are not frozen, because a frozen object takes three times as long
to make, and every connection makes a dozen.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal

from proxymux.core.decision import Forward, Share
from proxymux.core.outcome import Ending, Outcome


class State(enum.Enum):
    """The states of a session."""

    __hash__ = object.__hash__  # members are looked up for every input; Enum's own is a Python function

    #: The client is accepted; its PROXY header or TLS handshake is not complete.
    OPENING = "opening"
    #: The decider wants more bytes.
    READING = "reading"
    #: The decider is asked, and its decision is awaited.
    DECIDING = "deciding"
    #: The decision is made, and the upstream is being connected.
    CONNECTING = "connecting"
    #: The decider has had the client's TLS ended here, and its handshake is awaited.
    SECURING = "securing"
    #: The relay has the client's connection, and moves its bytes.
    JOINED = "joined"
    #: The user's error callback is asked, and its last word is awaited.
    ANSWERING = "answering"
    #: The outcome is known; the last bytes are being sent, and the connection is being closed.
    CLOSING = "closing"
    #: The client's connection is closed.
    ENDED = "ended"


class Input(enum.Enum):
    """The inputs of a session.  The comment at a member says which value comes with it; None if it says nothing."""

    __hash__ = object.__hash__

    #: The client is accepted, but its PROXY header or TLS handshake is still to come.
    ACCEPTED = "accepted"
    #: PROXY header and TLS handshake are complete, and the client is admitted.
    OPENED = "opened"
    #: An :class:`Ending`: admission, PROXY header or TLS handshake failed.
    BARRED = "barred"
    #: The session has come from another process, where it was waiting for more of the client's bytes.
    MOVED = "moved"
    #: bytes that the client has sent.
    RECEIVED = "received"
    #: The client has sent FIN.
    CLIENT_FINISHED = "client finished"
    #: A reason (str): the client's connection is gone.
    CLIENT_LOST = "client lost"
    #: A reason (str): the client's connection is gone because TLS failed on it.
    TLS_FAILED = "tls failed"
    #: The client has reset its connection; our side of it is still open.
    CLIENT_RESET = "client reset"
    #: The client does not read what it is sent (full), or reads again (free).
    OUTPUT_FULL = "output full"
    OUTPUT_FREE = "output free"
    #: The :class:`Decision` of the decider.
    DECIDED = "decided"
    #: A problem (str): the decider failed.
    FAULTED = "faulted"
    #: The TLS handshake that :class:`StartTls` began is done.
    SECURED = "secured"
    #: The upstream is connected.
    CONNECTED = "connected"
    #: A :class:`ConnectFailure`: the upstream was not connected.
    CONNECT_FAILED = "connect failed"
    #: A :class:`RelayEnd`: the relay has given the client's connection back.
    RELAY_ENDED = "relay ended"
    #: bytes: the last word from the user's callback; may be empty.
    ANSWERED = "answered"
    #: The client was sent its last bytes, or will not be: its connection lingers without the session, or is gone.
    LET_GO = "let go"
    #: A limit (str, such as "5 s"): the running deadline has passed.
    DEADLINE = "deadline"
    #: The service's drain time is over, so the session has to end.
    DRAIN = "drain"


@dataclass(slots=True)
class ConnectFailure:
    """The upstream could not be connected, after all attempts.

    :param reason: why, in one line.
    :param outcome: CONNECT_TIMEOUT if every attempt timed out, BAD_HANDSHAKE if no target may be connected to.
    """

    reason: str
    outcome: Outcome = Outcome.UNREACHABLE


class Cause(enum.Enum):
    """The reasons why a relay ends."""

    #: Both connections ended in good order.
    COMPLETED = "completed"
    #: The client's connection was lost before the exchange was complete.
    CLIENT_ABORTED = "client aborted"
    #: The upstream's connection was lost after its first byte.
    UPSTREAM_ABORTED = "upstream aborted"
    #: The upstream was reset before its first byte, or ended there and :attr:`Join.must_answer` was set.
    SILENT = "silent"
    #: The upstream's first byte did not come in time.
    INACTIVE = "inactive"
    #: No byte came from either side for the idle timeout.
    IDLE = "idle"
    #: The pool ends the client itself; :attr:`RelayEnd.outcome` says why.
    DISMISSED = "dismissed"


@dataclass(slots=True)
class RelayEnd:
    """How a relay ended.

    :param client_finished: the client had sent FIN by then.
    :param reason: one line, or None if the cause says all.
    :param outcome: replaces the usual outcome of the cause; None keeps that.
    """

    cause: Cause
    client_finished: bool = False
    reason: str | None = None
    outcome: Outcome | None = None


class Deadline(enum.Enum):
    """What a session waits for with a time limit.  The runner knows the limits."""

    #: The decision, from the accept on.
    DECISION = "decision"
    #: The last word from the user's callback.
    ANSWER = "answer"
    #: The delivery of the last bytes, while closing.
    CLOSE = "close"


class Closing(enum.Enum):
    """How to close the client."""

    #: Flush, send FIN, and let the connection go: it discards what still comes until the client's FIN, as a reset could
    #: destroy bytes that the client has not read yet.
    LINGER = "linger"
    #: Flush and close.
    CLOSE = "close"
    #: Flush, then reset.
    RESET = "reset"
    #: Reset at once; unsent bytes are discarded.
    ABORT = "abort"


@dataclass(slots=True)
class Ask:
    """Ask the decider.

    :param data: all bytes that the decider is to decide on; None asks it at the accept, before the first byte.
    """

    data: bytes | None


@dataclass(slots=True)
class Send:
    """Send ``data`` to the client."""

    data: bytes


@dataclass(slots=True)
class Connect:
    """Connect to the targets of the decision, with its options."""

    forward: Forward


@dataclass(slots=True)
class Tell:
    """Tell who provides the upstream what the client has done while it waits for one.

    Given only in services that may decide before the client's first byte.

    :param data: all that the client has sent, as far as it was read.
    :param is_finished: the client has sent FIN.
    """

    data: bytes
    is_finished: bool


@dataclass(slots=True)
class Join:
    """Join the client and the upstream by the relay.

    :param data: the client's bytes so far, which the relay sends to the upstream first.
    :param client_finished: the client has already sent FIN.
    :param must_answer: an upstream that sends FIN before its first byte has failed, unless the client has sent FIN.
    """

    data: bytes
    forward: Forward
    client_finished: bool
    must_answer: bool = False


@dataclass(slots=True)
class JoinPool:
    """Have the pool serve the client's requests on its shared upstreams.

    :param data: the client's bytes so far.
    :param client_finished: the client has already sent FIN.
    """

    decision: Share
    data: bytes
    client_finished: bool


@dataclass(slots=True)
class Consult:
    """Call the user's error callback, whose bytes are the client's last word."""

    callback: Literal["connect_error", "inactivity_error"]


@dataclass(slots=True)
class Pause:
    """Stop reading from the client until :class:`Resume`."""


@dataclass(slots=True)
class Resume:
    """Read from the client again."""


@dataclass(slots=True)
class Cancel:
    """Cancel the decision, connect, callback or exchange that is under way, and close the upstream."""


@dataclass(slots=True)
class Await:
    """Stop the running deadline and start another.

    :param deadline: None starts none.
    """

    deadline: Deadline | None


@dataclass(slots=True)
class Blame:
    """Log one line about the router, with the place in its file.

    :param problem: the line.
    :param fault: True for an error of the router, False if it only came to no decision.
    """

    problem: str
    fault: bool = False


@dataclass(slots=True)
class Close:
    """Close the client's connection."""

    how: Closing


@dataclass(slots=True)
class Finish:
    """Record the end of the session.  The last command of every session, given exactly once."""

    ending: Ending


@dataclass(slots=True)
class StartTls:
    """Begin TLS with the client as the server; give the input SECURED once the handshake is done.

    :param path: of the key and certificate.
    :param data: what the client has sent of its TLS.
    """

    path: str
    data: bytes


Command = (
    Ask
    | Send
    | Connect
    | Tell
    | Join
    | JoinPool
    | StartTls
    | Consult
    | Pause
    | Resume
    | Cancel
    | Await
    | Blame
    | Close
    | Finish
)
