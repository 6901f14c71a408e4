"""A place, whose worker is replaced when it ends, and when a fresh one is wanted."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import formatEvent

from proxymux.supervisor.place import Place
from tests.supervisor.standing_in import FakeWorker, logger_to


class Around:
    """The surroundings of a place."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.lines: list[str] = []
        self.made: list[FakeWorker] = []
        self.told: list[str] = []
        self.refuses = False
        log = logger_to(lambda event: self.lines.append(formatEvent(event)))
        self.place = Place(2, self, self.clock, log)

    def make_worker(self, place: Place) -> Any:
        if self.refuses:
            raise OSError(11, "no more processes")
        self.made.append(FakeWorker(place, len(self.made) + 1, self.clock))
        return self.made[-1]

    def place_served(self, place: Place) -> None:
        self.told.append("served")

    def place_deserted(self, place: Place) -> None:
        self.told.append("deserted")

    def place_renewed(self, place: Place, limit: float | None) -> None:
        self.told.append(f"renewed, {limit}")

    def worker_gone(self, worker: Any) -> None:
        self.told.append(f"{worker.serial} gone")

    def worker_said(self, worker: Any, message: Any, descriptors: list[int]) -> None:
        self.told.append(f"{worker.serial} said {message}")

    @property
    def last(self) -> FakeWorker:
        return self.made[-1]


@pytest.fixture
def around() -> Around:
    return Around()


@pytest.fixture
def serving(around: Around) -> Around:
    """A place whose first worker serves."""
    around.place.start()
    around.last.is_ready()
    assert around.told == ["served"]
    around.told.clear()
    return around


def test_a_worker_that_dies_is_replaced_at_once_and_a_neighbour_is_asked_meanwhile(serving: Around) -> None:
    serving.last.ends("killed by signal 9")
    assert serving.lines == ["worker 2 (process 1001) has ended: killed by signal 9"]
    assert not serving.place.is_serving
    serving.clock.advance(0)
    assert len(serving.made) == 2
    serving.last.is_ready()
    assert serving.place.is_serving
    assert serving.told == ["deserted", "1 gone", "served"]
    assert serving.place.restarts == 1


def test_one_that_dies_as_soon_as_it_serves_is_replaced_later(serving: Around) -> None:
    serving.last.ends("killed by signal 9")
    serving.clock.advance(0)
    serving.last.is_ready()
    serving.told.clear()
    serving.last.ends("killed by signal 9")
    assert serving.told == ["deserted", "2 gone"]
    assert serving.lines[-1] == "worker 2 is started again in 1 s"
    serving.clock.advance(0.9)
    assert len(serving.made) == 2
    serving.clock.advance(0.2)
    assert len(serving.made) == 3


def test_one_that_cannot_start_is_tried_again_ever_later(around: Around) -> None:
    around.place.start()
    for delay in (0, 1, 2, 4, 8, 16, 30, 30):
        around.last.fails("router.py:1: oh no")
        assert around.told[-1] == f"{around.last.serial} gone"
        assert "deserted" in around.told
        around.told.clear()
        made = len(around.made)
        around.clock.advance(max(0, delay - 0.1))
        assert len(around.made) == made + (delay == 0)
        around.clock.advance(0.1)
        assert len(around.made) == made + 1
    assert around.lines[0] == "worker 2 cannot start: router.py:1: oh no"


def test_a_system_without_processes_is_asked_again(around: Around) -> None:
    around.refuses = True
    around.place.start()
    assert around.lines == ["worker 2 cannot be started: [Errno 11] no more processes"]
    assert around.told == ["deserted"]
    around.clock.advance(0)
    around.refuses = False
    around.clock.advance(1)
    assert around.place.worker is around.last  # type: ignore[comparison-overlap]


def test_who_has_served_for_long_is_replaced_at_once_again(serving: Around) -> None:
    for _ in range(5):
        serving.clock.advance(10)
        serving.last.ends("killed by signal 9")
        made = len(serving.made)
        serving.clock.advance(0)
        assert len(serving.made) == made + 1
        serving.last.is_ready()


def test_a_closed_place_starts_nobody(serving: Around) -> None:
    serving.last.ends("killed by signal 9")
    serving.place.close()
    serving.clock.advance(100)
    assert len(serving.made) == 1
    serving.place.start()
    assert len(serving.made) == 1
    assert serving.place.workers == []


def test_a_worker_that_was_told_to_end_is_no_error(serving: Around) -> None:
    serving.place.close()
    serving.last.ends()
    assert serving.lines == []
    assert serving.told == ["1 gone"]


@pytest.mark.parametrize("is_successor", [False, True])
def test_a_process_that_does_not_serve_in_a_minute_is_killed(serving: Around, is_successor: bool) -> None:
    if is_successor:
        serving.place.succeed()
    else:
        serving.last.ends("killed by signal 9")
        serving.clock.advance(0)
    serving.clock.advance(59.9)
    assert not serving.last.is_killed
    serving.clock.advance(0.2)
    assert serving.last.is_killed
    assert serving.lines[-1] == "worker 2 does not serve after 60 s and is killed"
    assert not serving.made[0].is_killed


