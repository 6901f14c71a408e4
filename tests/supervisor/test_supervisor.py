"""The supervisor, with workers that are no processes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import formatEvent

from proxymux.net.reactor.twisted_types import installed_reactor
from proxymux.session.listening import Listener
from proxymux.settings import Settings
from proxymux.supervisor import supervisor as supervisor_module
from proxymux.supervisor.launch import Launch
from proxymux.supervisor.supervisor import Supervisor
from proxymux.supervisor.table import COUNTERS, PRESENT, Table
from tests.services.fixtures import LOOPBACK
from tests.supervisor.standing_in import FakeWorker, logger_to


class Scene:
    """A supervisor whose process and reactor only do what is needed."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.lines: list[str] = []
        self.made: list[FakeWorker] = []
        self.services: list[Any] = []
        self.has_cut = False
        self._reactor: Any = installed_reactor()
        shared = Settings.read({"listen": LOOPBACK, "workers": 3, "rollover_timeout": 60, **settings})
        self.supervisor = Supervisor(
            "router",
            "router",
            Launch.of_command("proxymux", ["--router", "r.py"], self._reactor),
            shared,
            [Listener(each, shared) for each in shared.endpoints],
            self,  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            self.clock,
            lambda: 1700000000.0,
            logger_to(lambda event: self.lines.append(formatEvent(event))),
            ["this is unwise"],
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def callWhenRunning(self, function: Callable[[], None]) -> None:
        function()

    # The process

    def add(self, service: Any) -> None:
        self.services.append(service)

    def remove(self, service: Any) -> None:
        if service in self.services:
            self.services.remove(service)

    def check_ready(self) -> None:
        """Nobody waits for it."""

    def note_cut(self) -> None:
        self.has_cut = True

    def make(self, number: int, serial: int, *_: object) -> FakeWorker:
        place = self.supervisor.places[number - 1]
        self.made.append(FakeWorker(place, serial, self.clock))
        return self.made[-1]

    def serve(self) -> list[FakeWorker]:
        """Have all workers serve that were started."""
        for worker in self.made:
            if worker.ready_at is None:
                worker.is_ready()
        return self.made


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Scene]]:
    scenes: list[Scene] = []

    def make(**settings: Any) -> Scene:
        scene = Scene(**settings)
        monkeypatch.setattr(supervisor_module, "Worker", scene.make)
        scenes.append(scene)
        scene.supervisor.privilegedStartService()
        return scene

    yield make
    for scene in scenes:
        if scene.services:
            scene.supervisor.stopService()
        for worker in scene.made:
            if worker in scene.supervisor.workers:  # type: ignore[comparison-overlap]
                worker.ends()
        assert scene.services == []
        assert scene.clock.getDelayedCalls() == []


@pytest.fixture
def scene(make: Callable[..., Scene]) -> Scene:
    return make()


def test_it_listens_and_starts_a_worker_for_each_place(scene: Scene) -> None:
    (address,) = scene.supervisor.addresses
    assert scene.lines == ["this is unwise", f"router listens on {address} ({LOOPBACK}) with 3 workers"]
    assert [worker.number for worker in scene.made] == [1, 2, 3]
    assert scene.supervisor.summary() == f"supervisor of 3 workers: router {address}"
    starts = [worker.equipment.start for worker in scene.made]
    assert len({start["secret"] for start in starts}) == len({start["tickets"] for start in starts}) == 1
    for name in ("serial", "row", "number"):
        assert len({start[name] for start in starts}) == 3
    for worker in scene.made:
        sock, table, stdout = worker.equipment.descriptors
        assert (table, stdout) == (scene.supervisor.rows.descriptor, 1)
        with socket.fromfd(sock, socket.AF_INET, socket.SOCK_STREAM) as copy:
            assert copy.getsockname()[1] == int(address.rpartition(":")[2])


