"""Which batches are sent a second time after their upstream has closed."""

from __future__ import annotations

from typing import Any, cast

from proxymux.core.batch import Batch, Sender
from proxymux.core.codecs import make_codec
from proxymux.core.repeating import choose_repeated

CODEC = make_codec("resp")
ONE, TWO = (cast("Sender", object()) for _ in range(2))


def batch(data: bytes, sender: Sender | None = ONE) -> Batch:
    made = Batch(data, [(None, 1)], 1)
    made.sender = sender
    return made


def repeated(*batches: Batch, unsent: tuple[Batch, ...] = ()) -> list[Batch]:
    found = choose_repeated(batches, unsent, CODEC)
    return [each for each in batches if each in found]


def test_what_reads_is_repeated_once() -> None:
    get = batch(b"GET a\r\n")
    assert repeated(get) == [get]
    assert get.is_repeated
    assert repeated(get) == []


def test_what_writes_is_not_repeated() -> None:
    assert repeated(batch(b"INCR a\r\n")) == []


def test_what_has_a_part_of_its_reply_is_not_repeated() -> None:
    begun, next_ = batch(b"GET a\r\n", ONE), batch(b"GET a\r\n", TWO)
    begun.is_begun = True
    assert repeated(begun, next_) == [next_]


def test_what_nobody_wants_is_not_repeated() -> None:
    assert repeated(batch(b"GET a\r\n", None)) == []


def test_nothing_is_repeated_that_would_see_what_a_later_one_of_its_client_has_changed() -> None:
    before, write, after = batch(b"GET a\r\n"), batch(b"INCR a\r\n"), batch(b"GET a\r\n")
    of_another = batch(b"GET a\r\n", TWO)
    assert repeated(of_another, before, write, after) == [of_another, after]
    assert not before.is_repeated


def test_what_was_not_sent_is_no_repetition_and_has_changed_nothing() -> None:
    read, write = batch(b"GET a\r\n"), batch(b"INCR a\r\n")
    assert repeated(read, write, unsent=(write,)) == [read]


def test_a_codec_that_raises_has_nothing_repeated() -> None:
    class Raising:
        def repeatable(self, data: bytes) -> bool:
            raise KeyError(data)

    codec: Any = Raising()
    assert choose_repeated([batch(b"GET a\r\n")], (), codec) == set()
