from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import ensureDeferred

from proxymux.cli.fuzz.pieces import Pieces, one_by_one
from proxymux.cli.fuzz.shrinking import Shrinking


def shrunk(pieces: Pieces, shows: Callable[[Pieces], bool], attempts: int = 600) -> tuple[Pieces, int]:
    """What it becomes, and how often that was asked."""
    asked: list[Pieces] = []
    results: list[Pieces] = []

    async def ask(smaller: Pieces) -> bool:
        asked.append(smaller)
        return shows(smaller)

    ensureDeferred(Shrinking(pieces, ask, attempts).run()).addCallback(results.append)
    return results[0], len(asked)


def test_what_matters_is_left_and_what_does_not_becomes_plain() -> None:
    found, _ = shrunk(one_by_one(b"GET /abc!def HTTP/1.1\r\n"), lambda each: b"!" in each.data and len(each.data) > 2)
    assert sorted(found.data) == sorted(b"x!x")
    assert found.cuts == ()


def test_a_cut_that_matters_is_left() -> None:
    found, _ = shrunk(one_by_one(b"abcdefgh"), lambda each: b"d" in each.data and len(each.chunks) > 1)
    assert len(found.data) == 2
    assert found.cuts == (1,)


def test_it_ends_after_so_many_attempts() -> None:
    found, asked = shrunk(Pieces(bytes(1000)), lambda each: len(each.data) > 900, attempts=7)
    assert asked == 7
    assert len(found.data) > 900
