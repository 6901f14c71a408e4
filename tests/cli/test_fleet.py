"""``proxymux fleet``, with a store in memory; ``tests/system/test_fleet.py`` has a real etcd."""

from __future__ import annotations

import io
import json

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from proxymux.cli.fleet import list_instances
from proxymux.fleet.instance_record import InstanceRecord
from tests.fleet.stores import FakeStore, refused, results_of

RECORD = InstanceRecord("b", "gateway", ("10.0.0.5:8000",), "1.2", "2026-01-02T03:04:05Z", 7, True, None, 42, "one")


@pytest.fixture
def store() -> FakeStore:
    store = FakeStore(Clock())
    store.values = {
        "instances/b": (RECORD.to_value(), 0),
        "instances/a": ('{"host": "\\u001b[2J"}', 0),
        "once/k1/x": ("1", 0),
    }
    return store


def listed(store: FakeStore, as_json: bool = False) -> str:
    output = io.StringIO()
    waiting: Deferred[None] = list_instances(store, as_json, output)
    assert results_of(waiting) == [None]
    assert store.is_closed
    return output.getvalue()


def test_the_instances_are_listed_one_a_line(store: FakeStore) -> None:
    first, second = listed(store).splitlines()
    assert first == "a - name= version= started= connections=0 host=\\x1b[2J pid=0"
    assert second == (
        "b 10.0.0.5:8000 name=gateway version=1.2 started=2026-01-02T03:04:05Z connections=7 host=one pid=42 draining"
    )


def test_they_are_listed_as_json(store: FakeStore) -> None:
    found = json.loads(listed(store, as_json=True))["fleet"]
    assert [each["id"] for each in found] == ["a", "b"]
    assert found[1] == RECORD.as_json()


def test_none_are_no_line(store: FakeStore) -> None:
    store.values.clear()
    assert listed(store) == ""


def test_an_etcd_that_does_not_answer_is_one_line_and_status_1(
    store: FakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.is_away = refused()
    [failure] = results_of(list_instances(store, False, io.StringIO()))
    assert isinstance(failure, Failure)
    assert isinstance(failure.value, SystemExit)
    assert failure.value.code == 1
    assert capsys.readouterr().err == "proxymux fleet: etcd.test: connection refused\n"
    assert store.is_closed
