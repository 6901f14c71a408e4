"""What the tests of every talk ask."""

from __future__ import annotations

from collections.abc import Callable

from proxymux.core.check_talk import Step, Talk, Verdict
from proxymux.core.decision import NEED_DATA

#: What may follow an answer in the same segment: it must not matter.
TRAILING = [b"\0", b"\n", b"\r\n\r\n", b"A", b"\xff" * 40, bytes(100_000)]

Make = Callable[[], Talk]


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[place : place + size] for place in range(0, len(data), size)]


def heard(talk: Talk, *parts: bytes) -> list[Step]:
    """What the talk makes of each part, up to the verdict."""
    steps = [talk.begin()]
    for part in parts:
        if steps[-1].verdict is not NEED_DATA:
            break
        steps.append(talk.received(part))
    return steps


def is_judged(make: Make, answer: bytes, verdict: Verdict, last_word: bytes = b"") -> None:
    """``answer`` and no less gets the verdict, in whatever pieces, and whatever follows.

    :param last_word: what is sent with the verdict.
    """
    expected = Step(verdict, last_word)
    for size in (1, 2, 7, len(answer)):
        steps = heard(make(), *pieces(answer, size))
        assert steps[-1] == expected, size
        assert all(step == Step(NEED_DATA) for step in steps[1:-1])
        assert len(steps) == 1 + len(pieces(answer, size))
    for trailing in TRAILING:
        assert heard(make(), answer + trailing)[-1] == expected, trailing[:40]


def ends(make: Make, *parts: bytes) -> str | None:
    """The verdict on a member that ends after ``parts``, which give none."""
    talk = make()
    assert heard(talk, *parts)[-1].verdict is NEED_DATA
    return talk.ended()


def bytes_taken(make: Make, data: bytes, size: int = 1000) -> int:
    """How much of an endless answer is taken before the verdict."""
    talk, taken = make(), 0
    talk.begin()
    while True:
        taken += size
        if talk.received((data * size)[:size]).verdict is not NEED_DATA:
            return taken
        assert taken < 1_000_000
