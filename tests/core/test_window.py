"""How many replies a client may have under way, and how batches are divided for that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.batch import Batch
from proxymux.core.codecs import make_codec
from proxymux.core.pipeline import Pipeline
from proxymux.core.pipeline_orders import Follow, Input, PipelineRules
from proxymux.core.window import FIRST, MOST, Window, split

LIMIT = 1 << 20
RESP = make_codec("resp")
GET = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"


def after(window: Window, size: int) -> int:
    """The window after one that was full of replies of that size."""
    most = window.room(0)
    window.begin(0)
    window.ask(most)
    window.bytes_out += most * size
    return window.room(0)


def test_it_grows_while_replies_are_small_up_to_a_limit() -> None:
    window = Window(LIMIT)
    got = [after(window, 5) for _ in range(9)]
    assert got[:3] == [2 * FIRST, 4 * FIRST, 8 * FIRST]
    assert got[-2:] == [MOST, MOST]


def test_large_replies_make_it_small_at_once() -> None:
    window = Window(LIMIT)
    for _ in range(5):
        after(window, 5)
    assert after(window, 100_000) == LIMIT // 100_000
    assert after(window, 10 * LIMIT) == 1
    assert after(window, 10 * LIMIT) == 1
    assert after(window, 10) == 2


def test_what_is_under_way_takes_its_room() -> None:
    window = Window(LIMIT)
    window.begin(0)
    window.ask(3)
    assert window.room(3) == FIRST - 3


def replies_to(data: bytes, count: int) -> Batch:
    return Batch(data, [(None, count)], count)


@pytest.mark.parametrize("count", [2, 9, 500])
def test_a_batch_is_divided_between_its_requests(count: int) -> None:
    batch = replies_to(GET * count, count)
    batch.sequence, batch.is_last = 7, True
    head = split(batch, RESP, 1)
    assert head is not None
    assert (head.data, head.replies, head.expected) == (GET, 1, [(None, 1)])
    assert (batch.data, batch.replies, batch.expected) == (GET * (count - 1), count - 1, [(None, count - 1)])
    assert (head.sequence, head.is_last, batch.is_last) == (7, False, True)


def test_requests_of_very_different_sizes_are_divided_as_well() -> None:
    large = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100000\r\n" + bytes(100_000) + b"\r\n"
    for data in (large + GET * 100, GET * 100 + large):
        batch = replies_to(data, 101)
        head = split(batch, RESP, 4)
        assert head is not None
        assert 1 <= head.replies <= 8
        assert head.data + batch.data == data


def test_hints_stay_with_their_requests() -> None:
    codec = make_codec("memcache")
    data = b"get a\r\n" * 3 + b"incr b 1\r\n" * 3
    batch = Batch(data, [("get", 3), ("incr", 3)], 6)
    head = split(batch, codec, 4)
    assert head is not None
    expected = [("get", 1)] * 3 + [("incr", 1)] * 3
    flat = [(hint, 1) for part in (head, batch) for hint, count in part.expected for _ in range(count)]
    assert flat == expected
    assert sum(count for _, count in head.expected) == head.replies


def test_whether_the_last_request_has_no_reply_is_known_of_each_part() -> None:
    write = b"delete a noreply\r\n"
    batch = Batch(b"get a\r\n" + write + b"get b\r\n", [("get", 2)], 2)
    head = split(batch, make_codec("memcache"), 1)
    assert head is not None
    assert head.ends_silent is head.data.endswith(write)
    assert not batch.ends_silent


def test_one_request_is_not_divided() -> None:
    batch = replies_to(GET, 2)  # two are said to be in it
    assert split(batch, RESP, 1) is None
    assert (batch.data, batch.replies) == (GET, 2)


@given(sizes=st.lists(st.integers(0, 3000), min_size=2, max_size=60), most=st.integers(1, 20))
def test_whatever_the_sizes_nothing_is_lost(sizes: list[int], most: int) -> None:
    texts = [b"*2\r\n$4\r\nECHO\r\n$%d\r\n%b\r\n" % (size, bytes(size)) for size in sizes]
    batch = replies_to(b"".join(texts), len(texts))
    if len(texts) <= most:
        return
    head = split(batch, RESP, most)
    assert head is not None
    assert 1 <= head.replies <= 2 * most
    assert (head.data, batch.data) == (b"".join(texts[: head.replies]), b"".join(texts[head.replies :]))


# In the pipeline


def make(pipelined: bool) -> Pipeline:
    return Pipeline(PipelineRules(RESP, pipelined, True, False, lambda: True, LIMIT))


def test_a_large_pipeline_goes_out_in_parts_that_grow() -> None:
    pipeline = make(pipelined=False)
    [batch] = pipeline.take(Input.RECEIVED, GET * 500)
    sizes = []
    while True:
        assert isinstance(batch, Batch)
        sizes.append(batch.replies)
        pipeline.window.bytes_out += 5 * batch.replies
        count, batch.replies = batch.replies, 0
        orders = pipeline.take(Input.DONE, (batch, b"$-1\r\n" * count))
        if len(orders) == 1:
            break
        batch = orders[1]
    assert sum(sizes) == 500
    assert sizes[:4] == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST]


def test_a_pipeline_of_two_windows_is_enough_to_make_it_grow() -> None:
    pipeline = make(pipelined=False)
    for sizes in ([FIRST, FIRST], [2 * FIRST]):
        orders = pipeline.take(Input.RECEIVED, GET * 2 * FIRST)
        for size in sizes:
            batch = orders[-1]
            assert isinstance(batch, Batch)
            assert batch.replies == size
            batch.replies = 0
            orders = pipeline.take(Input.DONE, (batch, b"$-1\r\n"))


def test_one_whose_replies_are_large_gets_them_one_by_one() -> None:
    pipeline = make(pipelined=False)
    [batch] = pipeline.take(Input.RECEIVED, GET * 20)
    for count in (FIRST, 1, 1):
        assert isinstance(batch, Batch)
        assert batch.replies == count
        pipeline.window.bytes_out += LIMIT * count
        batch.replies = 0
        [_, batch] = pipeline.take(Input.DONE, (batch, b"x"))


def test_what_follows_counts_what_is_under_way() -> None:
    pipeline = make(pipelined=True)
    [first] = pipeline.take(Input.RECEIVED, GET)
    assert isinstance(first, Batch)
    follows = []
    for _ in range(FIRST + 5):
        follows += pipeline.take(Input.RECEIVED, GET)
    assert len(follows) == FIRST - 1
    assert all(isinstance(each, Follow) for each in follows)
    first.replies = 0
    orders = pipeline.take(Input.DONE, (first, b"$-1\r\n"))
    assert len(orders) == 2
