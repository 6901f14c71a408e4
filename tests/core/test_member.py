from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.health import Health, HealthRules
from proxymux.core.member import MAX_WEIGHT, Entry, Member, parse_entry, parse_weight
from proxymux.core.target import parse_target
from proxymux.errors import BadAddress

A = parse_target("10.0.0.1:80")


def is_one_line(problem: BadAddress) -> None:
    assert "\n" not in str(problem)


def member(entry: Entry, weight: int = 1) -> Member:
    return Member(entry, weight, Health(HealthRules()), 100.0)


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("10.0.0.1:80", Entry(A)),
        ("  10.0.0.1:80\t", Entry(A)),
        ("10.0.0.1:80 weight=3", Entry(A, 3)),
        ("10.0.0.1:80 weight=0", Entry(A, 0)),
        ("10.0.0.1:80 name=first", Entry(A, None, "first")),
        ("10.0.0.1:80  name=first   weight=65535", Entry(A, 65535, "first")),
        ("db.example:5432 weight=2", Entry(parse_target("db.example:5432"), 2)),
        ("[::1]:80", Entry(parse_target("[::1]:80"))),
        ("unix:/run/app weight=2", Entry(parse_target("unix:/run/app"), 2)),
    ],
)
def test_an_entry_is_an_address_with_perhaps_a_weight_and_a_name(text: str, entry: Entry) -> None:
    assert parse_entry(text) == entry


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is not host:port"),
        ("   ", "'' is not host:port"),
        ("10.0.0.1", "'10.0.0.1' is not host:port"),
        ("users", "'users' is not host:port"),
        ("10.0.0.1:80,", "the port is not a number"),
        ("10.0.0.1:80 3", "'3' is not weight=N or name=NAME, given once"),
        ("10.0.0.1:80 weight", "'weight' is not weight=N or name=NAME"),
        ("10.0.0.1:80 weight=", "'weight=' is not weight=N or name=NAME"),
        ("10.0.0.1:80 weight=1 weight=2", "'weight=2' is not weight=N or name=NAME, given once"),
        ("10.0.0.1:80 down=1", "'down=1' is not weight=N or name=NAME"),
        ("10.0.0.1:80 weight=-1", "weight: '-1' is not a whole number from 0 to 65535"),
        ("10.0.0.1:80 weight=1.5", "weight: '1.5' is not a whole number"),
        ("weight=3 10.0.0.1:80", "'10.0.0.1:80' is not weight=N or name=NAME"),
    ],
)
def test_anything_else_is_refused_in_a_line_that_says_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(BadAddress) as caught:
        parse_entry(text)
    assert problem in str(caught.value)
    is_one_line(caught.value)


@pytest.mark.parametrize("text", ["", "65536", "99999", "100000", "+1", " 1", "1\n", "\u0661"])
def test_a_weight_is_a_whole_number_in_its_bounds(text: str) -> None:
    with pytest.raises(BadAddress, match="weight: "):
        parse_weight(text)


@given(st.integers(0, MAX_WEIGHT))
def test_every_weight_in_its_bounds_is_read(weight: int) -> None:
    assert parse_weight(str(weight)) == weight


@given(st.text())
def test_whatever_is_written_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        entry = parse_entry(text)
    except BadAddress as problem:
        is_one_line(problem)
    else:
        assert parse_entry(str(entry.address)).address == entry.address


def test_a_new_member_is_used_and_has_no_connections() -> None:
    new = member(Entry(A))
    assert (new.address, new.connections, new.since, new.is_used) == (A, 0, 100.0, True)
    assert (new.is_drained, new.is_held, new.health.is_up) == (False, False, True)
    assert repr(new) == "<Member 10.0.0.1:80 0 connections>"


def test_the_weight_is_the_entrys_or_the_clusters() -> None:
    assert member(Entry(A, 3), 7).weight == 3
    assert member(Entry(A, 0), 7).weight == 0
    new = member(Entry(A), 7)
    assert (new.weight, new.share) == (7, 7.0)
    assert new.describe(Entry(A, 2), 7)
    assert new.weight == 2
    assert not new.describe(Entry(A, 2), 9)
    assert new.describe(Entry(A, 2, "one"), 9)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("10.0.0.1:80", "10.0.0.1:80"),
        ("10.0.0.1:11211", "10.0.0.1"),
        ("cache.example:11211", "cache.example"),
        ("cache.example:11211 name=one", "one"),
        ("[::1]:11211", "::1"),
        ("[::1]:80", "::1:80"),
        ("unix:/run/app", "/run/app:"),
    ],
)
def test_the_label_is_the_name_or_the_address_as_nutcracker_writes_it(text: str, label: str) -> None:
    assert member(parse_entry(text)).label == label


def test_members_of_the_same_address_are_not_the_same() -> None:
    assert len({member(Entry(A)), member(Entry(A))}) == 2
