"""The gate, which is shut while there is no room."""

from __future__ import annotations

import errno

import pytest
from twisted.internet.task import Clock
from twisted.logger import Logger

from proxymux.net.accept_gate import AcceptGate
from proxymux.net.lingering import Lingering
from proxymux.net.memory import MemoryConnection
from proxymux.net.timers import Timers


class Scene:
    def __init__(self) -> None:
        self.clock = Clock()
        self.lines: list[str] = []
        timers = Timers(self.clock, Logger())
        self.lingering = Lingering(timers)
        self.gate = AcceptGate(timers, self.lingering, self.lines.append)
        self.opened: list[str] = []

    def linger(self, count: int) -> list[MemoryConnection]:
        connections = [MemoryConnection() for _ in range(count)]
        for each in connections:
            self.lingering.begin(each, lambda: None)
        return connections

    def wait(self, name: str) -> None:
        self.gate.wait(lambda: self.opened.append(name))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_it_is_shut_while_there_are_as_many_sessions_as_may_be(scene: Scene) -> None:
    scene.gate.capacity = 2
    scene.gate.enter()
    assert not scene.gate.is_shut
    scene.gate.enter()
    assert scene.gate.is_shut
    scene.wait("one")
    scene.wait("two")
    assert len(scene.lines) == 1
    assert "2 sessions" in scene.lines[0]
    scene.gate.leave()
    assert scene.opened == ["one", "two"]
    assert not scene.gate.is_shut


def test_it_opens_once_for_who_waits(scene: Scene) -> None:
    scene.gate.capacity = 1
    scene.gate.enter()
    scene.wait("one")
    scene.gate.leave()
    scene.gate.enter()
    scene.gate.leave()
    assert scene.opened == ["one"]


def test_it_shuts_when_the_system_has_nothing_left_and_looks_again(scene: Scene) -> None:
    scene.gate.shut(OSError(errno.EMFILE, "Too many open files"))
    scene.wait("one")
    assert scene.gate.is_shut
    assert len(scene.lines) == 1
    assert "Too many open files" in scene.lines[0]
    scene.gate.enter()
    scene.gate.leave()
    assert scene.opened == []
    scene.clock.advance(0.2)
    assert scene.opened == ["one"]
    assert not scene.gate.is_shut


def test_a_session_takes_the_descriptors_of_the_oldest_that_linger(scene: Scene) -> None:
    scene.gate.capacity = 3
    connections = scene.linger(5)
    for left in (4, 2, 0):
        scene.gate.enter()
        assert [each.is_lost for each in connections] == [True] * (5 - left) + [False] * left
    assert scene.gate.is_shut


def test_without_a_capacity_they_stay(scene: Scene) -> None:
    connections = scene.linger(5)
    scene.gate.enter()
    assert not any(each.is_lost for each in connections)


def test_they_are_closed_where_the_system_has_nothing_left(scene: Scene) -> None:
    connections = scene.linger(65)
    assert scene.gate.make_room()
    assert [each.is_lost for each in connections] == [True] * 64 + [False]
    assert scene.gate.make_room()
    assert not scene.gate.make_room()


def test_closed_it_tells_nobody(scene: Scene) -> None:
    scene.gate.capacity = 1
    scene.gate.enter()
    scene.wait("one")
    scene.gate.shut(OSError(errno.EMFILE, "Too many open files"))
    scene.gate.close()
    scene.gate.leave()
    scene.clock.advance(1)
    assert scene.opened == []
