"""Ketama; tests/system/test_ketama.py has it beside nutcracker itself."""

from __future__ import annotations

from typing import Final

import pytest

from proxymux.core.balancing.hashed import LONGEST_REMEMBERED, MOST_REMEMBERED
from proxymux.core.balancing.ketama import Ketama, _points_of
from proxymux.core.balancing.policy import MOST_ASKED
from proxymux.core.member import Member
from tests.core.balancing.members import choose, in_use, member, members, place

NAMES: Final = ("alpha", "beta", "gamma", "delta", "epsilon")
#: Each has a point among the 2¹⁵ lowest places, where all keys are with crc32.
LOW_NAMES: Final = tuple(f"n{number}" for number in (8770, 1823, 1628, 2791, 5248, 8243, 14386, 9272, 13718, 13820))
KEYS: Final = (
    b"user:1000",
    b"user:1001",
    b"user:1002",
    b"{user:1000}.following",
    b"x{user:1000}.followers",
    b"a{}b",
    b"a{b",
    b"\xff\xfe",
    b"caf\xc3\xa9",
    b"\x00\x80",
    b"0",
    b"a" * 100,
)
MANY: Final = [b"key%d" % number for number in range(5000)]


def named(names: tuple[str, ...], weights: tuple[int, ...] = ()) -> list[Member]:
    return [
        member(f"10.0.0.1:{6379 + number} weight={weights[number] if weights else 1} name={name}")
        for number, name in enumerate(names)
    ]


def balancer(some: list[Member], hash_name: str = "fnv1a_64", tag: str = "") -> Ketama:
    made = Ketama(hash_name, tag)
    in_use(made, some)
    return made


@pytest.mark.parametrize(
    ("some", "hash_name", "tag", "numbers"),
    [
        (named(NAMES), "fnv1a_64", "", (4, 4, 4, 2, 1, 4, 1, 3, 4, 2, 2, 4)),
        (named(NAMES), "fnv1a_64", "{}", (4, 4, 4, 4, 4, 4, 1, 3, 4, 2, 2, 4)),
        (named(NAMES), "md5", "", (4, 0, 3, 2, 1, 0, 1, 1, 1, 4, 3, 4)),
        (named(NAMES), "md5", "{}", (4, 0, 3, 4, 4, 0, 1, 1, 1, 4, 3, 4)),
        (named(NAMES, (1, 2, 3, 4, 5)), "fnv1a_64", "", (4, 4, 4, 4, 1, 4, 1, 3, 4, 4, 4, 4)),
        (named(LOW_NAMES), "crc32", "", (4, 9, 4, 0, 6, 3, 8, 2, 4, 4, 4, 4)),
        (named(LOW_NAMES), "crc32", "{}", (4, 9, 4, 4, 4, 3, 8, 2, 4, 4, 4, 4)),
    ],
)
def test_keys_are_where_nutcracker_has_put_them(
    some: list[Member], hash_name: str, tag: str, numbers: tuple[int, ...]
) -> None:
    made = balancer(some, hash_name, tag)
    assert tuple(some.index(choose(made, key)) for key in KEYS) == numbers


def test_an_empty_key_has_the_first_place() -> None:
    some = named(NAMES)
    assert choose(balancer(some), b"") is some[3]


@pytest.mark.parametrize(
    ("weight", "total", "count", "points"),
    [(1, 5, 5, 160), (1, 25, 25, 156), (1, 47, 47, 156), (1, 3, 2, 104), (2, 3, 2, 212), (1, 65536, 2, 0)],
)
def test_points_are_counted_with_single_precision(weight: int, total: int, count: int, points: int) -> None:
    assert _points_of(weight, total, count) == points


def test_the_ring_of_what_is_left_is_the_same_as_if_there_had_never_been_more() -> None:
    some = members(*[1] * 26)
    made = balancer(some)
    for down in ([], [3], [3, 4, 5], list(range(25)), [0], []):
        for number, each in enumerate(some):
            each.is_used = number not in down
        in_use(made, some)
        rest = [each for each in some if each.is_used]
        assert place(made, MANY) == place(balancer(rest), MANY)


def test_with_unequal_weights_likewise() -> None:
    some = members(1, 2, 30, 400, 1)
    made = balancer(some)
    for down in ([3], [2, 3], [0, 4], []):
        for number, each in enumerate(some):
            each.is_used = number not in down
        in_use(made, some)
        assert place(made, MANY) == place(balancer([each for each in some if each.is_used]), MANY)


def test_one_that_refuses_is_passed_over() -> None:
    some = members(1, 1, 1, 1)
    made = balancer(some)
    first = place(made, MANY)
    without = {key: choose(made, key, allowed=lambda each: each is not some[0]) for key in MANY}
    in_use(made, some[1:])
    assert place(made, MANY) == without
    assert {key for key in MANY if first[key] is not without[key]} == {key for key in MANY if first[key] is some[0]}


def test_one_without_points_is_taken_only_if_all_others_refuse() -> None:
    some = members(1, 65535)
    made = balancer(some)
    assert set(place(made, MANY).values()) == {some[1]}
    assert choose(made, b"key", allowed=lambda each: each is some[0]) is some[0]


def test_where_most_refuse_the_others_are_found() -> None:
    some = members(*[1] * (4 * MOST_ASKED))
    made = balancer(some)
    assert {choose(made, key, allowed=lambda each: each is some[7]) for key in MANY[:50]} == {some[7]}
    asked: list[Member] = []

    def refuse(each: Member) -> bool:
        asked.append(each)
        return False

    assert made.choose(b"key", refuse) is None
    assert set(asked) == set(some)
    assert len(asked) == len(some) + 1  # its own member once more


def test_a_slow_start_does_not_move_keys() -> None:
    some = members(1, 1, 1)
    made = balancer(some)
    before = place(made, MANY)
    some[0].share = 0.01
    in_use(made, some)
    assert place(made, MANY) == before


def test_what_is_remembered_is_forgotten_when_members_change() -> None:
    some = members(1, 1, 1, 1)
    made = balancer(some)
    for _ in range(2):
        assert place(made, MANY) == place(balancer(some), MANY)
    in_use(made, some[1:])
    assert place(made, MANY) == place(balancer(some[1:]), MANY)
    in_use(made, [])
    assert made.choose(MANY[0], None) is None


def test_no_more_is_remembered_than_there_is_room_for() -> None:
    some = members(1, 1, 1, 1)
    made = balancer(some)
    keys = [b"%d" % number for number in range(MOST_REMEMBERED + 3)]
    assert place(made, keys) == place(balancer(some), keys)
    assert len(made._remembered) == 3
    choose(made, b"x" * LONGEST_REMEMBERED)
    choose(made, b"x" * (LONGEST_REMEMBERED + 1))
    assert len(made._remembered) == 4
