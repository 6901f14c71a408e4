"""The registry: begins the sessions of a service, holds those that are live, and counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

from proxymux.session.context import Context
from proxymux.session.movable_runner import MovableRunner
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
        self._live: dict[int, MovableRunner] = {}
        #: How many sessions have ended, by outcome.
        self.outcomes: Counter[str] = Counter()
        #: The most sessions that were live at once.
        self.most = 0
        self._numbered = 0

    @property
    def total(self) -> int:
        """The number of sessions that are live or have ended here."""
        return len(self._live) + self.outcomes.total()

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, session: object) -> bool:
        return isinstance(session, MovableRunner) and self._live.get(session.number) is session

    def __iter__(self) -> Iterator[MovableRunner]:
        return iter(tuple(self._live.values()))

    def oldest(self, count: int) -> list[MovableRunner]:
        """The live sessions that began first, at most ``count`` of them."""
        return list(islice(self._live.values(), count))

    def find(self, number: int) -> MovableRunner | None:
        """The live session of that number, or None."""
        return self._live.get(number)

    def begin(self) -> MovableRunner:
        """Make a session for a client that was accepted."""
        self._numbered += 1
        return self._enter(self._context.first_session + self._numbered)

    def adopt(self, number: int) -> MovableRunner:
        """Make a session for one that comes from another process, with its number there."""
        return self._enter(number)

    def _enter(self, number: int) -> MovableRunner:
        self._gate.enter()
        session = self._live[number] = MovableRunner(number, self._context, self._ended)
        self.most = max(self.most, len(self._live))
        self._changed()
        return session

    def _ended(self, session: SessionRunner) -> None:
        del self._live[session.number]
        if session.ending is not None:  # otherwise another process has it
            self.outcomes[session.ending.outcome] += 1
        self._gate.leave()
        self._changed()
        if self.when_ended is not None:
            self.when_ended()
