"""What a session says of itself to the process that goes on with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.task import Clock

from proxymux.core.identity import Client
from proxymux.core.proxy_protocol import Header
from proxymux.core.target import parse_target
from proxymux.session.identity import pack_client, unpack_client
from proxymux.session.timings import Timings
from proxymux.session.trace import Trace


def carried(packed: Any) -> Any:
    return json.loads(json.dumps(packed))


@pytest.mark.parametrize(
    "header",
    [
        None,
        Header(1, ("192.0.2.1", 5), ("192.0.2.2", 6), False),
        Header(
            2, ("2001:db8::1", 5), ("2001:db8::2", 6), False, ((0x02, b"a.example"), (0xE0, bytes(range(256)))), True
        ),
        Header(2, "/run/\udcff", "/run/b", False),
        Header(2, None, None, True),
    ],
)
def test_a_client_comes_back_as_it_was(header: Header | None) -> None:
    client = Client(("192.0.2.1", 5), ("unix:/run/a", 0), proxy_protocol=header)
    assert unpack_client(carried(pack_client(client))) == client


def timings(clock: Clock, traced: bool = True) -> Timings:
    return Timings(clock, lambda: 1700000000.25, traced)


def test_timings_come_back_as_they_were() -> None:
    clock = Clock()
    clock.advance(1000)
    old = timings(clock)
    clock.advance(1)
    old.bytes_in, old.bytes_out = 10, 20
    assert old.trace is not None
    old.trace.asked(10)
    old.trace.place = "router.py:5"
    old.decided()
    old.add_note({"who": "me"})
    old.trying(parse_target("[::1]:5"))
    clock.advance(1)
    old.attempt_failed("refused")
    old.trying(parse_target("db.example:5"))
    clock.advance(1)
    old.connected()
    clock.advance(5)
    new = timings(clock)
    new.unpack(carried(old.pack()))
    assert new.pack() == old.pack()
    assert (new.age, new.target) == (8, old.target)
    assert new.trace is not None
    assert all(getattr(new.trace, name) == getattr(old.trace, name) for name in Trace.__slots__)
    empty = timings(clock)
    new.unpack(carried(empty.pack()))
    assert new.pack() == empty.pack()
    assert new.target is None


@pytest.mark.parametrize(("before", "after"), [(True, False), (False, True)])
def test_a_trace_is_kept_where_somebody_wants_it(before: bool, after: bool) -> None:
    clock = Clock()
    old, new = timings(clock, before), timings(clock, after)
    new.unpack(carried(old.pack()))
    assert (new.trace is not None) == after
    if new.trace is not None:
        assert new.trace.pack() == Trace(new.accepted_at).pack()
