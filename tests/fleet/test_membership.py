"""The membership of a process in a fleet."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import pytest
from twisted.internet.task import Clock

from proxymux.errors import EtcdError
from proxymux.fleet.instance_record import InstanceRecord, parse_record
from proxymux.fleet.membership import INTERVAL, LEAVE, REFRESH, REWRITE, TTL, Membership
from tests.fleet.stores import FakeStore, Lines, refused, results_of

IDENTITY = InstanceRecord("9f0c", "", (), "1.2.3", "2026-01-02T03:04:05Z", 0, False, None, 0, "one")
KEY = "instances/9f0c"


@dataclass
class Service:
    service_name: str = "gateway"
    addresses: list[str] = field(default_factory=lambda: ["10.0.0.5:8000"])
    connections: int = 0
    is_draining: bool = False
    admin_address: str | None = None


class Scene:
    """An instance of a fleet, and the etcd."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = FakeStore(self.clock)
        self.lines = Lines()
        self.membership = Membership(self.store, IDENTITY, self.clock, self.lines.log)
        self.service = Service()

    def start(self) -> None:
        self.membership.start(self.service)
        self.clock.advance(0)

    @property
    def written(self) -> InstanceRecord | None:
        """What etcd has of it."""
        if KEY not in self.store.values:
            return None
        return parse_record("9f0c", self.store.values[KEY][0].encode())

    def pass_by(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.clock.advance(1)
        self.store._expire()


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_what_is_said_of_it(scene: Scene) -> None:
    scene.service.connections = 3
    scene.start()
    scene.membership.start(Service("router", ["unix:/run/r"], 4, admin_address="127.0.0.1:9090"))
    scene.pass_by(INTERVAL)
    assert scene.written == InstanceRecord(
        id="9f0c",
        name="gateway, router",
        addresses=("10.0.0.5:8000", "unix:/run/r"),
        version="1.2.3",
        started="2026-01-02T03:04:05Z",
        connections=7,
        draining=False,
        admin="127.0.0.1:9090",
        pid=os.getpid(),
        host="one",
    )
    assert scene.lines.lines == ["is 9f0c of the fleet at etcd://etcd.test:2379/fleet/"]


def test_it_is_a_member_for_as_long_as_it_lives(scene: Scene) -> None:
    scene.start()
    for _ in range(20):
        scene.pass_by(30)
        assert scene.written is not None
    assert len(scene.store.leases) == 1


def test_one_that_is_killed_is_gone_within_30_seconds(scene: Scene) -> None:
    scene.start()
    scene.pass_by(INTERVAL)
    for call in scene.clock.getDelayedCalls():
        call.cancel()
    scene.pass_by(TTL)
    assert scene.written is None
    assert TTL <= 30


def test_two_signs_of_life_may_get_lost(scene: Scene) -> None:
    scene.start()
    scene.pass_by(INTERVAL)
    scene.store.is_away = refused()
    scene.pass_by(2 * INTERVAL - 1)
    scene.store.is_away = None
    scene.pass_by(3)
    assert scene.written is not None
    assert scene.store.asked.count("grant") == 1


def test_one_that_ends_leaves_at_once(scene: Scene) -> None:
    scene.start()
    assert len(results_of(scene.membership.stop(scene.service))) == 1
    assert scene.store.leases == {}
    assert scene.written is None
    assert scene.store.is_closed
    assert scene.clock.getDelayedCalls() == []


def test_with_several_services_the_last_takes_it_out(scene: Scene) -> None:
    scene.start()
    other = Service("router", [])
    scene.membership.start(other)
    assert len(results_of(scene.membership.stop(scene.service))) == 1
    assert not scene.store.is_closed
    scene.pass_by(INTERVAL)
    assert scene.written is not None
    assert scene.written.name == "router"
    scene.membership.stop(other)
    assert scene.written is None
    assert len(results_of(scene.membership.stop(other))) == 1  # one that never started


def test_leaving_takes_no_longer_than_its_limit(scene: Scene) -> None:
    scene.start()
    scene.store.hangs = True
    left = results_of(scene.membership.stop(scene.service))
    scene.clock.advance(LEAVE - 0.1)
    assert left == []
    scene.clock.advance(0.2)
    assert len(left) == 1
    assert scene.store.is_closed
    assert scene.clock.getDelayedCalls() == []


def test_one_that_ends_while_etcd_is_asked_waits_for_nothing(scene: Scene) -> None:
    scene.store.hangs = True
    scene.start()
    assert len(results_of(scene.membership.stop(scene.service))) == 1
    assert scene.clock.getDelayedCalls() == []
    assert scene.lines.lines == []


def test_a_lost_lease_is_granted_anew(scene: Scene) -> None:
    scene.start()
    scene.store.end(next(iter(scene.store.leases)))
    assert scene.written is None
    scene.pass_by(INTERVAL)
    assert scene.written is not None


def test_etcd_that_is_away_is_told_of_once_and_asked_until_it_answers(scene: Scene) -> None:
    scene.store.is_away = refused()
    scene.start()
    scene.pass_by(60)
    assert scene.written is None
    assert scene.lines.lines == [
        "the fleet at etcd://etcd.test:2379/fleet/: etcd.test: connection refused; it is tried again, and clients are"
        " served"
    ]
    scene.store.is_away = None
    scene.pass_by(INTERVAL)
    assert scene.written is not None
    assert scene.lines.lines[1:] == [
        "is 9f0c of the fleet at etcd://etcd.test:2379/fleet/",
        "the fleet at etcd://etcd.test:2379/fleet/ answers again",
    ]


def test_an_outage_that_outlasts_the_lease_ends_with_a_new_one(scene: Scene) -> None:
    scene.start()
    scene.store.is_away = refused()
    scene.pass_by(2 * TTL)
    scene.store.is_away = None
    assert scene.written is None
    scene.pass_by(INTERVAL)
    assert scene.written is not None


def test_connections_are_written_now_and_then_and_all_else_at_the_next_turn(scene: Scene) -> None:
    scene.start()
    puts = scene.store.asked.count("put")
    for number in range(1, 61):
        scene.service.connections = number
        scene.pass_by(1)
    assert scene.store.asked.count("put") - puts == 60 / REFRESH
    scene.service.is_draining = True
    scene.pass_by(INTERVAL)
    assert scene.written is not None
    assert scene.written.draining


def test_where_nothing_changes_it_is_written_rarely_but_again(scene: Scene) -> None:
    scene.start()
    del scene.store.values[KEY]  # somebody has deleted it
    scene.pass_by(REWRITE)
    assert scene.written is not None
    assert scene.store.asked.count("put") == 2


def test_what_else_goes_wrong_is_logged_and_it_goes_on(scene: Scene) -> None:
    scene.start()
    scene.store.faults = [ValueError("a fault of ours")]  # type: ignore[list-item]
    scene.pass_by(INTERVAL)
    assert "the fleet" in scene.lines.lines[-1]
    scene.pass_by(INTERVAL)
    assert scene.store.asked.count("keep_alive") == 2


def test_it_lists_the_members_itself_among_them(scene: Scene) -> None:
    scene.start()
    [members] = results_of(scene.membership.members())
    assert [each.id for each in members] == ["9f0c"]


def test_a_refusal_of_etcd_is_told_without_a_traceback(scene: Scene) -> None:
    scene.store.is_away = EtcdError("etcd.test: permission denied", 7)
    scene.start()
    assert "permission denied" in scene.lines.lines[0]
