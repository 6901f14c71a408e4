"""What stands in for worker processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, Logger
from zope.interface import implementer

from proxymux.supervisor.place import Place
from proxymux.supervisor.worker import Equipment, NoAnswer


@implementer(ILogObserver)
class _Noting:
    def __init__(self, note: Callable[[LogEvent], None]) -> None:
        self._note = note

    def __call__(self, event: LogEvent) -> None:
        self._note(event)


def logger_to(note: Callable[[LogEvent], None]) -> Logger:
    """A logger whose events are noted by ``note``."""
    return Logger("test", observer=_Noting(note))


class FakeWorker:
    """A worker without a process: does nothing but what a test says."""

    def __init__(self, place: Place, serial: int, clock: Clock) -> None:
        self.number, self.serial, self.pid = place.number, serial, 1000 + serial
        self.name = f"worker {self.number}"
        self.ready_at: float | None = None
        self.is_leaving = self.has_cut = self.is_killed = self.is_aborted = False
        self.limits: list[float | None] = []
        self.sent: list[tuple[dict[str, Any], list[int]]] = []
        self.asked: list[tuple[str, Deferred[Any]]] = []
        self._place, self._clock = place, clock

    # What the process does

    def is_ready(self) -> None:
        self.ready_at = self._clock.seconds()
        self._place.worker_ready(self)  # type: ignore[arg-type]

    def fails(self, problem: str) -> None:
        self._place.worker_failed(self, problem)  # type: ignore[arg-type]
        self.ends("exit status 1")

    def ends(self, how: str = "") -> None:
        for _, question in self.asked:
            if not question.called:
                question.errback(NoAnswer(self.name))
        self._place.worker_ended(self, how)  # type: ignore[arg-type]

    # What it is told

    def spawn(self, equipment: Equipment) -> None:
        self.equipment = equipment

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        self.sent.append((message, list(descriptors)))

    def ask(self, what: str, descriptors: Sequence[int] = (), patience: float | None = 1, **_: object) -> Deferred[Any]:
        self.asked.append((what, Deferred()))
        return self.asked[-1][1]

    def stop(self, limit: float | None) -> None:
        self.is_leaving = True
        self.limits.append(limit)

    def abort(self) -> None:
        self.is_leaving = self.is_aborted = True

    def kill(self) -> None:
        self.is_killed = True
