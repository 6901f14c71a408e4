"""The clients of all workers, counted in the table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from proxymux.core.admission import Admission
from proxymux.supervisor.shared_presence import SharedPresence
from proxymux.supervisor.table import Table, TableSize, make_memory

SECRET = bytes(32)
A, B = ip_address("192.0.2.1"), ip_address("2001:db8::1")


@pytest.fixture
def table() -> Iterator[Table]:
    size = TableSize(True)
    made = Table(make_memory(size), size)
    for row in range(2):
        made.take(row)
    yield made
    os.close(made.descriptor)


@pytest.fixture
def presences(table: Table) -> list[SharedPresence]:
    return [SharedPresence(table, row, SECRET) for row in range(2)]


def test_each_sees_the_clients_of_all(presences: list[SharedPresence]) -> None:
    one, other = presences
    one.enter()
    other.enter()
    one.enter_from(A)
    other.enter_from(A)
    other.enter_from(B)
    assert [(each.total, each.of(A), each.of(B)) for each in presences] == [(2, 2, 1)] * 2
    one.leave()
    one.leave_from(A)
    assert [(each.total, each.of(A), each.of(B)) for each in presences] == [(1, 1, 1)] * 2


def test_those_of_a_process_that_has_ended_count_no_more(presences: list[SharedPresence], table: Table) -> None:
    for each in presences:
        each.enter()
        each.enter_from(A)
    table.clear(0)
    assert (presences[1].total, presences[1].of(A)) == (1, 1)


def test_a_process_that_came_later_is_seen(presences: list[SharedPresence], table: Table) -> None:
    table.take(9)
    late = SharedPresence(table, 9, SECRET)
    late.enter()
    late.enter_from(A)
    assert [(each.total, each.of(A)) for each in (*presences, late)] == [(1, 1)] * 3


def test_limits_hold_over_all_workers(presences: list[SharedPresence]) -> None:
    one, other = (Admission(total=3, per_client=2, presence=each) for each in presences)
    for admission in (one, other):
        assert admission.arrive() is None
        assert admission.admit("192.0.2.1") is None
    assert one.admit("192.0.2.1") == "more than 2 clients from one address (--max-per-client)"
    assert one.admit("192.0.2.2") is None
    assert one.arrive() is None
    assert other.arrive() == "more than 3 clients (--max-connections)"
    other.leave("192.0.2.1")  # it goes from the one to the other
    one.resume("192.0.2.1")
    assert other.admit("192.0.2.1") == "more than 2 clients from one address (--max-per-client)"
    assert other.arrive() == "more than 3 clients (--max-connections)"


def test_without_a_limit_for_addresses_the_total_alone_is_shared() -> None:
    size = TableSize(False)
    table = Table(make_memory(size), size)
    table.take(0)
    presence = SharedPresence(table, 0, SECRET)
    presence.enter()
    assert presence.total == 1
    os.close(table.descriptor)