def test_a_successor_has_the_sockets_of_its_place_and_a_number_of_its_own(scene: Scene) -> None:
    scene.supervisor.holds.hold("a.example:1")
    scene.serve()[1].ends("killed by signal 9")
    scene.clock.advance(0)
    old, new = scene.made[1], scene.made[3]
    assert (old.equipment.start["holds"], new.equipment.start["holds"]) == ([], ["a.example:1"])
    assert list(new.equipment.descriptors) == list(old.equipment.descriptors)
    assert new.equipment.start["serial"] == 4
    assert new.equipment.start["row"] == old.equipment.start["row"]  # which is empty again


def test_what_a_worker_has_counted_outlives_it(scene: Scene) -> None:
    table = Table(scene.supervisor.rows.descriptor, scene.supervisor.rows.size)
    for worker in scene.serve():
        row = table.row(worker.equipment.start["row"])
        row[PRESENT], row[COUNTERS] = 1, 10
    scene.made[0].ends("killed by signal 9")
    assert scene.supervisor.rows.counters(1) == [30]
    assert sum(table.column(PRESENT)) == 2


# Lending


def lent(worker: FakeWorker) -> list[tuple[str, int]]:
    return [(message["do"], message["place"]) for message, _ in worker.sent if "place" in message]


def test_the_sockets_of_a_place_that_nobody_can_serve_are_lent_and_given_back(scene: Scene) -> None:
    one, two, three = scene.made
    one.is_ready()
    three.is_ready()
    two.fails("router.py:1: oh no")
    assert lent(one) == [("lend", 2)]
    message, descriptors = one.sent[0]
    assert (message["listeners"], descriptors) == ([0], list(two.equipment.descriptors[:1]))
    scene.clock.advance(0)
    scene.made[-1].fails("router.py:1: oh no")
    assert lent(one) == [("lend", 2)]  # once is enough
    scene.clock.advance(1)
    scene.made[-1].is_ready()
    assert lent(one) == [("lend", 2), ("give_back", 2)]
    assert lent(three) == []


def test_where_the_neighbour_dies_or_leaves_another_one_helps(scene: Scene) -> None:
    one, two, three = scene.made
    one.is_ready()
    three.is_ready()
    two.fails("router.py:1: oh no")
    one.ends("killed by signal 9")
    assert lent(three) == [("lend", 1), ("lend", 2)]
    scene.clock.advance(0)
    again = next(worker for worker in scene.made[3:] if worker.number == 1)
    again.is_ready()
    assert lent(three) == [("lend", 1), ("lend", 2), ("give_back", 1)]
    # The neighbour is replaced, and drains: it accepts nothing any more.
    scene.supervisor.places[2].succeed()
    scene.made[-1].is_ready()
    scene.supervisor._hand_over(scene.supervisor.places[2], None)
    assert three.is_leaving
    assert lent(again) == [("lend", 2)]


def test_where_nobody_serves_nothing_is_lent(scene: Scene) -> None:
    for worker in tuple(scene.made):
        worker.fails("router.py:1: oh no")
    assert [lent(worker) for worker in scene.made] == [[], [], []]


# Rollovers


def answer(worker: FakeWorker, value: Any = None) -> None:
    for _, question in worker.asked:
        if not question.called:
            question.callback(value)


def test_a_rollover_replaces_one_after_the_other_and_hands_over(scene: Scene) -> None:
    old = list(scene.serve())
    scene.supervisor.rollover()
    for turn in range(3):
        assert len(scene.made) == 4 + turn
        assert [worker.limits for worker in old] == [[60]] * turn + [[]] * (3 - turn)
        new = scene.made[-1]
        new.is_ready()
        assert [what for what, _ in new.asked] == ["receive"]
        assert [what for what, _ in old[turn].asked] == ["hand_over", "handed_over"]
        answer(new)
        answer(old[turn], 7)
    assert "worker 3 was replaced; 7 sessions were handed over in 0.000 s" in scene.lines
    assert scene.lines[-1] == "all workers are replaced"
    assert not any(worker.is_leaving for worker in scene.made[3:])
    assert [worker.is_leaving for worker in old] == [True] * 3
    for worker in old:
        worker.ends()
    assert sum(place.restarts for place in scene.supervisor.places) == 0


