"""The codecs without a protocol's name: raw, lines, lengths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.codecs import Request, make_codec
from proxymux.core.codecs.length import LengthCodec
from proxymux.core.codecs.limits import Limits
from proxymux.core.codecs.line import LineCodec
from proxymux.errors import BadMessage
from tests.core.codecs.checks import (
    Said,
    bad_replies,
    bad_requests,
    check_any_replies,
    check_any_requests,
    check_replies,
    check_requests,
    places,
    quick,
    work_of,
)

# --- raw ---


def test_raw_takes_a_chunk_for_a_request() -> None:
    scanner = make_codec("raw").requests()
    assert scanner.feed(b"ab\ncd") == [Request(5)]
    assert scanner.is_between


def test_raw_replies_end_when_it_is_silent() -> None:
    scanner = make_codec("raw").replies()
    scanner.expect(None)
    scanner.silence()
    assert scanner.is_between
    assert scanner.feed(b"a") == []
    assert scanner.feed(b"b") == []
    assert not scanner.is_between
    scanner.silence()
    assert scanner.is_between
    with pytest.raises(BadMessage, match="nothing was sent for"):
        scanner.feed(b"c")


def test_raw_replies_end_with_the_connection() -> None:
    scanner = make_codec("raw").replies()
    scanner.expect(None, 2)
    assert not scanner.finish()
    scanner.feed(b"a")
    assert scanner.finish()
    assert scanner.is_between
    assert not scanner.finish()
    scanner.feed(b"b")
    assert scanner.finish()


# --- lines ---

LINES = [b"one\n", b"\n", b"two\r\n", b"\xff\0\n"]


def test_lines_end_with_lf() -> None:
    codec = make_codec("line")
    check_requests(codec, *map(Said, LINES))
    check_requests(codec, *map(Said, LINES), tail=b"three\r")
    check_replies(codec, [None] * 4, *LINES)
    check_replies(codec, [None] * 5, *LINES, tail=b"three")


@pytest.mark.parametrize("before", [b"", b"a\n"])
def test_a_line_has_a_limit(before: bytes) -> None:
    codec = LineCodec(Limits(line=10))
    check_requests(codec, *[Said(before)] * bool(before), Said(b"123456789\n"))
    check_requests(codec, *[Said(before)] * bool(before), Said(b"1\n"), tail=b"1234567890")
    for line in (b"1234567890\n", b"12345678901"):
        assert "more than 10 bytes" in bad_requests(codec, before + line).problem
        assert "more than 10 bytes" in bad_replies(codec, [None] * 2, before + line).problem
        assert bad_requests(codec, before + line).finished == [Request(2)] * bool(before)


def test_a_line_has_16_mib_by_default() -> None:
    codec = make_codec("line")
    most = 16 * 1024 * 1024
    longest = b"x" * (most - 1) + b"\n"
    assert codec.requests().feed(longest) == [Request(most)]
    replies = codec.replies()
    replies.expect(None, 2)
    assert replies.feed(longest) == [most]
    for scanner in (codec.requests(), replies):
        with pytest.raises(BadMessage, match="more than 16777216 bytes"):
            scanner.feed(b"x" + longest)


def test_a_second_line_to_one_request_is_one_too_many() -> None:
    bad = bad_replies(make_codec("line"), [None], b"a\nb")
    assert bad.finished == [2]


@quick
@given(st.lists(st.sampled_from([b"\n", b"a", b"bcd", b"x" * 12]), max_size=20).map(b"".join), places)
def test_lines_are_the_same_however_they_are_cut(data: bytes, at: list[int]) -> None:
    codec = LineCodec(Limits(line=20))
    check_any_requests(codec, data, at)
    check_any_replies(codec, [None] * 3, data, at)


# --- lengths ---


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_a_message_is_as_long_as_it_says(width: int) -> None:
    codec = make_codec(f"length:{width}")
    messages = [len(body).to_bytes(width, "big") + body for body in (b"abc", b"", b"\0" * 20, b"", b"")]
    check_requests(codec, *map(Said, messages))
    check_requests(codec, *map(Said, messages), tail=b"\0" * (width - 1) + b"\2x")
    check_replies(codec, [None] * 5, *messages)
    assert bad_replies(codec, [None] * 4, b"".join(messages)).finished[-1:] == [sum(map(len, messages)) - width]


def test_a_length_has_a_limit() -> None:
    codec = LengthCodec(2, Limits(value=300))
    check_requests(codec, Said(b"\1\x2c" + b"x" * 300))
    assert "of 301 bytes is longer than 300" in bad_requests(codec, b"\0\0\1\x2d").problem
    assert bad_requests(codec, b"\0\0\1\x2d").finished == [Request(2)]
    assert bad_replies(codec, [None] * 2, b"\0\0\1\x2d").finished == [2]


def test_a_length_of_512_mib_is_the_most_by_default() -> None:
    codec = make_codec("length:8")
    assert codec.requests().feed((512 * 1024 * 1024).to_bytes(8, "big")) == []
    with pytest.raises(BadMessage):
        codec.requests().feed((512 * 1024 * 1024 + 1).to_bytes(8, "big"))


@quick
@given(st.binary(max_size=60), places)
def test_lengths_are_the_same_however_they_are_cut(data: bytes, at: list[int]) -> None:
    codec = LengthCodec(2, Limits(value=0x300))
    check_any_requests(codec, data, at)
    check_any_replies(codec, [None] * 2, data, at)


# --- the work ---


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("line", b"x" * 100 + b"\n"),
        ("line", b"\n"),
        ("length:4", b"\0\0\0\0"),
        ("length:4", b"\0\0\0\x64" + b"x" * 100),
    ],
)
def test_the_work_is_linear(name: str, message: bytes) -> None:
    codec = make_codec(name)
    data = message * 2000
    assert work_of(codec, None, [data]) <= 2 * len(data)
    assert work_of(codec, [None] * 2000, [data]) <= 2 * len(data)
    assert work_of(codec, None, [data[at : at + 7] for at in range(0, len(data), 7)]) <= 3 * len(data)


def test_of_a_large_message_nothing_is_copied() -> None:
    data = (100_000_000).to_bytes(4, "big") + b"x" * 65532
    codec = make_codec("length:4")
    assert work_of(codec, None, [data, *[b"x" * 65536] * 1000]) < 100
