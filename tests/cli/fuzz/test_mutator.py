"""Mutations: the same for the same seed, bounded, and of every way."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.cli.fuzz.mutator import Mutator

BULK = b"*2\r\n$3\r\nGET\r\n$6\r\nuser:1\r\n"
#: The ways in which one input becomes another.
WAYS = sorted(
    name
    for name, function in inspect.getmembers(Mutator, inspect.isfunction)
    if not name.startswith("_") and name not in ("mutate", "split")
)


def mutator(seed: int, longest: int = 1000) -> Mutator:
    return Mutator(Random(seed), (b"token",), longest)


@given(st.integers(0, 2**32), st.binary(max_size=300), st.binary(max_size=300), st.integers(0, 400))
def test_a_seed_has_the_same_mutation_and_none_is_too_long(seed: int, data: bytes, other: bytes, longest: int) -> None:
    one, two = mutator(seed, longest), mutator(seed, longest)
    for _ in range(3):
        mutated = one.mutate(data, other)
        assert mutated == two.mutate(data, other)
        assert len(mutated) <= longest


@given(st.integers(0, 2**32), st.binary(max_size=200))
def test_a_split_is_of_the_same_bytes_in_pieces_that_are_not_empty(seed: int, data: bytes) -> None:
    pieces = mutator(seed).split(data)
    assert b"".join(pieces.chunks) == data
    assert all(pieces.chunks)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_changes_something_and_takes_whatever_comes(way: str) -> None:
    made = mutator(1)
    results = {getattr(made, way)(BULK) for _ in range(50)}
    assert results - {BULK}
    for data in (b"", b"\xff", b"$", b"$3\r\n", b"9" * 100):
        assert isinstance(getattr(made, way)(data), bytes)


def test_every_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: set[str] = set()

    def noting(way: str) -> Callable[[Mutator, bytes], bytes]:
        def take(_: Mutator, data: bytes) -> bytes:
            taken.add(way)
            return data

        return take

    for way in WAYS:
        monkeypatch.setattr(Mutator, way, noting(way))
    made = mutator(1)
    for _ in range(500):
        made.mutate(BULK, b"")
    assert taken == set(WAYS)


def test_a_text_that_is_refilled_has_its_length() -> None:
    made = mutator(3)
    for data in [made.refilled(BULK) for _ in range(30)]:
        for each in data.split(b"$")[1:]:
            length, _, text = each.partition(b"\r\n")
            assert text[int(length) :].startswith(b"\r\n")


def test_without_tokens_bytes_take_their_place() -> None:
    made = Mutator(Random(1), (), 100)
    assert len(made.with_token(b"abc")) == 4
