"""The seat of a worker."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from proxymux.session.context import NUMBERS
from proxymux.supervisor import seat as seat_module
from proxymux.supervisor.launch import Launch
from proxymux.supervisor.seat import Seat
from proxymux.supervisor.table import COUNTERS, Table, TableSize, make_memory

LAUNCH = Launch("proxymux", (), None, 0, "/", "")
#: Where the descriptors of this process are that stand for those of a worker.
FIRST = 200


@pytest.fixture(autouse=True)
def nobody_sits_here() -> Iterator[None]:
    yield
    Seat.current = None


def test_it_takes_what_it_was_started_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seat_module, "FIRST_GIVEN", FIRST)
    size = TableSize(True)
    memory, (reader, writer) = make_memory(size), os.pipe()
    listeners = [socket.socket() for _ in range(2)]
    for at, descriptor in enumerate([*(each.fileno() for each in listeners), memory, writer]):
        os.dup2(descriptor, FIRST + at)
    Seat.take(
        LAUNCH,
        {
            "number": 2,
            "workers": 3,
            "serial": 7,
            "listeners": 2,
            "row": 5,
            "counts_addresses": True,
            "secret": "ab" * 32,
            "tickets": "cd" * 40,
            "holds": ["a.example:1"],
            "drains": [["users", "a.example:2"]],
            "failing": [["users", "a.example:3", "refused"]],
        },
    )
    seat = Seat.current
    assert seat is not None
    assert (seat.number, seat.workers, seat.secret, seat.tickets) == (2, 3, b"\xab" * 32, b"\xcd" * 40)
    assert seat.holds == ["a.example:1"]
    assert seat.failing == [["users", "a.example:3", "refused"]]
    assert seat.drains == [["users", "a.example:2"]]
    assert [sock.fileno() for sock in seat.sockets] == [FIRST, FIRST + 1]
    assert not any(os.get_inheritable(FIRST + at) for at in range(4))
    assert seat.first_session == 7_000_000_000
    table = Table(memory, size)
    table.take(5)
    seat.counters[0] = 9
    seat.presence.enter()
    assert table.row(5)[COUNTERS] == 9
    assert seat.presence.total == 1
    assert os.fstat(seat.stdout).st_ino == os.fstat(writer).st_ino
    assert "abab" not in repr(seat)
    for sock in (*seat.sockets, *listeners):
        sock.close()
    for descriptor in (reader, writer, memory, FIRST + 2, seat.stdout):
        os.close(descriptor)


def test_numbers_of_sessions_stay_exact_for_javascript() -> None:
    assert 9_000_000 * NUMBERS < 2**53


def test_one_on_trial_shares_nothing() -> None:
    Seat.on_trial(LAUNCH, 4)
    seat = Seat.current
    assert seat is not None
    assert (seat.number, seat.workers, seat.sockets, seat.first_session) == (1, 4, (), 0)
    assert len(seat.tickets) > 8
    os.close(seat.table.descriptor)
