"""Modula; tests/system/test_ketama.py has it beside nutcracker itself."""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest

from proxymux.core.balancing.key_hash import fnv1a_64
from proxymux.core.balancing.modula import Modula
from proxymux.core.member import Member
from tests.core.balancing.members import choose, in_use, member, place

MANY: Final = [b"key%d" % number for number in range(3000)]


def balancer(*texts: str, tag: str = "") -> tuple[Modula, list[Member]]:
    made, some = Modula("fnv1a_64", tag), [member(text) for text in texts]
    in_use(made, some)
    return made, some


def test_the_remainder_of_the_hash_counts_through_the_weights() -> None:
    made, some = balancer("10.0.0.1:1 name=a", "10.0.0.2:1 weight=3 name=b", "10.0.0.3:1 weight=2 name=c")
    points = [some[0], some[1], some[1], some[1], some[2], some[2]]
    assert all(choose(made, key) is points[fnv1a_64(key) % 6] for key in MANY)


def test_weights_are_not_only_what_they_are_to_each_other() -> None:
    ones, some = balancer("a:1", "b:1")
    twos, others = balancer("a:1 weight=2", "b:1 weight=2")
    assert [some.index(choose(ones, key)) for key in MANY] != [others.index(choose(twos, key)) for key in MANY]


def test_members_are_sorted_as_nutcracker_sorts_servers_short_labels_first() -> None:
    made, some = balancer("10.0.0.10:1", "10.0.0.9:1", "10.0.0.2:1", "10.0.0.1:1 name=z")
    order = [some[3], some[2], some[1], some[0]]
    assert all(choose(made, key) is order[fnv1a_64(key) % 4] for key in MANY)


def test_an_empty_key_is_the_first_one_s_and_a_tag_counts_alone() -> None:
    made, some = balancer("b:1", "a:1", "c:1", tag="{}")
    assert choose(made, b"") is some[1]
    assert len({choose(made, b"%d{tag}" % number) for number in range(50)}) == 1


def test_one_that_is_not_used_is_as_if_it_had_never_been() -> None:
    made, some = balancer("a:1", "b:1 weight=2", "c:1")
    before = place(made, MANY)
    some[1].is_used = False
    in_use(made, some)
    assert place(made, MANY) == place(balancer_of(some[0], some[2]), MANY)
    some[1].is_used = True
    in_use(made, some)
    assert place(made, MANY) == before


def balancer_of(*some: Member) -> Modula:
    made = Modula("fnv1a_64", "")
    in_use(made, some)
    return made


@pytest.mark.parametrize("number", range(3))
def test_of_one_that_refuses_the_next_has_the_keys(number: int) -> None:
    made, some = balancer("a:1", "b:1", "c:1")
    before = place(made, MANY)
    after = {key: choose(made, key, lambda each: each is not some[number]) for key in MANY}
    moved = Counter((some.index(before[key]), some.index(after[key])) for key in MANY if before[key] is not after[key])
    assert set(moved) == {(number, (number + 1) % 3)}
