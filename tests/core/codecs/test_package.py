"""What all codecs have in common."""

from __future__ import annotations

import subprocess
import sys

import pytest

from proxymux.core.codecs import Codec, Kind, make_codec
from proxymux.errors import BadCodec, BadMessage, ProxymuxError

NAMES = ["raw", "line", "length:1", "length:2", "length:4", "length:8", "resp", "http", "memcache", "modbus"]


@pytest.mark.parametrize("name", NAMES)
def test_a_codec_is_made_by_its_name(name: str) -> None:
    codec = make_codec(name)
    assert codec.name == name
    assert codec.gap == (name == "raw")
    assert codec.requests().is_between
    assert codec.replies().is_between
    assert codec.requests().interim == b""
    assert codec.replies().must_close is False


@pytest.mark.parametrize("name", ["", "RESP", "redis", "length", "length:", "length:3", "length:16", "line ", "x:y"])
def test_a_name_that_there_is_not_is_told_which_there_are(name: str) -> None:
    with pytest.raises(BadCodec, match=r"raw, line, length:N \(N is 1, 2, 4 or 8\), resp, http, memcache and modbus"):
        make_codec(name)
    assert issubclass(BadCodec, ProxymuxError)
    assert issubclass(BadCodec, ValueError)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_nothing(name: str) -> None:
    codec = make_codec(name)
    requests, replies = codec.requests(), codec.replies()
    assert requests.feed(b"") == []
    assert replies.feed(b"") == []
    assert not replies.count(b"")
    assert replies.finish() is False
    replies.silence()
    assert requests.is_between
    assert replies.is_between


@pytest.mark.parametrize("name", NAMES)
def test_a_reply_that_nothing_was_sent_for_is_an_error(name: str) -> None:
    scanner = make_codec(name).replies()
    assert scanner.count(b"+OK\r\n") is None
    with pytest.raises(BadMessage, match="a reply came that nothing was sent for"):
        scanner.feed(b"+")


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("resp", b"-ERR all is lost ? really\r\n"),
        ("memcache", b"SERVER_ERROR all is lost ? really\r\n"),
        ("raw", b""),
        ("line", b""),
        ("length:4", b""),
        ("modbus", b""),
    ],
)
def test_a_failure_is_one_line_whatever_the_problem_says(name: str, failure: bytes) -> None:
    assert make_codec(name).failure("all is\r\nlost \N{SKULL} really\n") == failure


def is_valid_for(codec: Codec, failure: bytes) -> bool:
    scanner = codec.replies()
    scanner.expect(None)
    return scanner.feed(failure) == [len(failure)]


@pytest.mark.parametrize("name", ["resp", "memcache", "http"])
def test_a_failure_is_a_reply_of_the_protocol(name: str) -> None:
    codec = make_codec(name)
    assert is_valid_for(codec, codec.failure("no upstream"))


def test_the_kinds_are_these() -> None:
    assert [kind.name for kind in Kind] == ["PLAIN", "SILENT", "OWN", "LAST", "REFUSED", "QUIT"]


def test_no_codec_is_loaded_before_it_is_asked_for() -> None:
    program = (
        "import sys; from proxymux.core.codecs import make_codec; make_codec('resp')\n"
        "print([name for name in sys.modules if name.startswith(('h11', 'proxymux.core.codecs.http', 'twisted'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
