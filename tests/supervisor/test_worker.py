"""A worker as the supervisor sees it, with a reactor that starts no process."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.logger import formatEvent
from twisted.python.failure import Failure

from proxymux.supervisor.channel import Channel, open_channel
from proxymux.supervisor.worker import CHANNEL, FIRST_GIVEN, PROGRAM, Equipment, NoAnswer, Worker
from tests.services.peers import in_reactor, settle, until
from tests.supervisor.standing_in import logger_to


class Scene:
    """A worker, and what would be its process: the other end of its channel."""

    def __init__(self) -> None:
        from twisted.internet import reactor

        self.clock = Clock()
        self.told: list[Any] = []
        self.heard: list[dict[str, Any]] = []
        self.lines: list[str] = []
        self.signals: list[str] = []
        self.children: dict[int, Any] = {}
        self.process = Channel(lambda message, _: self.heard.append(message), lambda: None)
        self._reactor: Any = reactor
        log = logger_to(lambda event: self.lines.append(formatEvent(event)))
        self.worker = Worker(2, 7, self, self.clock, log, self)  # type: ignore[arg-type]
        self.pid: int | None = 4711

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def spawnProcess(self, protocol: Any, program: str, arguments: list[str], *, env: Any, childFDs: Any) -> Any:
        assert env is None
        assert arguments == [program, "-m", PROGRAM, str(CHANNEL)]
        self.children = dict(childFDs)
        open_channel(self._reactor, socket.socket(fileno=os.dup(childFDs[CHANNEL])), self.process)
        protocol.transport = self
        return self

    def signalProcess(self, name: str) -> None:
        self.signals.append(name)

    def worker_ready(self, worker: Worker) -> None:
        self.told.append("ready")

    def worker_failed(self, worker: Worker, problem: str) -> None:
        self.told.append(problem)

    def worker_said(self, worker: Worker, message: Any, descriptors: list[int]) -> None:
        self.told.append(message)

    def worker_ended(self, worker: Worker, how: str) -> None:
        self.told.append(("ended", how))

    async def hears(self, count: int) -> list[dict[str, Any]]:
        await until(lambda: len(self.heard) >= count, f"{count} messages")
        return self.heard

    async def tells(self, count: int) -> list[Any]:
        await until(lambda: len(self.told) >= count, f"{count} events")
        return self.told


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    made.worker.spawn(Equipment({"first": "message"}, [0, 1]))
    yield made
    if not made.worker.is_ended:
        made.worker.processEnded(Failure(ProcessDone(0)))
    made.process.close()
    assert made.clock.getDelayedCalls() == []


@in_reactor
async def test_it_is_given_its_message_and_its_descriptors(scene: Scene) -> None:
    assert await scene.hears(1) == [{"first": "message"}]
    assert scene.worker.pid == 4711
    assert {number: scene.children[number] for number in (FIRST_GIVEN, FIRST_GIVEN + 1)} == {4: 0, 5: 1}
    assert (scene.children[1], scene.children[2]) == ("r", "r")


@in_reactor
async def test_it_says_what_becomes_of_it(scene: Scene) -> None:
    scene.clock.advance(3)
    scene.process.send({"is": "ready"})
    scene.process.send({"is": "failed", "problem": "oh no"})
    scene.process.send({"is": "something else"})
    assert await scene.tells(3) == ["ready", "oh no", {"is": "something else"}]
    assert scene.worker.ready_at == 3


@in_reactor
async def test_answers_find_their_questions(scene: Scene) -> None:
    answers: list[Any] = []

    def answered(answer: Any, what: str) -> None:
        answers.append((what, answer))

    for what in ("one", "two"):
        scene.worker.ask(what, detail=5).addCallback(answered, what)
    heard = await scene.hears(3)
    assert heard[1:] == [{"ask": what, "number": at, "detail": 5} for at, what in ((1, "one"), (2, "two"))]
    for number in (2, 1, 1, 99):
        scene.process.send({"answer": number, "number": number})
    await until(lambda: len(answers) == 2, "the answers")
    await settle()
    assert answers == [("two", 2), ("one", 1)]


@in_reactor
async def test_a_question_is_not_waited_for_in_vain(scene: Scene) -> None:
    failures: list[str] = []

    def failed(failure: Failure, what: str) -> None:
        failure.trap(NoAnswer)
        failures.append(what)

    scene.worker.ask("late").addErrback(failed, "late")
    scene.worker.ask("patient", patience=None).addErrback(failed, "patient")
    scene.clock.advance(10)
    assert failures == ["late"]
    scene.clock.advance(1000)
    assert failures == ["late"]
    scene.process.send({"answer": 1, "number": 1})  # too late
    await settle()
    scene.worker.processEnded(Failure(ProcessDone(0)))
    assert failures == ["late", "patient"]
    scene.worker.ask("after").addErrback(failed, "after")
    assert failures == ["late", "patient", "after"]


@pytest.mark.parametrize(
    ("is_leaving", "reason", "how", "has_cut"),
    [
        (False, ProcessTerminated(1), "exit status 1", False),
        (False, ProcessTerminated(signal=9), "killed by signal 9", False),
        (False, ProcessDone(0), "exit status 0", False),
        (True, ProcessDone(0), "", False),
        (True, ProcessTerminated(1), "", True),
    ],
)
@in_reactor
async def test_how_it_has_ended(scene: Scene, is_leaving: bool, reason: Exception, how: str, has_cut: bool) -> None:
    if is_leaving:
        scene.worker.stop(5)
        assert (await scene.hears(2))[1] == {"do": "stop", "limit": 5}
    scene.worker.childDataReceived(1, b'{"level": "info", "message": "hi"}\nlast wo')
    scene.worker.childDataReceived(2, b"rds")
    scene.worker.processEnded(Failure(reason))
    assert scene.told == [("ended", how)]
    assert scene.worker.has_cut == has_cut
    assert scene.lines == ["worker 2: hi", "worker 2: last words"]
    scene.worker.kill()
    assert scene.signals == []


@in_reactor
async def test_one_that_cannot_be_spoken_to_any_more_is_killed(scene: Scene) -> None:
    await scene.hears(1)
    scene.process.close()
    await until(lambda: scene.clock.getDelayedCalls(), "the end of the channel")
    scene.clock.advance(9.9)
    assert scene.signals == []
    scene.clock.advance(0.2)
    assert scene.signals == ["KILL"]
