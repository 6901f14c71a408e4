"""The deny list of a fleet, as a service takes it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from twisted.internet.task import Clock

from proxymux.core.admission import Network
from proxymux.discovery.etcd.following import FollowListener
from proxymux.fleet.shared_deny_list import REST, SharedDenyList
from tests.fleet.stores import Lines, results_of

NAME = "the deny list at etcd://etcd.test:2379/denied/"


class Following:
    """What tells of the keys: the test."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")


class Scene:
    """A service, which notes what it is given."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.lines = Lines()
        self.following = Following()
        self.given: list[list[str]] = []
        self.values: dict[bytes, bytes] = {}
        self.deny_list = self
        self.shared = SharedDenyList(
            "etcd://etcd.test:2379/denied/", self.follow, self.following.close, self.clock, self.lines.log
        )

    def follow(self, listener: FollowListener) -> Following:
        self.listener = listener
        return self.following

    def share(self, networks: Iterable[Network]) -> None:
        self.given.append(sorted(map(str, networks)))

    def tell(self, **values: bytes) -> None:
        keys = {name.encode(): value for name, value in values.items()}
        self.values.update(keys)
        self.listener.updated(self.values, frozenset(keys))


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.shared.start(scene)
    return scene


def test_the_service_is_given_the_list_as_it_changes(scene: Scene) -> None:
    scene.tell(a=b"10.0.0.1")
    scene.clock.advance(1)
    scene.tell(b=b"10.0.0.2")
    assert scene.given == [["10.0.0.1/32"], ["10.0.0.1/32", "10.0.0.2/32"]]
    assert scene.lines.lines == [f"follows {NAME}; networks: 1"]


def test_a_list_that_changes_without_end_is_given_now_and_then_and_its_last_state_always(scene: Scene) -> None:
    scene.tell(**{f"k{number:04}": b"10.0.%d.%d" % divmod(number, 256) for number in range(1000)})
    for number in range(100):
        scene.tell(a=b"10.1.0.%d" % number)
        scene.clock.advance(REST * 1000 / 10)
    scene.clock.advance(1)
    assert 10 <= len(scene.given) <= 12
    assert "10.1.0.99/32" in scene.given[-1]
    assert "10.1.0.98/32" not in scene.given[-1]
    scene.clock.advance(1)
    assert scene.clock.getDelayedCalls() == []


def test_it_is_said_that_nobody_is_refused_before_it_is_known(scene: Scene) -> None:
    scene.listener.failed("etcd.test: connection refused")
    scene.listener.failed("etcd.test: connection refused")
    assert scene.given == []
    assert scene.lines.lines == [
        f"{NAME}: etcd.test: connection refused; nobody is refused by it until it is known",
    ]
    scene.tell()
    assert scene.lines.lines[1:] == [f"{NAME} answers again", f"follows {NAME}; networks: 0"]


def test_while_etcd_is_away_the_list_stays(scene: Scene) -> None:
    scene.tell(a=b"10.0.0.1")
    scene.listener.failed("etcd.test: connection refused")
    assert scene.given == [["10.0.0.1/32"]]
    assert scene.lines.lines[-1] == f"{NAME}: etcd.test: connection refused; the list stays as it was"
    scene.listener.heard()
    assert scene.lines.lines[-1] == f"{NAME} answers again"


def test_a_stop_leaves_nothing(scene: Scene) -> None:
    scene.tell(a=b"10.0.0.1")
    assert len(results_of(scene.shared.stop(scene))) == 1
    assert scene.following.calls == ["start", "stop", "close"]
    assert scene.clock.getDelayedCalls() == []
