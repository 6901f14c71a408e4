from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxymux.cli.fuzz.pieces import Pieces, cut_at, one_by_one

SOME = st.builds(cut_at, st.binary(max_size=20), st.lists(st.integers(-2, 25), max_size=8))


def test_bytes_one_by_one() -> None:
    assert one_by_one(b"abc").chunks == (b"a", b"b", b"c")
    assert one_by_one(b"").chunks == Pieces(b"").chunks == ()


def test_bytes_are_left_out_and_the_cuts_stay_where_they_were() -> None:
    pieces = Pieces(b"abcdef", (2, 4))
    assert pieces.without(0, 1).chunks == (b"b", b"cd", b"ef")
    assert pieces.without(1, 5).chunks == (b"a", b"f")
    assert pieces.without(0, 2).chunks == (b"cd", b"ef")
    assert pieces.without_cuts(0, 1).chunks == (b"abcd", b"ef")
    assert pieces.with_byte(3, ord("x")).chunks == (b"ab", b"cx", b"ef")


@given(SOME, st.integers(0, 20), st.integers(0, 20))
def test_what_is_left_is_in_pieces_that_are_not_empty(pieces: Pieces, start: int, size: int) -> None:
    left = pieces.without(start, start + size)
    assert b"".join(left.chunks) == left.data == pieces.data[:start] + pieces.data[start + size :]
    assert all(left.chunks)
    assert list(left.cuts) == sorted(set(left.cuts))
