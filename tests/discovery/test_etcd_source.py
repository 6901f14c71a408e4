"""Members from etcd: what the keys and their values are taken for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from proxymux.discovery import etcd_source
from proxymux.discovery.etcd.following import GAP
from proxymux.discovery.etcd_source import EtcdSource
from proxymux.errors import BadAddress, EtcdError
from tests.discovery.etcd.records import SourceRecord
from tests.discovery.etcd.stand_in import StandInClient


class Scene:
    """A source that has been started, in an etcd with ``values``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, values: dict[bytes, bytes]) -> None:
        self.client = StandInClient()
        monkeypatch.setattr(etcd_source, "EtcdClient", lambda address, reactor, clock: self.client)
        self.clock, self.record = Clock(), SourceRecord()
        reactor: Any = None
        self.source = EtcdSource("etcd://root:s3cret@h/p/", reactor, self.clock, lambda: 1.0)
        self.source.start(self.record)
        self.client.ranges[0][1].callback((10, values))
        self.client.ranges[1][1].callback((10, {}))
        for watch in self.client.watches:
            watch.open(10)
        self._revision = 10

    def put(self, key: str, value: str | None) -> None:
        """Change a key, and let the change be told."""
        self._revision += 1
        watch = self.client.watches[0 if key.startswith("/") else 1]
        watch.put(self._revision, key, value)
        self.clock.advance(GAP)


def test_members_are_in_the_order_of_their_keys_with_weight_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, {b"/p/b": b"h2:2 name=two", b"/p/a": b"h1:1 weight=3"})
    scene.put("p/c", "h3:3")
    scene.put("/p/", "h0:1")
    assert scene.record.texts == ["h0:1", "h1:1", "h2:2", "h3:3"]
    assert [(entry.weight, entry.name) for entry in scene.record.sets[-1]][1:3] == [(3, None), (None, "two")]
    scene.put("/p/a", None)
    assert scene.record.texts == ["h0:1", "h2:2", "h3:3"]
    scene.source.stop()
    assert scene.client.is_closed
    assert scene.clock.getDelayedCalls() == []


def test_of_two_keys_with_one_address_the_first_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, {b"/p/a": b"h:1 weight=1", b"/p/b": b"h:1 weight=2"})
    [[first]] = scene.record.sets
    assert first.weight == 1
    scene.put("/p/b", None)
    assert len(scene.record.sets) == 1  # nothing that counts has changed
    scene.put("/p/b", "h:1 weight=2")
    scene.put("/p/a", None)
    [second] = scene.record.sets[-1]
    assert second.weight == 2
    scene.source.stop()


def test_a_value_that_cannot_be_read_leaves_its_member_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, {b"/p/a": b"h1:1", b"/p/b": b"\xff"})
    assert scene.record.texts == ["h1:1"]
    assert len(scene.record.failures) == 1
    assert scene.record.failures[0].startswith("etcd://h:2379/p/: the key '/p/b': ")
    scene.put("/p/a", "h1:99999")
    assert scene.record.texts == ["h1:1"]
    assert "the key '/p/a': 'h1:99999'" in scene.record.failures[1]
    assert scene.record.failures[1].endswith(" (and 1 more)")
    scene.put("/p/c", "h3:3")
    assert len(scene.record.failures) == 2  # told once
    scene.put("/p/b", None)
    scene.put("/p/a", "h1:2")
    assert scene.record.texts == ["h1:2", "h3:3"]
    assert len(scene.record.failures) == 3
    assert not scene.record.failures[2].endswith("more)")
    scene.source.stop()


def test_failures_are_told_and_the_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, {b"/p/a": b"h1:1"})
    heard = scene.record.answers
    scene.source.look()
    scene.client.ranges[2][1].errback(EtcdError("refused"))
    assert scene.record.failures == ["refused"]
    scene.client.ranges[3][1].callback((20, {}))
    assert scene.record.answers == heard + 1
    assert len(scene.record.sets) == 1
    scene.source.stop()
    scene.source.stop()


def test_the_files_of_tls_are_looked_at_before_the_start(tmp_path: Path) -> None:
    reactor: Any = None
    EtcdSource("etcd://u:p@h/p/", reactor, Clock(), lambda: 1.0).check()
    source = EtcdSource(f"etcds://u:p@h/p/?ca={tmp_path}/none", reactor, Clock(), lambda: 1.0)
    with pytest.raises(BadAddress, match=r"none: no such file|none: No such file"):
        source.check()
    with pytest.raises(BadAddress, match="there is no prefix"):
        EtcdSource("etcd://u:p@h", reactor, Clock(), lambda: 1.0)
