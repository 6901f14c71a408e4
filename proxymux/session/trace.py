"""Traces: what the admin endpoint can say of a session beside its record, of live ones and of the last that ended.

Every connection pays for its trace, so that it holds only what the record does not: the attempts that failed, say.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from proxymux.core.outcome import Record
from proxymux.core.target import Target, parse_remote

#: How many sessions that have ended are remembered.
MOST_ENDED: Final = 1000
#: How many of its questions to the decider, and of its failed attempts to connect, a session remembers: the first ones.
MOST_STEPS: Final = 100


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An attempt to connect that has failed.

    :param started_at: in the clock's seconds, as is ``ended_at``.
    :param error: why, in one line.
    """

    target: Target | None
    started_at: float
    ended_at: float
    error: str


class Trace:
    """How one session came to its decision and to its upstream.

    :param accepted_at: in the clock's seconds.
    """

    __slots__ = ("accepted_at", "failed", "place", "seen", "started_at")

    def __init__(self, accepted_at: float) -> None:
        self.accepted_at = accepted_at
        #: The bytes that the decider was shown, each time that it was asked.
        self.seen: tuple[int, ...] = ()
        #: Where the decision was made: ``file:line`` of a router.
        self.place: str | None = None
        self.failed: tuple[FailedAttempt, ...] = ()
        #: When the attempt began that has not failed, in the clock's seconds; None if there is none.
        self.started_at: float | None = None

    def pack(self) -> dict[str, Any]:
        """The trace, for another process that goes on with the session."""
        failed = [
            (None if each.target is None else str(each.target), each.started_at, each.ended_at, each.error)
            for each in self.failed
        ]
        return {"seen": self.seen, "place": self.place, "failed": failed, "started_at": self.started_at}

    @classmethod
    def unpack(cls, accepted_at: float, packed: dict[str, Any] | None) -> Trace:
        """The trace that another process has packed; an empty one if it has kept none."""
        trace = cls(accepted_at)
        if packed is not None:
            trace.seen, trace.place, trace.started_at = tuple(packed["seen"]), packed["place"], packed["started_at"]
            trace.failed = tuple(
                FailedAttempt(None if target is None else parse_remote(target), *rest)
                for target, *rest in packed["failed"]
            )
        return trace

    def asked(self, size: int) -> None:
        """Note that the decider is asked about ``size`` bytes."""
        if len(self.seen) < MOST_STEPS:
            self.seen += (size,)

    def attempt_failed(self, target: Target | None, now: float, error: str) -> None:
        """Note that the attempt to connect has failed."""
        if self.started_at is not None and len(self.failed) < MOST_STEPS:
            self.failed += (FailedAttempt(target, self.started_at, now, error),)
        self.started_at = None


class Traces:
    """The traces of a service: those of the last sessions that have ended, with their records."""

    def __init__(self) -> None:
        self._ended: deque[tuple[Record, Trace]] = deque(maxlen=MOST_ENDED)

    def keep(self, record: Record, trace: Trace) -> None:
        """Remember a session that has ended; the one that ended first is forgotten if there are too many."""
        self._ended.append((record, trace))

    def find(self, number: int) -> tuple[Record, Trace] | None:
        """The record and the trace of a session that has ended; None if it is not, or no more, remembered."""
        for record, trace in reversed(self._ended):
            if record.session == number:
                return record, trace
        return None
