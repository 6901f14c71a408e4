"""Workers that do not answer, where systemd would not see it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger

from proxymux.supervisor.watching import Watching
from proxymux.supervisor.worker import NoAnswer


class Asked:
    """A worker, as far as it is watched."""

    def __init__(self, ready_at: float | None = 0.0) -> None:
        self.ready_at = ready_at
        self.name = "worker 1"
        self.pid = 4711
        self.is_ended = False
        self.is_killed = False
        self.questions: list[Deferred[Any]] = []
        self.patience = 0.0

    def ask(self, what: str, patience: float) -> Deferred[Any]:
        assert what == "alive"
        self.patience = patience
        self.questions.append(Deferred())
        return self.questions[-1]

    def kill(self) -> None:
        self.is_killed = True


def watch(limit: float, *workers: Asked) -> tuple[Watching, Clock, list[LogEvent]]:
    clock, lines = Clock(), list[LogEvent]()
    watching = Watching(limit, lambda: workers, clock, Logger(observer=lines.append))  # type: ignore[return-value,arg-type]
    watching.start()
    return watching, clock, lines


def test_who_answers_is_asked_again_and_who_does_not_is_killed() -> None:
    alive, stuck, starting = Asked(), Asked(), Asked(ready_at=None)
    watching, clock, lines = watch(10, alive, stuck, starting)
    clock.advance(5)
    assert alive.patience == 10
    alive.questions[0].callback(True)
    clock.advance(5)
    assert (len(alive.questions), len(stuck.questions), starting.questions) == (2, 1, [])
    stuck.questions[0].errback(NoAnswer("worker 1"))
    assert (alive.is_killed, stuck.is_killed) == (False, True)
    assert [line["log_format"] for line in lines] == [
        "{worker} (process {pid}) has not answered for {limit:g} s and is killed"
    ]
    watching.stop()
    assert not clock.getDelayedCalls()


def test_who_has_ended_needs_no_killing() -> None:
    gone = Asked()
    watching, clock, lines = watch(10, gone)
    clock.advance(5)
    gone.is_ended = True
    gone.questions[0].errback(NoAnswer("worker 1"))
    assert (gone.is_killed, lines) == (False, [])
    watching.stop()


def test_without_a_limit_nobody_is_asked() -> None:
    watching, clock, _ = watch(0, Asked())
    assert not clock.getDelayedCalls()
    watching.stop()