def test_sessions_that_are_left_go_to_the_next_one_when_a_successor_dies(scene: Scene) -> None:
    old = scene.serve()[0]
    scene.supervisor.rollover()
    new = scene.made[-1]
    new.is_ready()
    answer(new)
    answer(old, 0)
    new.ends("killed by signal 9")
    scene.clock.advance(0)
    next_one = next(worker for worker in scene.made if worker.number == 1 and worker not in (old, new))
    next_one.is_ready()
    assert [what for what, _ in next_one.asked] == ["receive"]
    assert [what for what, _ in old.asked] == ["hand_over", "handed_over"] * 2
    assert old.limits == [60]  # it was told once
    answer(next_one)
    answer(old, 0)


def test_a_system_without_sockets_for_a_handover_stops_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(24, "Too many open files")

    scene.serve()
    scene.supervisor.rollover()
    monkeypatch.setattr(socket, "socketpair", none)
    for turn in range(3):
        scene.made[3 + turn].is_ready()
    monkeypatch.undo()
    assert scene.lines.count("worker 1 keeps its sessions: [Errno 24] Too many open files") == 1
    assert scene.lines[-1] == "all workers are replaced"


def test_who_is_to_end_rolls_over_no_more(scene: Scene) -> None:
    scene.serve()
    scene.supervisor.drain(5)
    scene.supervisor.rollover()
    assert len(scene.made) == 3


# What signals do


def test_all_workers_are_told(scene: Scene) -> None:
    scene.serve()
    assert scene.supervisor.reload() == []
    scene.supervisor.reopen()
    reloaded: list[object] = []
    scene.supervisor.reloaded().addCallback(reloaded.append)
    for worker in scene.made:
        assert [what for what, _ in worker.asked] == ["reload"]
        assert [message for message, _ in worker.sent] == [{"do": "reopen"}]
        assert reloaded == []
        answer(worker, "")
    assert len(reloaded) == 1


def test_a_stop_waits_for_all_and_starts_nobody(scene: Scene) -> None:
    scene.serve()
    stopped: list[None] = []
    scene.supervisor.stopService().addCallback(stopped.append)
    assert [worker.limits for worker in scene.made] == [[10]] * 3
    assert scene.supervisor.addresses == []
    scene.made[0].ends("killed by signal 9")
    scene.clock.advance(5)
    scene.made[1].ends()
    assert stopped == []
    scene.made[2].ends()
    assert stopped == [None]
    assert len(scene.made) == 3
    assert not scene.has_cut
    assert scene.services == []


def test_a_worker_that_had_to_cut_makes_the_exit_status(scene: Scene) -> None:
    scene.serve()
    scene.made[0].has_cut = True
    scene.made[0].ends("")
    assert not scene.has_cut  # at the end of a rollover, say
    scene.clock.advance(0)
    scene.supervisor.drain(5)
    scene.made[1].has_cut = True
    scene.made[1].ends()
    assert scene.has_cut


def test_who_does_not_end_is_killed(scene: Scene) -> None:
    scene.serve()
    scene.supervisor.stopService()
    scene.clock.advance(14.9)
    assert not any(worker.is_killed for worker in scene.made)
    scene.clock.advance(0.2)
    assert all(worker.is_killed for worker in scene.made)
    assert "worker 1 does not end and is killed" in scene.lines


def test_a_second_signal_ends_all_now(scene: Scene) -> None:
    scene.serve()
    scene.supervisor.abort()
    assert all(worker.is_aborted for worker in scene.made)


def test_what_does_not_fit_is_told_in_one_line(make: Callable[..., Scene], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(SystemExit):
            Scene(listen=f"tcp:{other.getsockname()[1]}:interface=127.0.0.1").supervisor.privilegedStartService()
