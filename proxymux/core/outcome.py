"""Outcomes: the one word that ends every session, and the record that carries it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, SupportsIndex


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
    :param reason: why, one line for the operator; None where the outcome says all.  The reasons of bad handshakes are
        few, so that they can be counted.
    :param status: what the client was told, where the service answers with a status.
    :param details: more on the reason, for the log.
    """

    outcome: Outcome
    reason: str | None = None
    status: str | None = None
    details: str = ""

    @property
    def text(self) -> str | None:
        """The reason as the access log has it: behind the status of a bad handshake, and before its details."""
        if self.outcome is Outcome.BAD_HANDSHAKE and self.reason is not None:
            return explain_handshake(self.status, self.reason, self.details)
        return self.reason


def explain_handshake(status: str | None, reason: str, details: str) -> str:
    """One line on a bad handshake."""
    behind = f"{status} {reason}" if status else reason
    return f"{behind}: {details}" if details else behind


class Record(NamedTuple):
    """What is known of a session that has ended; observers are given it.  None is "does not apply".

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
    #: One line; for a bad handshake the status, the cause and the details.
    reason: str | None
    #: From the client.
    bytes_in: int
    #: To the client.
    bytes_out: int
    decide_seconds: float | None
    connect_seconds: float | None
    first_byte_seconds: float | None
    seconds: float
    #: What the client was told, where the service answers with a status.
    status: str | None = None
    #: The reason without status and details.
    cause: str | None = None

    def __getitem__(self, key: SupportsIndex | slice | str) -> Any:
        """The value of a field by its name, for listeners of ``ended`` that use a record as a mapping.

        :raises KeyError: if there is no such field.
        """
        if not isinstance(key, str):
            return tuple.__getitem__(self, key)
        if key not in self._fields:
            raise KeyError(key)
        return getattr(self, key)


#: Is told of every session that has ended.
Observer = Callable[[Record], None]
