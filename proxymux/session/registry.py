"""The registry: begins the sessions of a service, holds those that are live, and counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Protocol

from proxymux.session.context import Context
from proxymux.session.runner import SessionRunner


class Gate(Protocol):
    """Counts the live sessions, to stop accepting while there are too many."""

    def enter(self) -> None:
        """Count a session that begins."""

    def leave(self) -> None:
        """Count a session that has ended."""


class SessionRegistry:
    """Begins sessions, and holds each until it has ended.

    :param context: the context of every session.
    :param gate: entered by each session when it begins, and left when it has ended.
    :param changed: called after a session has begun, and after one has ended.
    """

    def __init__(self, context: Context, gate: Gate, changed: Callable[[], None]) -> None:
        self._context = context
        self._gate = gate
        self._changed = changed
        #: Called after each session that has ended; None calls nothing.
        self.when_ended: Callable[[], None] | None = None
        self._live: dict[int, SessionRunner] = {}
        #: How many sessions have ended, by outcome.
        self.outcomes: Counter[str] = Counter()
        #: The most sessions that were live at once.
        self.most = 0
        #: The number of sessions that have begun.
        self.total = 0

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[SessionRunner]:
        return iter(tuple(self._live.values()))

    def begin(self) -> SessionRunner:
        """Make a session for a client that was accepted."""
        self._gate.enter()
        self.total += 1
        session = self._live[self.total] = SessionRunner(self.total, self._context, self._ended)
        self.most = max(self.most, len(self._live))
        self._changed()
        return session

    def _ended(self, session: SessionRunner) -> None:
        del self._live[session.number]
        ending = session.ending
        assert ending is not None
        self.outcomes[ending.outcome.value] += 1
        self._gate.leave()
        self._changed()
        if self.when_ended is not None:
            self.when_ended()