def test_one_that_serves_or_has_ended_in_time_is_not(serving: Around) -> None:
    assert serving.clock.getDelayedCalls() == []
    serving.place.succeed()
    serving.last.fails("oh no")
    assert serving.clock.getDelayedCalls() == []


# Successors


def results(place: Place) -> list[str | None]:
    found: list[str | None] = []
    place.succeed().addCallback(found.append)
    return found


def test_a_successor_takes_the_place_when_it_serves(serving: Around) -> None:
    old, done = serving.last, results(serving.place)
    new = serving.last
    assert serving.place.worker is old  # type: ignore[comparison-overlap]
    assert done == []
    assert serving.place.workers == [old, new]  # type: ignore[comparison-overlap]
    new.is_ready()
    assert done == [None]
    assert serving.place.worker is new  # type: ignore[comparison-overlap]
    assert serving.place.leaving == [old]  # type: ignore[comparison-overlap]
    old.ends()
    assert serving.place.workers == [new]  # type: ignore[comparison-overlap]
    assert serving.place.restarts == 0
    assert "deserted" not in serving.told


@pytest.mark.parametrize("how", ["fails", "ends"])
def test_a_successor_that_fails_leaves_the_old_one_where_it_is(serving: Around, how: str) -> None:
    old, done = serving.last, results(serving.place)
    if how == "fails":
        serving.last.fails("router.py:1: oh no")
        assert done == ["router.py:1: oh no"]
    else:
        serving.last.ends("killed by signal 9")
        assert done == ["the new process has ended"]
    assert serving.place.is_serving
    assert serving.place.workers == [old]  # type: ignore[comparison-overlap]
    assert results(serving.place) == []


def test_no_process_for_a_successor_is_a_reason_to_stay(serving: Around) -> None:
    serving.refuses = True
    assert results(serving.place) == ["[Errno 11] no more processes"]
    assert serving.place.is_serving


def test_a_successor_that_dies_later_is_replaced_as_any_worker(serving: Around) -> None:
    old, _ = serving.last, results(serving.place)
    new = serving.last
    new.is_ready()
    new.ends("killed by signal 9")
    serving.clock.advance(0)
    assert serving.place.worker is serving.last  # type: ignore[comparison-overlap]
    assert serving.last is not new
    assert serving.place.leaving == [old]  # type: ignore[comparison-overlap]
    serving.told.clear()
    serving.last.is_ready()
    assert serving.told == ["served"]


def test_where_the_old_one_dies_the_successor_has_the_place_at_once(serving: Around) -> None:
    old, done = serving.last, results(serving.place)
    new = serving.last
    old.ends("killed by signal 9")
    assert serving.place.worker is new  # type: ignore[comparison-overlap]
    assert done == [None]
    assert not serving.place.is_serving
    new.is_ready()
    assert serving.told == ["deserted", "1 gone", "served"]
    assert serving.place.leaving == []


def test_a_worker_that_is_still_starting_is_replaced_too_as_it_may_have_read_the_old_files(around: Around) -> None:
    around.place.start()
    old, done = around.last, results(around.place)
    around.last.is_ready()
    assert done == [None]
    assert around.place.leaving == [old]  # type: ignore[comparison-overlap]


def test_where_the_next_start_is_waited_for_it_is_done_at_once(around: Around) -> None:
    around.place.start()
    for _ in range(2):
        around.last.fails("router.py:1: oh no")
        around.clock.advance(0)
    assert len(around.made) == 2
    assert results(around.place) == [None]
    assert len(around.made) == 3


def test_one_rollover_at_a_time_and_none_of_a_closed_place(serving: Around) -> None:
    assert results(serving.place) == []
    assert results(serving.place) == ["worker 2 is being replaced already"]
    serving.place.close()
    assert results(serving.place) == ["the service is being stopped"]
    assert len(serving.made) == 2


def test_a_worker_that_somebody_else_tells_to_end_is_replaced_first(serving: Around) -> None:
    old = serving.last
    serving.place.worker_leaves(old, 7.0)  # type: ignore[arg-type]
    assert serving.place.is_serving
    serving.last.is_ready()
    assert serving.place.leaving == [old]  # type: ignore[comparison-overlap]
    assert serving.told[-1] == "renewed, 7.0"


def test_it_ends_even_if_none_can_take_its_place(serving: Around) -> None:
    old = serving.last
    serving.place.worker_leaves(old, 7.0)  # type: ignore[arg-type]
    serving.last.fails("router.py:1: oh no")
    assert serving.place.leaving == [old]  # type: ignore[comparison-overlap]
    assert "deserted" in serving.told
    assert "renewed, 7.0" in serving.told
    serving.clock.advance(0)
    assert serving.place.worker is serving.last  # type: ignore[comparison-overlap]
