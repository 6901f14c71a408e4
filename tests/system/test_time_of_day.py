"""The time of day is set while twistd runs, in each reactor and with each relay."""

from __future__ import annotations

import pytest

from tests.services.fixtures import RELAYS
from tests.system.conftest import Start, read_all

#: A router that has Twisted and everybody else see another time of day, as if it had been set.
ROUTER = """\
import time
from twisted.internet import reactor
from twisted.internet.defer import Deferred

real = time.time

def proxy(data):
    if data.startswith(b"set "):
        time.time = lambda: real() + float(data[4:])
        reactor.seconds = time.time
        return {"close": b"set"}
    return Deferred()
"""


@pytest.mark.slow
@pytest.mark.parametrize("relay", RELAYS)
@pytest.mark.parametrize("reactor", ["epoll", "poll", "asyncio"])
@pytest.mark.parametrize("step", ["-3600", "3600"])
def test_limits_and_durations_take_no_notice(start: Start, step: str, reactor: str, relay: str) -> None:
    proxy = start(ROUTER, "--decide-timeout", "1", "--relay", relay, twistd=("--reactor", reactor))
    with proxy.connect() as first:
        assert proxy.ask(b"set " + step.encode()) == b"set"
        with proxy.connect() as second:
            second.sendall(b"hello")
            assert read_all(second) == b""
        assert read_all(first) == b""
    records = proxy.records(3)
    assert sorted(record["outcome"] for record in records) == ["rejected", "undecided", "undecided"]
    assert all(0 <= record["seconds"] < 60 for record in records)
