"""What all codecs have in common."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from proxymux.core.codecs import Codec, CodecBase, Kind, complete, make_codec
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
    assert [kind.name for kind in Kind] == ["PLAIN", "SILENT", "OWN", "LAST", "REPLACED", "REFUSED", "QUIT"]


def test_no_codec_is_loaded_before_it_is_asked_for() -> None:
    program = (
        "import sys; from proxymux.core.codecs import make_codec; make_codec('resp')\n"
        "print([name for name in sys.modules if name.startswith(('h11', 'proxymux.core.codecs.http', 'twisted'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


# What codecs say of their protocols


@pytest.mark.parametrize("name", NAMES)
def test_servers_of_redis_and_memcached_are_known_to_read_on(name: str) -> None:
    assert make_codec(name).pipelines == (name in ("resp", "memcache"))


@pytest.mark.parametrize("name", NAMES)
def test_where_a_greeting_looks_like_a_reply_upstreams_are_silent_first(name: str) -> None:
    assert make_codec(name).silent_first == (name in ("raw", "line"))


@pytest.mark.parametrize("name", NAMES)
def test_http_looks_at_nothing_after_a_request_that_changes_the_protocol(name: str) -> None:
    assert make_codec(name).ends_at_own == (name == "http")


@pytest.mark.parametrize("name", NAMES)
def test_ours_need_no_completing(name: str) -> None:
    codec = make_codec(name)
    assert complete(codec) is codec


class Sparing:
    """Has only what every codec must have."""

    name = "sparing"

    def __init__(self, gap: bool) -> None:
        self.gap = gap
        self._line = make_codec("line")
        self.requests, self.replies = self._line.requests, self._line.replies

    def failure(self, problem: str) -> bytes:
        return problem.encode()


@pytest.mark.parametrize("gap", [False, True])
def test_what_a_codec_does_not_say_is_taken_to_be_the_safe_answer(gap: bool) -> None:
    sparing: Any = Sparing(gap)
    codec = complete(sparing)
    assert (codec.name, codec.gap) == ("sparing", gap)
    assert (codec.pipelines, codec.silent_first, codec.ends_at_own) == (False, gap, False)
    assert [request.end for request in codec.requests().feed(b"1\n2\n")] == [2, 4]
    assert codec.replies().must_close is False
    assert codec.failure("no") == b"no"
    assert not codec.repeatable(b"1\n")
    assert codec.fence == b""


@pytest.mark.parametrize("member", ["pipelines", "silent_first", "ends_at_own"])
def test_what_a_codec_does_say_holds(member: str) -> None:
    sparing: Any = Sparing(gap=False)
    setattr(sparing, member, True)
    codec = complete(sparing)
    said = {each: getattr(codec, each) for each in ("pipelines", "silent_first", "ends_at_own")}
    assert said == {each: each == member for each in said}


def test_the_base_has_what_is_usual() -> None:
    base = CodecBase
    assert (base.gap, base.pipelines, base.silent_first, base.ends_at_own) == (False, False, False, False)
