"""Outcomes: the one word that ends every session, and the record that carries it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Outcome(str, enum.Enum):
    """How a session ended.  Every session has exactly one."""

    COMPLETED = "completed"
    REFUSED = "refused"
    REJECTED = "rejected"
    UNDECIDED = "undecided"
    ROUTER_ERROR = "router_error"
    BAD_HANDSHAKE = "bad_handshake"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect_timeout"
    INACTIVE = "inactive"
    IDLE = "idle"
    QUEUE_FULL = "queue_full"
    QUEUE_TIMEOUT = "queue_timeout"
    REQUEST_TIMEOUT = "request_timeout"
    PROTOCOL_ERROR = "protocol_error"
    CLIENT_ABORTED = "client_aborted"
    UPSTREAM_ABORTED = "upstream_aborted"
    DRAINED = "drained"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a session ended.

    :param outcome: the one word.
    :param reason: one line for the operator, or None where the word says all.
    """

    outcome: Outcome
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What the access log says of one session.  Times are in seconds; None is "does not apply".

    ``decide_seconds`` runs from the accept to the decision, ``connect_seconds`` from there to the upstream,
    ``first_byte_seconds`` from there to the upstream's first byte, ``seconds`` from the accept to the end.
    """

    #: Seconds since the epoch at the accept.
    time: float
    service: str
    session: int
    client: str
    local: str
    target: str | None
    outcome: Outcome
    reason: str | None
    #: From the client.
    bytes_in: int
    #: To the client.
    bytes_out: int
    decide_seconds: float | None
    connect_seconds: float | None
    first_byte_seconds: float | None
    seconds: float
