from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from proxymux.core.redis_cluster.slot_map import MOST_PRIMARIES, SLOTS, SlotMap, slot_of
from proxymux.core.target import InetTarget, parse_address
from proxymux.errors import BadMessage

A, B, C = (parse_address(f"10.0.0.{number}:6379") for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("key", "same"),
    [
        (b"123456789", None),
        (b"{user1000}.following", b"user1000"),
        (b"foo{}{bar}", None),  # these are the examples of Redis's specification
        (b"foo{{bar}}zap", b"{bar"),
        (b"foo{bar}{zap}", b"bar"),
        (b"}{a}", b"a"),
        (b"{a", None),
        (b"", None),
    ],
)
def test_only_what_stands_between_braces_is_hashed(key: bytes, same: bytes | None) -> None:
    assert slot_of(key) == key_slot(key)
    if same is not None:
        assert slot_of(key) == slot_of(same)


def test_the_slot_of_the_specification() -> None:
    assert slot_of(b"123456789") == 0x31C3


@given(st.binary(max_size=40) | st.text("{}ab", max_size=8).map(str.encode))
def test_a_key_is_in_the_slot_where_redis_py_has_it(key: bytes) -> None:
    assert slot_of(key) == key_slot(key)


def test_each_slot_has_its_place_or_none() -> None:
    slots = SlotMap([(0, 5, A), (7, 9, B), (6, 6, A)])
    assert [slots.place_of(slot) for slot in range(11)] == [A] * 7 + [B] * 3 + [None]
    assert (slots.places, slots.served) == ((A, B), 10)
    assert repr(slots) == "<SlotMap 10 of 16384 slots at 2 primaries>"
    assert SlotMap().served == 0


@pytest.mark.parametrize(
    "ranges",
    [[(-1, 5, A)], [(0, SLOTS, A)], [(5, 4, A)], [(0, 5, A), (5, 6, B)], [(0, 5, A), (3, 3, A)]],
)
def test_what_is_no_map_is_refused(ranges: list[tuple[int, int, InetTarget]]) -> None:
    with pytest.raises(BadMessage):
        SlotMap(ranges)


def test_more_primaries_than_there_may_be_are_refused() -> None:
    many = [(slot, slot, InetTarget("h", slot + 1, False)) for slot in range(MOST_PRIMARIES + 1)]
    assert SlotMap(many[:-1]).served == MOST_PRIMARIES
    with pytest.raises(BadMessage, match="more than"):
        SlotMap(many)


def test_a_slot_that_has_moved_is_elsewhere_in_another_map() -> None:
    before = SlotMap([(0, 9, A), (10, 19, B)])
    after = before.moved(3, C).moved(4, B)
    assert [after.place_of(slot) for slot in (2, 3, 4, 5)] == [A, C, B, A]
    assert before.place_of(3) == A
    assert before != after


def test_maps_are_equal_if_they_say_the_same() -> None:
    assert SlotMap([(0, 9, A)]) == SlotMap([(0, 4, A), (5, 9, A)])
    assert SlotMap([(0, 9, A)]) != SlotMap([(0, 9, B)])
    assert SlotMap([(0, 9, A)]) != SlotMap([(0, 8, A)])
    assert SlotMap() != 0
