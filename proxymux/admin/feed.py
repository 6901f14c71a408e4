"""The feed of the status page: one collection a second for all who watch, and none while nobody does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.admin.counters import RESULT_CELLS, RESULTS
from proxymux.admin.instance import Instance
from proxymux.user_code import describe

#: The most who watch at once; one over is told so.
MAX_VIEWERS: Final = 20
#: Seconds from one collection to the next.
INTERVAL: Final = 1.0
#: The most instances of the fleet that a viewer is told of.
MAX_INSTANCES: Final = 100
#: Seconds in which a viewer has to take what it was sent before it is sent more; then it is dropped.
SLOW_LIMIT: Final = 10.0
#: What is told of a session, in the order of a row.
SESSION_KEYS: Final = (
    "id",
    "service",
    "client",
    "target",
    "state",
    "seconds",
    "bytes_in",
    "bytes_out",
    "worker",
)

#: Sessions as they are known to viewers: their rows, by their numbers.
_Rows = dict[int, list[Any]]


@implementer(IPushProducer)
class Viewer:
    """One who watches: it is sent a message a second, and none while it has not taken the one before.

    So at most one message waits for it, beside what its connection holds before it says that it is full.

    :param limit: the most sessions that it is told of.
    :param write: sends it bytes.
    :param abort: ends its connection.
    :param seconds: the clock.
    """

    def __init__(
        self, limit: int, write: Callable[[bytes], object], abort: Callable[[], object], seconds: Callable[[], float]
    ) -> None:
        self.limit = limit
        self.write = write
        self.abort = abort
        #: It knows the sessions of the last collection, and need only be told what has changed.
        self.is_current = False
        self._seconds = seconds
        self._full_since: float | None = None

    @property
    def is_full(self) -> bool:
        """True while it has not taken what it was sent."""
        return self._full_since is not None

    @property
    def is_too_slow(self) -> bool:
        """True if that has lasted too long."""
        return self._full_since is not None and self._seconds() - self._full_since >= SLOW_LIMIT

    def pauseProducing(self) -> None:
        if self._full_since is None:
            self._full_since = self._seconds()

    def resumeProducing(self) -> None:
        self._full_since = None

    def stopProducing(self) -> None:
        """Do nothing: whoever has joined it is told that the connection is gone, and has it leave."""


class Feed:
    """Collects what the page shows while somebody watches, and tells all who do.

    :param instance: is shown.
    :param clock: says when to collect.
    """

    def __init__(self, instance: Instance, clock: IReactorTime, log: Logger) -> None:
        self._instance = instance
        self._clock = clock
        self._log = log
        self._viewers: dict[Viewer, None] = {}
        #: Runs while somebody watches.
        self._loop: LoopingCall | None = None
        #: The sessions of the last collection, those that have lasted longest first.
        self._known: _Rows = {}

    @property
    def seconds(self) -> Callable[[], float]:
        """The clock of the viewers."""
        return self._clock.seconds

    @property
    def is_full(self) -> bool:
        """True if nobody more may watch."""
        return len(self._viewers) >= MAX_VIEWERS

    def join(self, viewer: Viewer) -> None:
        """Have one more watch, until :meth:`leave`."""
        self._viewers[viewer] = None
        if self._loop is None:
            self._loop = loop = LoopingCall(self._collect)
            loop.clock = self._clock
            loop.start(INTERVAL)

    def leave(self, viewer: Viewer) -> None:
        """Tell it no more; what is collected when it was the last is told to nobody."""
        self._viewers.pop(viewer, None)
        if not self._viewers and self._loop is not None:
            loop, self._loop = self._loop, None
            self._known = {}
            if loop.running:
                loop.stop()

    def _collect(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._tell(self._loop)).addErrback(self._failed, self._loop)

    async def _tell(self, loop: LoopingCall | None) -> None:
        """Ask the instance, one question after the other, and tell those who watch then."""
        limit = max((viewer.limit for viewer in self._viewers), default=1)
        status = await self._instance.status()
        sessions = await self._instance.sessions(limit)
        is_ready = await self._instance.is_ready()
        requests = await self._requests(status)
        fleet = await self._instance.fleets.members()
        if loop is self._loop:  # otherwise those who have asked for it have left meanwhile
            before, self._known = self._known, _rows(sessions)
            common = {"at": self._now(), "ready": is_ready, "requests": requests, "status": status}
            self._send(before, common if fleet is None else {**common, "fleet": fleet[:MAX_INSTANCES]})

    def _now(self) -> float:
        return round(self._clock.seconds(), 3)

    async def _requests(self, status: Mapping[str, Any]) -> dict[str, float]:
        """How many requests the pools have seen, by the names of the services; only pools are asked."""
        pools = {service["service"] for service in status["services"] if service["pool"] is not None}
        if not pools:
            return {}
        counters = await self._instance.counters()
        return {name: sum(_results(cells)) for name, cells in counters.items() if name in pools}

    def _send(self, before: _Rows, common: Mapping[str, Any]) -> None:
        """Send a message to each viewer; those with the same limit, who know the same, get the same."""
        messages: dict[tuple[int, bool], bytes] = {}
        for viewer in tuple(self._viewers):
            if viewer.is_too_slow:
                self._drop(viewer)
            elif viewer.is_full:
                viewer.is_current = False
            else:
                kind = (viewer.limit, viewer.is_current)
                if kind not in messages:
                    known = _first(before, viewer.limit) if viewer.is_current else None
                    told = changes(known, _first(self._known, viewer.limit))
                    messages[kind] = _event({**common, "sessions": told})
                viewer.is_current = True
                viewer.write(messages[kind])

    def _failed(self, failure: Failure, loop: LoopingCall | None) -> None:
        """Say so once, and drop all: they may come back, and are then the first."""
        if loop is self._loop:
            problem = describe(cast("BaseException", failure.value))
            self._log.error("--admin: /events: {problem}", problem=problem)
            for viewer in tuple(self._viewers):
                self._drop(viewer)

    def _drop(self, viewer: Viewer) -> None:
        self.leave(viewer)
        viewer.abort()


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that goes on: what the feed has to tell.

    :param limit: the most sessions that the viewer is told of.
    """

    feed: Feed
    limit: int


def changes(before: _Rows | None, after: _Rows) -> dict[str, Any]:
    """What is told of sessions to who knows those ``before``; None knows none, and is told all.

    The age of a session changes by itself: a row that differs in nothing else is not told again.
    """
    if before is None:
        return {"keys": SESSION_KEYS, "rows": list(after.values())}
    rows = [row for number, row in after.items() if number not in before or _differ(before[number], row)]
    return {"rows": rows, "gone": [number for number in before if number not in after]}


_AGE: Final = SESSION_KEYS.index("seconds")


def _differ(before: list[Any], row: list[Any]) -> bool:
    return before[:_AGE] != row[:_AGE] or before[_AGE + 1 :] != row[_AGE + 1 :]


def _rows(sessions: Iterable[Mapping[str, Any]]) -> _Rows:
    return {session["id"]: [session[key] for key in SESSION_KEYS] for session in sessions}


def _first(rows: _Rows, limit: int) -> _Rows:
    return rows if len(rows) <= limit else dict(list(rows.items())[:limit])


def _results(cells: Sequence[float]) -> Sequence[float]:
    return cells[RESULT_CELLS : RESULT_CELLS + len(RESULTS)]


def _event(message: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(message, separators=(",", ":")).encode() + b"\n\n"
