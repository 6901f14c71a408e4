"""The states of a session and what can happen to it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from proxymux.core.outcome import Outcome


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

    OPENED = "opened"
    #: An :class:`Ending`: admission, PROXY header or TLS handshake failed.
    BARRED = "barred"
    #: bytes.
    RECEIVED = "received"
    #: The client has sent FIN.
    CLIENT_FINISHED = "client finished"
    #: A reason: the client's connection is gone.
    CLIENT_LOST = "client lost"
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

    :param reason: one line.
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
