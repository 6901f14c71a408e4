"""Holds over all workers, which the test plays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from proxymux.errors import BadAddress, NoMember, NotHeld
from proxymux.supervisor.instance import Supervised, WorkersInstance
from proxymux.supervisor.shared_drains import SharedDrains
from proxymux.supervisor.shared_holds import SharedHolds
from proxymux.supervisor.worker import NoAnswer


class FakeWorker:
    """A worker that answers as it is told."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.ready_at: float | None = None
        self.asked: list[tuple[str, str]] = []
        self._answer = answer

    def ask(self, what: str, descriptors: object, patience: float, target: str, cluster: str | None) -> Deferred[Any]:
        self.asked.append((what, target))
        return maybe(self._answer)


def maybe(answer: Callable[[], Any]) -> Deferred[Any]:
    try:
        return succeed(answer())
    except NoAnswer as error:
        return fail(error)


def gone() -> Any:
    raise NoAnswer("worker 1")


def not_held() -> Any:
    return {"refused": "NotHeld", "text": "none of the pool's"}


def no_member() -> Any:
    return {"refused": "NoMember", "text": "no target of the cluster users"}


class FakeSupervisor:
    def __init__(self, *answers: Callable[[], Any]) -> None:
        self.workers = [FakeWorker(answer) for answer in answers]
        self.holds = SharedHolds(Clock().seconds)
        self.drains = SharedDrains()


def instance_of(supervisor: FakeSupervisor) -> WorkersInstance:
    return WorkersInstance(cast("Supervised", supervisor))


def result(deferred: Deferred[bool]) -> object:
    """What it has fired with, or the text of its error."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    [found] = results
    if isinstance(found, bool):
        return found
    found.trap(BadAddress, NotHeld, NoMember)
    return str(found.value)


def test_every_worker_is_told_also_one_that_does_not_serve_yet() -> None:
    supervisor = FakeSupervisor(lambda: True, lambda: True)
    supervisor.workers[0].ready_at = 1.0
    assert result(instance_of(supervisor).hold("a:1")) is True
    assert result(instance_of(supervisor).release("a:1")) is True
    assert [worker.asked for worker in supervisor.workers] == [[("hold", "a:1"), ("release", "a:1")]] * 2
    assert supervisor.holds.targets == []


def test_what_one_worker_at_least_holds_is_held() -> None:
    supervisor = FakeSupervisor(not_held, lambda: True)
    assert result(instance_of(supervisor).hold("a:1")) is True
    assert supervisor.holds.targets == ["a:1"]


def test_what_no_worker_can_hold_is_not_remembered() -> None:
    supervisor = FakeSupervisor(not_held, not_held, gone)
    assert result(instance_of(supervisor).hold("a:1")) == "none of the pool's"
    assert supervisor.holds.targets == []


def test_what_is_held_while_no_worker_answers_is_remembered_for_the_next() -> None:
    supervisor = FakeSupervisor(gone)
    assert result(instance_of(supervisor).hold("a:1")) is True
    assert supervisor.holds.targets == ["a:1"]


def test_what_changes_nothing_says_so_and_no_worker_hears_of_what_is_no_target() -> None:
    supervisor = FakeSupervisor(lambda: False)
    instance = instance_of(supervisor)
    supervisor.holds.hold("a:1")
    assert result(instance.hold("a:1")) is False
    assert result(instance.release("b:1")) is False
    asked = len(supervisor.workers[0].asked)
    assert str(result(instance.hold("nowhere"))).startswith("'nowhere' is not")
    assert str(result(instance.release("nowhere"))).startswith("'nowhere' is not")
    assert len(supervisor.workers[0].asked) == asked


def test_what_is_drained_is_remembered_until_it_is_enabled() -> None:
    supervisor = FakeSupervisor(lambda: True, no_member)
    instance = instance_of(supervisor)
    assert result(instance.drain_target("a:1", "users")) is True
    assert supervisor.drains.members == [("users", "a:1")]
    assert result(instance.enable_target("a:1", "users")) is True
    assert supervisor.drains.members == []
    assert supervisor.workers[0].asked == [("drain", "a:1"), ("enable", "a:1")]


def test_what_is_no_member_anywhere_is_neither_drained_nor_held() -> None:
    supervisor = FakeSupervisor(no_member, no_member)
    instance = instance_of(supervisor)
    for steer in (instance.drain_target, instance.enable_target, instance.hold, instance.release):
        assert result(steer("a:1", "users")) == "no target of the cluster users"
    assert (supervisor.drains.members, supervisor.holds.targets) == ([], [])
    assert str(result(instance.drain_target("nowhere", "users"))).startswith("'nowhere' is not")
