from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.check_talk import MOST
from proxymux.core.check_talk.talk import Step
from proxymux.core.check_talk.text import NOT_FOUND, ExpectTalk, Search, SilentTalk
from proxymux.core.decision import NEED_DATA
from tests.core.check_talk.talks import bytes_taken, ends, heard, is_judged


def test_where_nothing_is_asked_the_connection_is_enough() -> None:
    assert SilentTalk().begin() == Step(None)
    assert SilentTalk(b"hello").begin() == Step(None, b"hello")
    assert SilentTalk().received(b"welcome") == Step(None)
    SilentTalk().ended()


def test_the_text_may_stand_anywhere_in_the_answer() -> None:
    def make() -> ExpectTalk:
        return ExpectTalk(b"STATUS\r\n", b"ready")

    assert make().begin() == Step(NEED_DATA, b"STATUS\r\n")
    is_judged(make, b"ready", None)
    is_judged(make, b"rrrereaready", None)
    is_judged(make, b"220 host\r\nready", None)
    assert ends(make) == NOT_FOUND
    assert ends(make, b"read") == NOT_FOUND
    assert ends(make, b"not rea", b"d", b" y") == NOT_FOUND


def test_only_the_first_bytes_are_looked_at() -> None:
    def make() -> ExpectTalk:
        return ExpectTalk(b"", b"ready")

    assert heard(make(), bytes(MOST - 5) + b"ready")[-1] == Step(None)
    assert heard(make(), bytes(MOST - 4) + b"ready")[-1] == Step(NOT_FOUND)
    assert MOST <= bytes_taken(make, b"read") <= MOST + 1000
    assert MOST <= bytes_taken(make, b"read", 1) <= MOST


@given(st.binary(min_size=1, max_size=4), st.lists(st.binary(max_size=5), max_size=12))
def test_a_text_is_found_in_pieces_as_in_the_whole(text: bytes, parts: list[bytes]) -> None:
    search, found = Search(text), False
    for number, part in enumerate(parts, 1):
        found = found or search.feed(part)
        assert found == (text in b"".join(parts[:number]))


@pytest.mark.parametrize("text", [b"aab", b"abab"])
def test_a_text_that_begins_like_itself_is_found(text: bytes) -> None:
    search = Search(text)
    assert [search.feed(bytes([byte])) for byte in b"aa" + text].count(True) == 1
