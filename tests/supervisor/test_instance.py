"""What the admin endpoint of a supervisor shows: all workers as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from proxymux.admin.counters import BYTE_CELLS, OUTCOME_CELLS, SIZE
from proxymux.core.outcome import Outcome
from proxymux.supervisor.instance import WorkersInstance
from proxymux.supervisor.shared_holds import SharedHolds
from proxymux.supervisor.worker import NoAnswer
from tests.supervisor.standing_in import FakeWorker


class FakePlace:
    def __init__(self, number: int) -> None:
        self.number = number
        self.is_serving = True
        self.restarts = number

    def worker_ended(self, *_: object) -> None:
        """Nobody is told."""


class Supervised:
    """A supervisor of two workers that serve and of one that does not yet."""

    def __init__(self) -> None:
        self.places: list[Any] = [FakePlace(number) for number in (1, 2)]
        self.workers = [FakeWorker(place, place.number, Clock()) for place in (*self.places, self.places[0])]
        for worker in self.workers[:2]:
            worker.ready_at = 1.0
        self.cells = [0.0] * SIZE
        self.rows: Any = self
        self.idle_status = {"name": "proxymux", "uptime_seconds": 90.0, "services": [line(0)]}
        self.done: list[Any] = []
        self.holds = SharedHolds(Clock().seconds)

    def counters(self, count: int) -> list[float]:
        assert count == SIZE
        return self.cells

    def drain(self, limit: float | None) -> None:
        self.done.append(("drain", limit))

    def rollover(self) -> None:
        self.done.append("rollover")

    def answer(self, *answers: Any) -> None:
        """Have each worker answer; one whose answer is None gives none."""
        for worker, answer in zip(self.workers, answers, strict=False):
            _, question = worker.asked[-1]
            if answer is None:
                question.errback(NoAnswer(worker.name))
            else:
                question.callback(answer)


def line(connections: int) -> dict[str, Any]:
    return {
        "service": "router",
        "addresses": ["127.0.0.1:1"],
        "connections": connections,
        "most": connections,
        "total": 0,
        "draining": False,
        "outcomes": {},
        "bytes_in": 0,
        "bytes_out": 0,
        "pool": None,
        "clusters": {},
        "cluster_ages": {},
        "holds": [],
    }


def part(connections: int) -> dict[str, Any]:
    return {"name": "proxymux", "version": "1", "uptime_seconds": 5.0, "workers": [], "worker_restarts": 0,
            "services": [line(connections)]}  # fmt: skip


@pytest.fixture
def supervised() -> Supervised:
    return Supervised()


@pytest.fixture
def shown(supervised: Supervised) -> Callable[..., Any]:
    """What the instance shows when the workers have given these answers."""

    def shown(ask: Callable[[WorkersInstance], Deferred[Any]], *answers: Any) -> Any:
        results: list[Any] = []
        ask(WorkersInstance(supervised)).addCallback(results.append)  # type: ignore[arg-type]
        supervised.answer(*answers)
        assert supervised.workers[2].asked == []  # it does not serve yet
        (result,) = results
        return result

    return shown


def test_the_status_has_all_workers_and_what_those_before_them_have_counted(
    supervised: Supervised, shown: Callable[..., Any]
) -> None:
    supervised.cells[OUTCOME_CELLS + list(Outcome).index(Outcome.COMPLETED)] = 7
    supervised.cells[BYTE_CELLS], supervised.cells[BYTE_CELLS + 1] = 10, 20
    supervised.workers[1].is_leaving = True
    status = shown(WorkersInstance.status, part(3), part(4))
    assert status["workers"] == [
        {"pid": 1001, "connections": 3, "number": 1, "draining": False},
        {"pid": 1002, "connections": 4, "number": 2, "draining": True},
    ]
    assert (status["worker_restarts"], status["uptime_seconds"]) == (3, 90.0)  # not those of its workers, which change
    (service,) = status["services"]
    assert (service["connections"], service["total"], service["outcomes"]) == (7, 14, {"completed": 7})
    assert (service["bytes_in"], service["bytes_out"]) == (10, 20)


def test_a_worker_that_does_not_answer_is_left_out(shown: Callable[..., Any]) -> None:
    assert [each["pid"] for each in shown(WorkersInstance.status, None, part(4))["workers"]] == [1002]


def test_where_none_answers_there_is_still_a_status(shown: Callable[..., Any]) -> None:
    status = shown(WorkersInstance.status, None, None)
    assert status["workers"] == []
    assert status["services"][0]["total"] == 0


def test_counters_are_the_table_s(supervised: Supervised, shown: Callable[..., Any]) -> None:
    supervised.cells[3] = 5
    assert shown(WorkersInstance.counters, part(1), part(1)) == {"router": supervised.cells}


def test_a_session_is_whose_worker_has_it(shown: Callable[..., Any]) -> None:
    assert shown(lambda instance: instance.session(5), None, {"id": 5}) == {"id": 5}
    assert shown(lambda instance: instance.session(5), None, None) is None
    assert shown(lambda instance: instance.close_session(5), False, True) is True
    assert shown(lambda instance: instance.close_session(5), False, None) is False


def test_the_first_problem_of_a_reload_is_told(shown: Callable[..., Any]) -> None:
    assert shown(WorkersInstance.reload, "", "router.py:1: oh no") == "worker 2: router.py:1: oh no"
    assert shown(WorkersInstance.reload, "", "") is None


def test_texts_come_one_below_the_other(shown: Callable[..., Any]) -> None:
    text = "== worker 1, process 1001\n\none\n\n== worker 2, process 1002\n\ntwo"
    assert shown(WorkersInstance.stacks, "one", "two") == text
    assert shown(lambda instance: instance.profile(5), "one", "two") == text


def test_it_is_ready_when_every_place_is(supervised: Supervised) -> None:
    results: list[bool] = []
    instance = WorkersInstance(supervised)  # type: ignore[arg-type]
    for serving in (True, False):
        supervised.places[1].is_serving = serving
        instance.is_ready().addCallback(results.append)
    supervised.places = []
    instance.is_ready().addCallback(results.append)
    assert results == [True, False, False]


def test_it_passes_on_what_is_to_be_done(supervised: Supervised) -> None:
    instance = WorkersInstance(supervised)  # type: ignore[arg-type]
    instance.drain()
    instance.rollover()
    assert supervised.done == [("drain", None), "rollover"]
