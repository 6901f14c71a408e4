"""A rollover: one place after the other."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent

from proxymux.supervisor.rollover import Rollover
from tests.supervisor.standing_in import logger_to


class FakePlace:
    def __init__(self, number: int) -> None:
        self.number = number
        self.asked: list[Deferred[str | None]] = []

    def succeed(self) -> Deferred[str | None]:
        self.asked.append(Deferred())
        return self.asked[-1]


class Scene:
    def __init__(self) -> None:
        self.places = [FakePlace(number) for number in (1, 2, 3)]
        self.handing: list[tuple[int, float | None, Deferred[object]]] = []
        self.lines: list[str] = []
        log = logger_to(lambda event: self.lines.append(formatEvent(event)))
        self.rollover = Rollover(self.places, 60.0, self._succeeded, log)  # type: ignore[arg-type]

    def _succeeded(self, place: Any, timeout: float | None) -> Deferred[object]:
        self.handing.append((place.number, timeout, Deferred()))
        return self.handing[-1][2]

    @property
    def asked(self) -> list[int]:
        """How often each place was asked."""
        return [len(place.asked) for place in self.places]


@pytest.fixture
def scene() -> Scene:
    made = Scene()
    made.rollover.start()
    return made


def test_a_place_comes_after_the_one_before_has_handed_over(scene: Scene) -> None:
    for turn in range(3):
        assert scene.asked == [1] * (turn + 1) + [0] * (2 - turn)
        scene.places[turn].asked[0].callback(None)
        assert scene.handing[-1][:2] == (turn + 1, 60.0)
        assert scene.asked == [1] * (turn + 1) + [0] * (2 - turn)
        scene.handing[-1][2].callback(None)
    assert not scene.rollover.is_running
    assert scene.lines == ["replacing 3 workers", "all workers are replaced"]
    scene.rollover.start()
    assert scene.asked == [2, 1, 1]


def test_a_successor_that_fails_stops_it(scene: Scene) -> None:
    scene.places[0].asked[0].callback(None)
    scene.handing[0][2].callback(None)
    scene.places[1].asked[0].callback("router.py:1: oh no")
    assert not scene.rollover.is_running
    assert scene.asked == [1, 1, 0]
    assert len(scene.handing) == 1
    assert scene.lines[-1] == "the rollover stops, the old workers stay: router.py:1: oh no"
    scene.rollover.start()
    assert scene.asked == [2, 1, 0]


def test_there_is_one_at_a_time(scene: Scene) -> None:
    scene.rollover.start()
    assert scene.asked == [1, 0, 0]
    assert scene.lines[-1] == "a rollover is under way already"


def test_one_that_was_stopped_replaces_nobody_more(scene: Scene) -> None:
    scene.rollover.stop()
    scene.places[0].asked[0].callback(None)
    assert scene.handing == []
    scene = Scene()
    scene.rollover.start()
    scene.places[0].asked[0].callback(None)
    scene.rollover.stop()
    scene.handing[0][2].callback(None)
    assert scene.asked == [1, 0, 0]
    assert "all workers are replaced" not in scene.lines
