"""The table that the processes of a service share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from proxymux.supervisor.table import (
    FAILURES,
    MOST_ROWS,
    PRESENT,
    RATES,
    ROW_CELLS,
    HashTable,
    SharedTimes,
    Table,
    TableSize,
    make_memory,
)

PROBES = 16


@pytest.fixture
def tables() -> Iterator[tuple[Table, Table]]:
    """The table as two processes see it."""
    size = TableSize(True)
    descriptor = make_memory(size)
    yield Table(descriptor, size), Table(descriptor, size)
    os.close(descriptor)


def test_what_one_writes_the_others_read(tables: tuple[Table, Table]) -> None:
    one, other = tables
    for row in (0, 5):
        one.take(row)
        one.row(row)[PRESENT] = row + 1
    assert other.used == 6
    assert [row[PRESENT] for row in other.rows()] == [1, 0, 0, 0, 0, 6]
    assert list(other.column(PRESENT)[:7]) == [1, 0, 0, 0, 0, 6, 0]
    one.times(RATES).set(7, 1.5)
    one.times(FAILURES).set(7, 2.5)
    assert (other.times(RATES).get(7), other.times(FAILURES).get(7)) == (1.5, 2.5)


def test_the_rows_and_sets_do_not_overlap(tables: tuple[Table, Table]) -> None:
    one, other = tables
    last = MOST_ROWS - 1
    one.take(last)
    one.row(last)[ROW_CELLS - 1] = 1
    assert list(other.row(last - 1)) == [0] * ROW_CELLS
    one.addresses(last).add(3, 7)
    assert other.addresses(last - 1).get(3) == other.times(RATES).get(3) == 0
    assert other.used == MOST_ROWS
    assert other.row(last)[ROW_CELLS - 1] == 1


def test_a_row_that_is_cleared_is_empty_and_the_others_stay(tables: tuple[Table, Table]) -> None:
    one, other = tables
    for row in (0, 1):
        one.take(row)
        one.row(row)[PRESENT] = 4
        one.addresses(row).add(9, 4)
    other.clear(0)
    assert [one.row(row)[PRESENT] for row in (0, 1)] == [0, 4]
    assert [one.addresses(row).get(9) for row in (0, 1)] == [0, 4]
    assert one.used == 2


def test_without_a_limit_for_addresses_none_are_counted() -> None:
    assert TableSize(False).addresses_size == 0
    assert TableSize(False).size < TableSize(True).size
    descriptor = make_memory(TableSize(False))
    table = Table(descriptor, TableSize(False))
    table.take(0)
    table.row(0)[PRESENT] = 1
    table.clear(0)
    assert table.row(0)[PRESENT] == 0
    os.close(descriptor)


def test_without_memfd_the_memory_is_a_file_that_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    descriptor = make_memory(TableSize(False))
    assert os.fstat(descriptor).st_size == TableSize(False).size
    assert os.fstat(descriptor).st_nlink == 0
    os.close(descriptor)


# Numbers by key


def hash_table(keys: int) -> HashTable:
    return HashTable(memoryview(bytearray(keys * 16)))


def test_keys_that_collide_have_places_of_their_own() -> None:
    table = hash_table(64)
    keys = [1 + 64 * number for number in range(PROBES)]
    for number, key in enumerate(keys):
        table.add(key, number + 1)
    assert [table.get(key) for key in keys] == list(range(1, PROBES + 1))
    further = 1 + 64 * PROBES
    table.add(further, 1)  # its places are all taken: it is not counted
    assert table.get(further) == 0
    table.add(keys[3], -4)
    table.add(further, 1)  # a number of 0 gives up its place
    assert (table.get(further), table.get(keys[3])) == (1, 0)
    table.add(keys[3], -1)
    assert [table.get(key) for key in keys] == [1, 2, 3, 0, *range(5, PROBES + 1)]


def test_a_number_never_goes_below_0() -> None:
    table = hash_table(64)
    table.add(5, -1)
    table.add(5, 1)
    table.add(5, -3)
    table.add(5, 1)
    assert table.get(5) == 1
    table.clear()
    assert table.get(5) == 0


def test_the_last_places_are_followed_by_the_first() -> None:
    table = hash_table(64)
    for key in (63, 127, 2**64 - 1):
        table.add(key, 1)
    assert [table.get(key) for key in (63, 127, 2**64 - 1)] == [1, 1, 1]


# Times


def test_the_time_that_is_least_is_forgotten_for_a_new_one() -> None:
    times = SharedTimes(memoryview(bytearray(64 * 16)))
    keys = [1 + 64 * number for number in range(PROBES)]
    for number, key in enumerate(keys):
        times.set(key, 100.0 + (number + 5) % PROBES)
    assert [times.get(key) for key in keys] == [100.0 + (number + 5) % PROBES for number in range(PROBES)]
    further = 1 + 64 * PROBES
    times.set(further, 200.0)
    assert (times.get(further), times.get(keys[11])) == (200.0, 0.0)
    times.set(further, 201.0)
    assert times.get(further) == 201.0
    assert sum(times.get(key) > 0 for key in keys) == PROBES - 1
