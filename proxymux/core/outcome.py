"""Outcomes: the one word that says how a session ended, and the record of an ended session."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, SupportsIndex


class Outcome(str, enum.Enum):
    """How a session ended, in one word.  Every session has exactly one; docs/operations.rst explains each."""

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

    __hash__ = str.__hash__  # outcomes are counted for every session; Enum's own is a Python function

    def __str__(self) -> str:
        return self.value


class ConnectFault(str, enum.Enum):
    """Why an attempt to connect has failed, in one of a few words, for counting."""

    __hash__ = str.__hash__

    #: The peer answers, and does not want to.
    REFUSED = "refused"
    #: No answer in time.
    TIMEOUT = "timeout"
    #: No way leads there, or there is no such socket.
    UNREACHABLE = "unreachable"
    #: The name could not be looked up.
    NAME = "name"
    #: The connection is there, but not its TLS.
    TLS = "tls"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Ending:
    """The outcome of a session, with its reason.

    :param reason: one line for the operator; None where the outcome says all.  For bad handshakes one of a small fixed
        set, so that they can be counted by reason.
    :param status: the status that the client was sent; None where the service sends none.
    :param details: the variable part of the reason, for the log.
    """

    outcome: Outcome
    reason: str | None = None
    status: str | None = None
    details: str = ""

    @property
    def text(self) -> str | None:
        """The reason for the access log; for a bad handshake "STATUS REASON: DETAILS"."""
        if self.outcome is Outcome.BAD_HANDSHAKE and self.reason is not None:
            return explain_handshake(self.status, self.reason, self.details)
        return self.reason


def explain_handshake(status: str | None, reason: str, details: str) -> str:
    """Format a bad handshake as "STATUS REASON: DETAILS"; an absent status or empty details are left out."""
    text = f"{status} {reason}" if status else reason
    return f"{text}: {details}" if details else text


class Record(NamedTuple):
    """What is known of a session that has ended.  Every observer is given it.  None means "does not apply".

    ``decide_seconds`` runs from the accept to the decision, ``connect_seconds`` from the decision to the connected
    upstream, ``first_byte_seconds`` from then to the upstream's first byte, ``seconds`` from the accept to the end.
    """

    #: The time of the accept, in seconds since the epoch.
    time: float
    service: str
    session: int
    client: str
    local: str
    target: str | None
    outcome: Outcome
    #: One line, see :attr:`Ending.text`.
    reason: str | None
    #: Bytes from the client, less those that could not be passed on to the upstream.
    bytes_in: int
    #: Bytes to the client, as far as the kernel has taken them.
    bytes_out: int
    decide_seconds: float | None
    connect_seconds: float | None
    first_byte_seconds: float | None
    seconds: float
    #: The status that the client was sent; None where the service sends none.
    status: str | None = None
    #: The reason without status and details, see :attr:`Ending.reason`.
    cause: str | None = None
    #: What the decisions have noted; None if nothing.
    note: dict[str, str] | None = None
    #: The client's TLS, see :meth:`~proxymux.core.identity.Tls.summary`; None without.
    tls: dict[str, str] | None = None
    #: The number of the worker that had the session at its end; None without workers.
    worker: int | None = None

    def __getitem__(self, key: SupportsIndex | slice | str) -> Any:
        """Return a field by its name, for listeners of ``ended`` that treat the record as a mapping.

        :raises KeyError: if there is no such field.
        """
        if not isinstance(key, str):
            return tuple.__getitem__(self, key)
        if key not in self._fields:
            raise KeyError(key)
        return getattr(self, key)


#: A function that is called with the record of every session that has ended.
Observer = Callable[[Record], None]
