"""The rows of the table, and the sums of those whose processes have ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from proxymux.errors import ConfigError
from proxymux.supervisor import rows as rows_module
from proxymux.supervisor.rows import Rows
from proxymux.supervisor.table import COUNTERS, MOST_ROWS, PRESENT, Table, TableSize


@pytest.fixture
def rows() -> Iterator[Rows]:
    made = Rows(TableSize(True))
    made.open()
    yield made
    made.close()


def worker() -> Any:
    """Stands for a worker: it is a key and no more."""
    return object()


def test_what_processes_have_counted_stays_when_they_have_ended(rows: Rows) -> None:
    table = Table(rows.descriptor, rows.size)
    workers = [worker() for _ in range(3)]
    for number, each in enumerate(workers):
        row = table.row(rows.take(each))
        row[PRESENT] = 1
        row[COUNTERS], row[COUNTERS + 2] = number + 1, 10 * (number + 1)
    assert rows.counters(3) == [6, 0, 60]
    rows.give_back(workers[1])
    assert rows.counters(3) == [6, 0, 60]
    assert [row[PRESENT] for row in table.rows()] == [1, 0, 1]
    again = rows.take(worker())
    assert again == 1  # it is given again, and is empty
    table.row(again)[COUNTERS + 1] = 5
    assert rows.counters(3) == [6, 5, 60]
    for each in workers:
        rows.give_back(each)
    rows.give_back(worker())  # one that never had a row
    assert rows.counters(3) == [6, 5, 60]


def test_there_are_only_so_many_processes(rows: Rows) -> None:
    workers = [worker() for _ in range(MOST_ROWS)]
    assert [rows.take(each) for each in workers] == list(range(MOST_ROWS))
    with pytest.raises(OSError, match=r"^\[Errno None\] 128 processes are there|128 processes are there"):
        rows.take(worker())
    rows.give_back(workers[70])
    assert rows.take(worker()) == 70


def test_no_memory_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: object) -> int:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(rows_module, "make_memory", none)
    with pytest.raises(ConfigError, match=r"^--workers: no memory for what workers share: .*Cannot allocate memory"):
        Rows(TableSize(False)).open()
