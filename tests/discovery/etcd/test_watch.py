"""A watch goes on over the ends of its streams, and misses nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from twisted.internet.task import Clock

from proxymux.discovery.etcd.news import Change
from proxymux.discovery.etcd.retrying import LONGEST_PAUSE
from proxymux.discovery.etcd.watch import SILENCE, Watch
from proxymux.errors import EtcdError
from tests.discovery.etcd.records import WatchRecord
from tests.discovery.etcd.stand_in import StandInClient, time_passes


class Scene(NamedTuple):
    client: StandInClient
    clock: Clock
    record: WatchRecord
    watch: Watch


@pytest.fixture
def scene() -> Scene:
    client: Any = StandInClient()
    clock, record = Clock(), WatchRecord()
    watch = Watch(client, clock, lambda: 1.0, b"/p/", 5, record)
    watch.start()
    return Scene(client, clock, record, watch)


def test_changes_are_told(scene: Scene) -> None:
    [stream] = scene.client.watches
    assert (stream.prefix, stream.revision) == (b"/p/", 5)
    stream.open(4)
    assert scene.record.answers == 1
    stream.put(5, "/p/a", "1")
    stream.put(6, "/p/a", None)
    assert scene.record.changes == [Change(b"/p/a", b"1"), Change(b"/p/a", None)]
    scene.watch.stop()
    assert stream.is_left
    stream.put(7, "/p/a", "2")
    stream.end()
    assert len(scene.record.changes) == 2
    assert scene.clock.getDelayedCalls() == []


def test_it_goes_on_with_the_next_change_when_a_stream_ends(scene: Scene) -> None:
    scene.client.watches[0].open(4)
    scene.client.watches[0].put(9, "/p/a", "1")
    scene.client.watches[0].end()
    [reason] = scene.record.failures
    assert reason.startswith("etcd://h:2379/p/: the watch has ended: ")
    assert scene.client.avoided == ["the member"]
    assert len(scene.client.watches) == 1
    time_passes(scene.clock, 0.2)
    assert scene.client.watches[1].revision == 10
    scene.client.watches[1].opening.errback(EtcdError("refused"))
    time_passes(scene.clock, LONGEST_PAUSE)
    scene.client.watches[2].open(12)
    scene.client.watches[2].put(12, "/p/a", "2")
    assert scene.record.changes == [Change(b"/p/a", b"1"), Change(b"/p/a", b"2")]
    assert scene.record.failures[1:] == ["refused"]
    assert scene.client.forgotten == 0
    scene.watch.stop()


def test_part_of_a_revision_is_told_again(scene: Scene) -> None:
    stream = scene.client.watches[0]
    stream.open(4)
    stream.tell(header={"revision": "9"}, fragment=True, events=[{"kv": {"key": "L3AvYQ==", "mod_revision": "8"}}])
    stream.end()
    time_passes(scene.clock, 0.2)
    assert scene.client.watches[1].revision == 8
    scene.watch.stop()


def test_progress_moves_the_revision_on(scene: Scene) -> None:
    stream = scene.client.watches[0]
    stream.open(4)
    stream.tell(header={"revision": "100"})
    stream.tell(header={"revision": "200"}, watch_id="-1")  # of all watches: some versions tell it too early
    assert scene.record.answers == 3
    stream.end()
    time_passes(scene.clock, 0.2)
    assert scene.client.watches[1].revision == 101
    scene.watch.stop()


@pytest.mark.parametrize(
    "result",
    [
        {"canceled": True, "compact_revision": "9"},
        {"created": True, "header": {"revision": "3"}},
        {"events": [{"no": "key"}]},
    ],
)
def test_what_cannot_be_told_any_more_is_said_so_once(scene: Scene, result: dict[str, Any]) -> None:
    stream = scene.client.watches[0]
    stream.open()
    stream.tell(**result)
    stream.put(10, "/p/a", "1")
    assert (scene.record.losses, scene.record.changes, scene.record.failures) == (1, [], [])
    assert stream.is_left
    assert scene.clock.getDelayedCalls() == []


def test_a_refused_watch_is_tried_again_with_a_new_token(scene: Scene) -> None:
    stream = scene.client.watches[0]
    stream.open()
    stream.tell(canceled=True, created=True, cancel_reason="etcdserver: permission denied")
    assert scene.record.failures == ["etcd://h:2379/p/: etcdserver: permission denied"]
    assert scene.client.forgotten == 1
    time_passes(scene.clock, 0.2)
    scene.client.watches[1].opening.errback(EtcdError("invalid auth token", 16))
    assert scene.client.forgotten == 2
    scene.watch.stop()


def test_a_silent_stream_is_opened_anew(scene: Scene) -> None:
    first = scene.client.watches[0]
    first.open(4)
    time_passes(scene.clock, SILENCE / 2)
    first.put(5, "/p/a", "1")
    time_passes(scene.clock, SILENCE / 2 + 1)
    assert not first.is_left
    time_passes(scene.clock, SILENCE / 2)
    assert first.is_left
    assert scene.client.watches[1].revision == 6
    assert scene.record.failures == []
    scene.client.watches[1].open()  # but says nothing
    time_passes(scene.clock, SILENCE + 1)
    assert scene.record.failures == ["etcd://h:2379/p/: no word of the watch within 30 s"]
    assert scene.client.avoided == ["the member"]
    assert len(scene.client.watches) == 3
    scene.watch.stop()


def test_one_that_is_stopped_while_it_opens_or_waits_leaves_nothing(scene: Scene) -> None:
    stopped: list[object] = []
    scene.client.watches[0].opening.addErrback(stopped.append)
    scene.watch.stop()
    assert scene.client.watches[0].opening.called
    scene.watch.start()
    scene.client.watches[1].opening.errback(EtcdError("refused"))
    scene.watch.stop()
    assert scene.clock.getDelayedCalls() == []
