"""The instances of a fleet, for an endpoint that may be asked often."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from proxymux.fleet.known_instances import FRESH, PATIENCE, KnownInstances
from tests.fleet.stores import FakeStore, refused, results_of


class Scene:
    """A store with instances."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = FakeStore(self.clock)
        self.known = KnownInstances(self.store, self.clock)
        self.add("b", "a")

    def add(self, *names: str) -> None:
        for name in names:
            self.store.values[f"instances/{name}"] = "{}", 0

    def ask(self) -> list[list[str]]:
        """The ids, once they are told."""
        told: list[list[str]] = []
        self.known.members().addCallback(lambda members: told.append([each.id for each in members]))
        return told


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_they_are_sorted_by_their_ids(scene: Scene) -> None:
    assert scene.ask() == [["a", "b"]]


def test_etcd_is_asked_not_more_often_than_it_changes_for_a_reader(scene: Scene) -> None:
    scene.ask()
    scene.add("c")
    scene.clock.advance(FRESH - 0.1)
    assert scene.ask() == [["a", "b"]]
    scene.clock.advance(0.2)
    assert scene.ask() == [["a", "b", "c"]]
    assert scene.store.asked == ["list", "list"]


def test_who_asks_meanwhile_waits_for_the_same_answer_and_not_for_long(scene: Scene) -> None:
    scene.store.hangs = True
    first, second = scene.ask(), scene.ask()
    scene.clock.advance(PATIENCE - 0.1)
    assert first == second == []
    scene.clock.advance(0.2)
    assert first == second == [[]]
    assert scene.store.asked == ["list"]
    scene.known.stop()
    assert scene.clock.getDelayedCalls() == []


def test_while_etcd_is_away_the_last_ones_are_told_at_once(scene: Scene) -> None:
    scene.ask()
    scene.store.is_away = refused()
    scene.clock.advance(FRESH)
    assert scene.ask() == [["a", "b"]]
    scene.store.is_away, scene.store.hangs = None, True
    scene.clock.advance(FRESH)
    assert scene.ask() == [["a", "b"]]
    scene.known.stop()


def test_an_answer_that_comes_too_late_is_told_the_next(scene: Scene) -> None:
    scene.store.hangs = True
    asked = scene.ask()
    scene.clock.advance(PATIENCE)
    assert asked == [[]]
    scene.known.stop()
    scene.store.hangs = False
    scene.clock.advance(FRESH)
    assert scene.ask() == [["a", "b"]]


def test_a_stop_answers_those_who_wait(scene: Scene) -> None:
    scene.store.hangs = True
    asked = scene.ask()
    scene.known.stop()
    assert asked == [[]]
    assert results_of(scene.known.members()) == [[]]
    assert scene.clock.getDelayedCalls() == []
