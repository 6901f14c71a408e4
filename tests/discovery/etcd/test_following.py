"""A copy of what is under prefixes: it is whole when it is told, and told at most every so often."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from twisted.internet.task import Clock

from proxymux.discovery.etcd import copying
from proxymux.discovery.etcd.following import GAP, QUIET, Following
from proxymux.errors import EtcdError
from tests.discovery.etcd.records import FollowRecord
from tests.discovery.etcd.stand_in import StandInClient, time_passes


class Scene(NamedTuple):
    client: StandInClient
    clock: Clock
    record: FollowRecord
    following: Following

    def answer(self, number: int, revision: int, values: dict[bytes, bytes]) -> None:
        """Answer a range."""
        self.client.ranges[number][1].callback((revision, values))

    def begin(self, values: dict[bytes, bytes]) -> None:
        """Answer both ranges, and open both watches."""
        self.answer(0, 10, values)
        self.answer(1, 11, {})
        for watch in self.client.watches:
            watch.open(11)


@pytest.fixture
def scene() -> Scene:
    client: Any = StandInClient()
    clock, record = Clock(), FollowRecord()
    following = Following(client, (b"/p/", b"p/"), clock, lambda: 1.0, record)
    following.start()
    return Scene(client, clock, record, following)


def test_the_first_set_has_all_prefixes(scene: Scene) -> None:
    assert [prefix for prefix, _ in scene.client.ranges] == [b"/p/", b"p/"]
    scene.answer(1, 11, {b"p/b": b"2"})
    assert scene.record.told == []
    scene.answer(0, 10, {b"/p/a": b"1"})
    assert scene.record.told == [({b"/p/a": b"1", b"p/b": b"2"}, {b"/p/a", b"p/b"})]
    assert [(watch.prefix, watch.revision) for watch in scene.client.watches] == [(b"p/", 12), (b"/p/", 11)]
    scene.following.stop()
    assert all(watch.opening.called for watch in scene.client.watches)


def test_nothing_is_a_set_too(scene: Scene) -> None:
    scene.begin({})
    assert scene.record.told == [({}, set())]
    assert scene.record.answers == 2
    scene.following.stop()


def test_many_changes_are_told_at_once_and_the_last_state_always(scene: Scene) -> None:
    scene.begin({b"/p/a": b"0"})
    first, second = scene.client.watches
    for number in range(1000):
        first.put(12 + number, "/p/a", str(number))
    second.put(2000, "p/b", "1")
    first.put(2001, "/p/c", "1")
    first.put(2002, "/p/c", None)
    assert len(scene.record.told) == 1
    scene.clock.advance(GAP)
    assert scene.record.told[1:] == [({b"/p/a": b"999", b"p/b": b"1"}, {b"/p/a", b"p/b", b"/p/c"})]
    first.put(2003, "/p/a", None)
    scene.clock.advance(GAP)
    assert scene.record.told[2:] == [({b"p/b": b"1"}, {b"/p/a"})]
    time_passes(scene.clock, 1)
    assert len(scene.record.told) == 3
    scene.following.stop()


def test_a_lost_watch_is_made_up_for_by_a_range(scene: Scene) -> None:
    scene.begin({b"/p/a": b"1", b"/p/b": b"1", b"/p/c": b"1"})
    scene.client.watches[0].tell(canceled=True, compact_revision="50")
    time_passes(scene.clock, 0.2)
    assert scene.client.ranges[2][0] == b"/p/"
    scene.answer(2, 60, {b"/p/a": b"1", b"/p/b": b"2"})
    scene.clock.advance(GAP)
    assert scene.record.told[1:] == [({b"/p/a": b"1", b"/p/b": b"2"}, {b"/p/b", b"/p/c"})]
    assert scene.client.watches[2].revision == 61
    assert scene.record.failures == []
    scene.following.stop()
    assert scene.clock.getDelayedCalls() == []


def test_a_failed_range_is_tried_again_and_a_failure_told_now_and_then(scene: Scene) -> None:
    for _ in range(40):
        for _, ranging in scene.client.ranges:
            if not ranging.called:
                ranging.errback(EtcdError("refused"))
        time_passes(scene.clock, 1)
    assert scene.record.failures == ["refused", "refused"]  # at once, and after QUIET
    assert QUIET < 40 < 2 * QUIET
    assert 10 < len(scene.client.ranges) < 60
    scene.following.stop()
    assert scene.clock.getDelayedCalls() == []


def test_a_look_reads_everything_anew(scene: Scene) -> None:
    scene.begin({b"/p/a": b"1"})
    scene.following.look()
    assert all(watch.is_left for watch in scene.client.watches)
    scene.answer(2, 20, {b"/p/a": b"1"})
    scene.answer(3, 20, {b"p/b": b"2"})
    assert scene.record.answers == 3
    scene.clock.advance(GAP)
    assert scene.record.told[1:] == [({b"/p/a": b"1", b"p/b": b"2"}, {b"p/b"})]
    scene.following.stop()


def test_what_is_too_much_is_said_and_not_followed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "MOST_KEYS", 3)
    scene.begin({})
    for number in range(5):
        scene.client.watches[0].put(12 + number, f"/p/{number}", "1")
    assert scene.client.watches[0].is_left
    assert scene.record.failures == ["etcd://h:2379/p/: more than 3 keys or 64 MiB of them"]
    scene.clock.advance(GAP)
    assert len(scene.record.told[-1][0]) == 4
    time_passes(scene.clock, 0.2)
    scene.answer(2, 60, {b"/p/1": b"1"})
    scene.clock.advance(GAP)
    assert scene.record.told[-1][0] == {b"/p/1": b"1"}
    scene.following.stop()


def test_a_prefix_that_may_not_be_read_holds_up_no_other(scene: Scene) -> None:
    denied = EtcdError("permission denied", 7)
    scene.client.ranges[1][1].errback(denied)
    assert (scene.record.told, scene.record.failures) == ([], [])
    scene.answer(0, 10, {b"/p/a": b"1"})
    assert [values for values, _ in scene.record.told] == [{b"/p/a": b"1"}]
    time_passes(scene.clock, 0.2)
    scene.client.ranges[2][1].errback(denied)
    assert scene.record.failures == []
    time_passes(scene.clock, 0.3)
    scene.answer(3, 10, {b"p/b": b"2"})
    scene.clock.advance(GAP)
    assert [values for values, _ in scene.record.told[1:]] == [{b"/p/a": b"1", b"p/b": b"2"}]
    scene.following.stop()


def test_that_nothing_may_be_read_is_a_failure(scene: Scene) -> None:
    for _, ranging in list(scene.client.ranges):
        ranging.errback(EtcdError("permission denied", 7))
    assert (scene.record.told, scene.record.failures) == ([], ["permission denied"])
    scene.following.stop()
    assert scene.clock.getDelayedCalls() == []


def test_keys_of_others_are_not_taken(scene: Scene) -> None:
    scene.begin({})
    scene.client.watches[0].put(12, "/q/a", "1")
    scene.clock.advance(GAP)
    assert all(values == {} for values, _ in scene.record.told)
    scene.following.stop()
