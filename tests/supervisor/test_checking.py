"""Checks of targets with several workers, which the test plays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxymux.supervisor.checking import MOST_FAILING, Checking, CheckResults


class FakeWorker:
    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any]) -> None:
        self.heard.append(message)

    @property
    def is_checker(self) -> bool:
        said = [message["is_checker"] for message in self.heard if message["do"] == "check"]
        return bool(said) and bool(said[-1])


class FakePlace:
    def __init__(self) -> None:
        self.worker: FakeWorker | None = FakeWorker()
        self.leaving: list[FakeWorker] = []
        self.is_serving = True

    @property
    def workers(self) -> list[FakeWorker]:
        return [*([] if self.worker is None else [self.worker]), *self.leaving]


def checking_of(places: list[FakePlace]) -> Any:
    return Checking(places)  # type: ignore[arg-type]


def test_the_first_that_serves_checks_and_the_next_when_it_serves_no_more() -> None:
    first, second = places = [FakePlace(), FakePlace()]
    assert first.worker is not None
    assert second.worker is not None
    checking = checking_of(places)
    first.is_serving = False
    checking.choose()
    assert (first.worker.is_checker, second.worker.is_checker) == (False, True)
    first.is_serving = True
    checking.choose()
    checking.choose()
    assert (first.worker.is_checker, second.worker.is_checker) == (True, False)
    assert len(first.worker.heard) == 1
    before, first.worker = first.worker, None
    first.is_serving = False
    checking.choose()
    assert (before.is_checker, second.worker.is_checker) == (False, True)


def test_a_successor_checks_in_the_place_of_the_one_before() -> None:
    place = FakePlace()
    checking = checking_of([place])
    checking.choose()
    before = place.worker
    assert before is not None
    place.leaving, place.worker = [before], FakeWorker()
    checking.choose()
    assert (before.is_checker, place.worker.is_checker) == (False, True)


def test_where_nobody_serves_nobody_checks() -> None:
    place = FakePlace()
    place.is_serving = False
    checking_of([place]).choose()
    assert place.workers[0].heard == []


def test_what_one_has_found_the_others_are_told_also_those_that_leave() -> None:
    places = [FakePlace(), FakePlace()]
    teller, other = (place.worker for place in places)
    assert teller is not None
    assert other is not None
    leaving = FakeWorker()
    places[0].leaving.append(leaving)
    results = [("users", "a:1", "refused"), ("users", "b:1", None)]
    checking_of(places).tell(teller, results)
    assert teller.heard == []
    assert other.heard == leaving.heard == [{"do": "checked", "results": results}]


def test_a_worker_that_starts_is_told_what_fails_at_that_time() -> None:
    checking = checking_of([])
    checking.tell(FakeWorker(), [("users", "a:1", "refused"), ("users", "b:1", "late"), ("others", "a:1", "refused")])
    checking.tell(FakeWorker(), [("users", "a:1", None), ("users", "b:1", "later"), ("users", "c:1", None)])
    assert sorted(checking.failing) == [("others", "a:1", "refused"), ("users", "b:1", "later")]


def test_targets_that_have_left_take_no_place_of_those_that_fail_now() -> None:
    checking = checking_of([])
    checking.tell(FakeWorker(), [("users", f"a:{number}", "refused") for number in range(MOST_FAILING)])
    checking.tell(FakeWorker(), [("users", "a:0", "refused"), ("users", "b:1", "refused")])
    failing = {target for _, target, _ in checking.failing}
    assert len(failing) == MOST_FAILING
    assert {"a:0", "b:1"} < failing
    assert "a:1" not in failing


def test_results_are_told_together() -> None:
    sent: list[dict[str, Any]] = []
    soon: list[Callable[[], None]] = []
    results = CheckResults(sent.append, soon.append)
    results.add("users", "a:1", None)
    results.add("users", "b:1", "refused")
    assert sent == []
    (tell,) = soon
    tell()
    assert sent == [{"is": "checked", "results": [("users", "a:1", None), ("users", "b:1", "refused")]}]
    results.add("users", "a:1", None)
    assert len(soon) == 2
