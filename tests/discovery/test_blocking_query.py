"""When Consul is asked, and for what, by the answers that it has given."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.discovery.blocking_query import (
    BURST,
    INTERVAL,
    JITTER,
    LAST_BACKOFF,
    MARGIN,
    SHORT_WAIT,
    WAIT,
    BlockingQuery,
    Query,
)

quick = settings(database=None, deadline=None, max_examples=200)


def test_the_first_query_is_answered_at_once_and_the_others_wait_for_a_change() -> None:
    query = BlockingQuery()
    assert query.begin(0.0) == Query(0, WAIT, MARGIN)
    assert query.answered("17", 0.0) == 0.0
    assert query.begin(0.0) == Query(17, WAIT, MARGIN + WAIT * (1 + JITTER))


@pytest.mark.parametrize(
    ("answers", "index"),
    [
        (["5", "5"], 5),
        (["5", "6"], 6),
        (["5", "4"], 0),
        (["5", "4", "4"], 4),
        (["0"], 1),
        ([None], 1),
        (["5", None], 0),
        (["-5"], 1),
        (["18446744073709551615"], 2**64 - 1),
        (["99999999999999999999999"], 1),
        (["٣"], 1),
    ],
)
def test_the_next_index(answers: list[str | None], index: int) -> None:
    query = BlockingQuery()
    for answer in answers:
        query.answered(answer, 0.0)
    assert query.begin(0.0).after == index


def test_a_few_queries_are_made_at_once_and_more_are_slowed_down() -> None:
    query = BlockingQuery()
    pauses: list[float] = []
    for number in range(BURST + 2):
        query.begin(sum(pauses))
        pauses.append(query.answered(str(number + 1), sum(pauses)))
    assert pauses == [0.0] * (BURST - 1) + [INTERVAL] * 3


@quick
@given(st.lists(st.tuples(st.integers(0, 50), st.booleans(), st.floats(0.0, 3.0)), min_size=2, max_size=100))
def test_whatever_is_answered_there_are_never_more_queries_than_that(answers: list[tuple[int, bool, float]]) -> None:
    query, now, begun = BlockingQuery(), 1000.0, []
    for index, is_good, seconds in answers:
        query.begin(now)
        begun.append(now)
        now += seconds
        now += query.answered(str(index), now) if is_good else query.failed(now, 0.5)
    for first in range(len(begun)):
        for last in range(first + BURST, len(begun)):
            assert begun[last] - begun[first] >= (last - first - BURST + 1) * INTERVAL - 1e-6


def test_after_a_failure_the_index_stays_and_the_wait_is_short_until_there_is_an_answer() -> None:
    query = BlockingQuery()
    query.begin(0.0)
    query.answered("17", 0.0)
    now, pauses = 100.0, []
    for _ in range(8):
        pauses.append(query.failed(now, 1.0))
        now += pauses[-1]
        assert query.begin(now) == Query(17, SHORT_WAIT, MARGIN + SHORT_WAIT * (1 + JITTER))
    assert pauses == [1.0, 2.0, 4.0, 8.0] + [LAST_BACKOFF] * 4
    query.answered("17", now)
    assert query.begin(now).wait == WAIT
    assert query.failed(now + 100.0, 1.0) == 1.0


def test_jitter_spreads_the_attempts() -> None:
    now = 1000.0
    assert [BlockingQuery().failed(now, jitter) for jitter in (0.5, 1.0, 1.5)] == [0.5, 1.0, 1.5]


def test_the_next_query_may_be_one_in_a_hurry() -> None:
    query = BlockingQuery()
    query.answered("17", 0.0)
    query.hurry()
    assert [query.begin(0.0).wait, query.begin(0.0).wait] == [SHORT_WAIT, WAIT]
