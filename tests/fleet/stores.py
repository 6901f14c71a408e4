"""A store in memory, whose answers come at once, later or never, as a test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, Logger, formatEvent
from zope.interface import implementer

from proxymux.errors import EtcdError
from proxymux.fleet.store import LEASE_NOT_FOUND

_T = TypeVar("_T")


class FakeStore:
    """A :class:`~proxymux.fleet.store.Store`.  Leases end as the clock says."""

    name = "etcd://etcd.test:2379/fleet/"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.values: dict[str, tuple[str, int]] = {}
        #: When each lease ends, and how long it lasts.
        self.leases: dict[int, tuple[float, int]] = {}
        self.asked: list[str] = []
        #: What is answered instead; it may be used up, the last first.
        self.faults: list[EtcdError] = []
        #: Every question fails with it.
        self.is_away: EtcdError | None = None
        #: No question is answered.
        self.hangs = False
        self.late: list[Callable[[], None]] = []
        #: The next question is done, but its answer is lost.
        self.loses_answer = False
        self.is_closed = False

    def _answer(self, question: str, do: Callable[[], _T]) -> Deferred[_T]:
        self.asked.append(question)
        if self.hangs:
            hanging: Deferred[_T] = Deferred()
            self.late.append(lambda: self._fire(hanging, do))
            return hanging
        result: Deferred[_T] = Deferred()
        self._fire(result, do)
        return result

    def answer_late(self) -> None:
        """Answer the questions that hang, and hang no more."""
        self.hangs = False
        late, self.late = self.late, []
        for answer in late:
            answer()

    def _fire(self, result: Deferred[_T], do: Callable[[], _T]) -> None:
        try:
            if self.is_away is not None:
                raise self.is_away
            if self.faults:
                raise self.faults.pop()
            self._expire()
            value = do()
            if self.loses_answer:
                self.loses_answer = False
                raise EtcdError("etcd.test: connection lost", is_unsure=True)
            result.callback(value)
        except EtcdError:
            result.errback()

    def _expire(self) -> None:
        now = self.clock.seconds()
        for lease in [lease for lease, (ends, _) in self.leases.items() if ends <= now]:
            self.end(lease)

    def end(self, lease: int) -> None:
        """End a lease."""
        self.leases.pop(lease, None)
        self.values = {key: value for key, value in self.values.items() if value[1] != lease}

    def _write(self, key: str, value: str, lease: int) -> None:
        if lease not in self.leases:
            raise EtcdError("etcd.test: requested lease not found", LEASE_NOT_FOUND)
        self.values[key] = value, lease

    def list(self, below: str) -> Deferred[list[tuple[str, bytes]]]:
        return self._answer(
            "list",
            lambda: [
                (key.removeprefix(below), value.encode())
                for key, (value, _) in sorted(self.values.items())
                if key.startswith(below)
            ],
        )

    def get(self, key: str) -> Deferred[bytes | None]:
        return self._answer("get", lambda: self.values[key][0].encode() if key in self.values else None)

    def put(self, key: str, value: str, lease: int) -> Deferred[None]:
        return self._answer("put", lambda: self._write(key, value, lease))

    def create(self, key: str, value: str, lease: int) -> Deferred[bool]:
        def create() -> bool:
            if key in self.values:
                return False
            self._write(key, value, lease)
            return True

        return self._answer("create", create)

    def grant(self, seconds: int) -> Deferred[int]:
        def grant() -> int:
            lease = len(self.asked) + 1000
            self.leases[lease] = self.clock.seconds() + seconds, seconds
            return lease

        return self._answer("grant", grant)

    def keep_alive(self, lease: int) -> Deferred[bool]:
        def keep() -> bool:
            if lease not in self.leases:
                return False
            seconds = self.leases[lease][1]
            self.leases[lease] = self.clock.seconds() + seconds, seconds
            return True

        return self._answer("keep_alive", keep)

    def revoke(self, lease: int) -> Deferred[None]:
        return self._answer("revoke", lambda: self.end(lease))

    def close(self) -> None:
        self.is_closed = True


def refused() -> EtcdError:
    """Nobody listens there."""
    return EtcdError("etcd.test: connection refused")


class Lines:
    """A log, and what was written to it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            self.lines.append(formatEvent(event))

        self.log = Logger("test", observer=observe)


def results_of(waiting: Deferred[Any]) -> list[Any]:
    """What comes of it, once that is there: the value, or the failure."""
    results: list[Any] = []
    waiting.addBoth(results.append)
    return results
