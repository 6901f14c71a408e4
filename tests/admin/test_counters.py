from __future__ import annotations

import mmap
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.admin.counters import (
    BYTE_CELLS,
    FAULT_CELLS,
    HANDED_OVER_CELL,
    HISTOGRAMS,
    OUTCOME_CELLS,
    RELOAD_CELLS,
    RESULT_CELLS,
    RESULTS,
    SIZE,
    Counters,
    Histogram,
    add_up,
)
from proxymux.core.outcome import ConnectFault, Outcome
from tests.admin.records import RECORD, REFUSED

DECIDE, CONNECT, FIRST_BYTE, SECONDS = HISTOGRAMS


def samples(counters: Counters, histogram: Histogram) -> tuple[float, float]:
    """How many samples a histogram has, and their sum."""
    cells = [counters.cells[index] for index in range(histogram.start, histogram.sum_cell + 1)]
    return sum(cells[:-1]), cells[-1]


def bytes_of(counters: Counters) -> tuple[float, float]:
    return counters.cells[BYTE_CELLS], counters.cells[BYTE_CELLS + 1]


def test_a_session_counts_once_with_its_outcome_its_bytes_and_its_times() -> None:
    counters = Counters()
    counters.note(RECORD)
    assert counters.cells[OUTCOME_CELLS + list(Outcome).index(RECORD.outcome)] == 1
    assert bytes_of(counters) == (RECORD.bytes_in, RECORD.bytes_out)
    assert samples(counters, DECIDE) == (1, RECORD.decide_seconds)
    assert samples(counters, CONNECT) == (1, RECORD.connect_seconds)
    assert samples(counters, FIRST_BYTE) == (1, RECORD.first_byte_seconds)
    assert samples(counters, SECONDS) == (1, RECORD.seconds)


def test_what_the_access_log_has_as_null_is_no_sample() -> None:
    counters = Counters()
    counters.note(REFUSED)
    assert [samples(counters, each)[0] for each in HISTOGRAMS] == [0, 0, 0, 1]


def test_a_sample_is_in_the_first_bucket_that_does_not_end_before_it() -> None:
    first, second = DECIDE.bounds[:2]
    counters = Counters()
    for seconds in (0.0, first, first * 1.01, second, DECIDE.bounds[-1], DECIDE.bounds[-1] + 1):
        counters.note(RECORD._replace(decide_seconds=seconds))
    buckets = [counters.cells[index] for index in range(DECIDE.start, DECIDE.sum_cell)]
    assert buckets == [2, 2, *[0] * (len(DECIDE.bounds) - 3), 1, 1]


def test_no_two_counts_share_a_cell() -> None:
    counters = Counters()
    for outcome in Outcome:
        counters.note(RECORD._replace(outcome=outcome))
    for fault in ConnectFault:
        counters.connect_failed(fault)
    for result in RESULTS:
        counters.requests(result, 1)
    for is_complete in (True, False):
        counters.reloaded(is_complete)
    counters.adopt(1, (0, 0))
    groups = [(OUTCOME_CELLS, BYTE_CELLS), (FAULT_CELLS, SIZE)]
    assert {counters.cells[index] for start, end in groups for index in range(start, end)} == {1}
    assert FAULT_CELLS < RESULT_CELLS < RELOAD_CELLS < HANDED_OVER_CELL == SIZE - 1


# Bytes of live sessions


def test_the_bytes_of_a_live_session_count_before_it_has_ended_and_are_not_counted_again() -> None:
    counters = Counters()
    counters.count_live([(RECORD.session, 4, 100)])
    assert bytes_of(counters) == (4, 100)
    counters.count_live([(RECORD.session, 4, 1500)])
    assert bytes_of(counters) == (4, 1500)
    counters.note(RECORD)
    assert bytes_of(counters) == (10, 2000)
    counters.note(RECORD._replace(session=RECORD.session + 1))
    assert bytes_of(counters) == (20, 4000)


def test_bytes_that_were_not_delivered_after_all_do_not_make_the_count_go_down() -> None:
    counters = Counters()
    counters.count_live([(RECORD.session, 10, 5000)])
    counters.note(RECORD)
    assert bytes_of(counters) == (10, 5000)
    counters.note(RECORD._replace(session=8))
    assert bytes_of(counters) == (20, 5000)
    counters.note(RECORD._replace(session=9))
    assert bytes_of(counters) == (30, 6000), "3 sessions of 2000 bytes"


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 99), st.booleans())))
def test_the_bytes_never_go_down_and_are_right_in_the_end(steps: list[tuple[int, int, bool]]) -> None:
    counters, delivered, last, live = Counters(), 0, 0.0, set[int]()
    for number, size, has_ended in steps:
        if has_ended:
            counters.note(RECORD._replace(session=number, bytes_in=size))
            live.discard(number)
            delivered += size
        else:
            counters.count_live([(number, size, 0)])
            live.add(number)
        now = counters.cells[BYTE_CELLS]
        assert now >= last
        last = now
    for number in live:
        counters.note(RECORD._replace(session=number, bytes_in=100))
    counters.note(RECORD._replace(session=4, bytes_in=10_000))  # more than any step can have counted too much
    assert counters.cells[BYTE_CELLS] == delivered + 100 * len(live) + 10_000


def test_a_session_that_is_handed_over_is_counted_once_by_both_processes() -> None:
    old, new = Counters(), Counters()
    old.count_live([(RECORD.session, 4, 100)])
    new.adopt(RECORD.session, old.counted(RECORD.session))
    old.release(RECORD.session)
    new.note(RECORD)
    total = add_up([old.cells, new.cells])
    assert total[BYTE_CELLS : BYTE_CELLS + 2] == [10, 2000]
    assert total[HANDED_OVER_CELL] == 1
    assert old.counted(RECORD.session) == old.counted(99) == (0, 0)


# Rows


def test_cells_may_be_a_row_of_a_table_that_others_read() -> None:
    with mmap.mmap(-1, 8 * SIZE * 2) as table, memoryview(table).cast("d") as doubles, doubles[SIZE:] as row:
        counters = Counters(row)
        counters.note(RECORD)
        counters.note(RECORD)
        assert doubles[BYTE_CELLS] == 0
        assert doubles[SIZE + BYTE_CELLS] == 20
        rows = [array("d", doubles[:SIZE]), array("d", doubles[SIZE:])]
    assert add_up(rows)[BYTE_CELLS] == 20


def test_rows_are_added_cell_by_cell() -> None:
    first, second = Counters(), Counters()
    first.note(RECORD)
    second.note(REFUSED)
    total = add_up([first.cells, second.cells])
    assert total == [first.cells[index] + second.cells[index] for index in range(SIZE)]
    assert add_up([]) == [0.0] * SIZE


def test_a_result_that_is_no_outcome_is_refused() -> None:
    with pytest.raises(KeyError):
        Counters().requests("good", 1)
