"""``proxymux check --codec``: a router of requests on recorded ones."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from proxymux.cli.check_requests import check_requests

GET = b"*2\r\n$3\r\nGET\r\n$6\r\nuser:1\r\n"
ROUTER = """
def route(request):
    return "10.0.0.1:1" if request.key and request.key.startswith(b"user:") else None
"""
#: Decides otherwise at each call.
FICKLE = "count = []\ndef route(request):\n    count.append(1)\n    return f'10.0.0.1:{len(count)}'\n"
ENDLESS = "from twisted.internet.defer import Deferred\ndef route(request):\n    return Deferred()\n"


class Check:
    """Runs a check on a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.clock = Clock()
        self.out, self.err = io.StringIO(), io.StringIO()

    def __call__(self, router: str, data: bytes | None, codec: str = "resp", seconds: float = 0) -> bool | None:
        file, sample = self._folder / "shards.py", self._folder / "sample"
        file.write_text(router)
        if data is not None:
            sample.write_bytes(data)
        results: list[bool] = []
        found = check_requests(self.clock, str(file), codec, [str(sample)], 5, self.out, self.err)
        found.addCallback(results.append)
        self.clock.advance(seconds)
        return results[0] if results else None


@pytest.fixture
def check(tmp_path: Path) -> Check:
    return Check(tmp_path)


def test_it_tells_what_becomes_of_each_request(check: Check) -> None:
    mget = b"*3\r\n$4\r\nMGET\r\n$1\r\nx\r\n$6\r\nuser:2\r\n"
    assert check(ROUTER, GET + b"PING\r\n" + mget + b"QUIT\r\n")
    lines = check.out.getvalue().splitlines()
    assert lines[0].endswith("shards.py: ok")
    assert lines[1].endswith("4 requests")
    told = [line.rpartition(": ")[2] for line in lines[2:]]
    first = "goes to the first --target"
    assert told[:-1] == ["forwards to 10.0.0.1:1", first, first, "forwards to 10.0.0.1:1", "rejects with 5 bytes"]
    assert "split-invariant" in lines[-1]


def test_what_depends_on_the_pieces_is_told(check: Check) -> None:
    assert check(FICKLE, GET) is False
    assert "NOT split-invariant" in check.out.getvalue()


def test_an_error_is_told_with_file_and_line(check: Check) -> None:
    assert check("def route(request):\n    return 5\n", GET) is False
    assert "shards.py:1: route returned 5" in check.out.getvalue()


def test_one_that_never_ends_is_cut(check: Check) -> None:
    assert check(ENDLESS, GET) is None
    check.clock.advance(5.1)
    assert "no decision within 5 s, which is --timeout" in check.out.getvalue()


def test_what_cannot_be_loaded_or_read_is_told(check: Check) -> None:
    assert check("def proxy(data): ...\n", GET) is False
    assert check(ROUTER, GET, codec="nonsense") is False
    lines = check.err.getvalue().splitlines()
    assert "it defines no route(request)" in lines[0]
    assert lines[1].startswith("proxymux: --codec: ")


def test_a_sample_that_is_not_there_is_told(check: Check) -> None:
    assert check(ROUTER, None) is False
    assert "--sample" in check.err.getvalue()
