"""Where twistd's log goes, and what is in it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.conftest import until
from tests.system.conftest import Start, Twistd, read_all, twistd_command

pytestmark = pytest.mark.slow  # each of them starts processes of its own

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} ")
#: Says something by each of the ways in which a router may, and fails if it is told to.
ROUTER = r"""
import logging
import sys
from twisted.logger import Logger
from twisted.python import log

print("loading")
logging.getLogger("my.router").info("loaded")

def proxy(data):
    if data.startswith(b"raise"):
        raise ValueError(data.decode("utf-8", "surrogateescape"))
    text = data.decode("latin-1")
    logging.getLogger("my.router").info("by logging: %s", text)
    Logger("my.module").warn("by twisted.logger: {text}", text=text)
    log.msg("by twisted.python.log:", text)
    print("by print:", text)
    return {"close": b"done"}
"""
NASTY = b"\x1b[31m\0\n\xff"
SHOWN = r"\x1b[31m\x00\n"


def lines_of(path: Path) -> list[str]:
    """The lines of a log without their times; each must be printable, and begin with a time or a tab."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert all(line.removeprefix("\t").isprintable() for line in lines), lines
    return [TIME.sub("", line) for line in lines]


def ask(proxy: Twistd, *words: bytes) -> None:
    for word in words:
        proxy.ask(word)


def stop(proxy: Twistd) -> None:
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0


def said(lines: list[str]) -> list[str]:
    """What the router has said, and what was said of it."""
    return [line for line in lines if line.startswith(("[my.", "[proxymux#error", "[hub#", "[stdout#"))]


#: What ROUTER has said when it was asked about NASTY, in a log in UTF-8.
EXPECTED = [
    "[my.router#info] loaded",
    f"[my.router#info] by logging: {SHOWN}ÿ",
    f"[my.module#warn] by twisted.logger: {SHOWN}ÿ",
    f"[hub#info] by twisted.python.log: {SHOWN}ÿ",
    r"[stdout#info] by print: \x1b[31m\x00",
    "[stdout#info] ÿ",
]


def test_with_the_access_log_on_standard_output_the_text_log_is_on_standard_error(start: Start) -> None:
    proxy = start(ROUTER, "--access-log", "-", apart=True)
    ask(proxy, NASTY, b"raise " + NASTY)
    stop(proxy)
    records = [json.loads(line) for line in (proxy.folder / "output").read_text().splitlines()]
    assert [record["outcome"] for record in records] == ["rejected", "router_error"]
    assert records[1]["reason"].isprintable()
    lines = lines_of(proxy.folder / "errors")
    assert lines[0] == "loading"
    assert said(lines)[:-1] == EXPECTED
    assert rf"proxy raised ValueError: raise {SHOWN.removesuffix('n')[:-1]} \udcff (127.0.0.1:" in said(lines)[-1]


@pytest.mark.parametrize("path", ["-", "text.log"])
def test_where_the_user_has_said_where_the_text_log_goes_it_goes_there(start: Start, path: str) -> None:
    proxy = start(ROUTER, "--access-log", "-", twistd=["--logfile", path], apart=True)
    log = proxy.folder / ("output" if path == "-" else path)
    port = until(lambda: log.exists() and re.search(r"listens on \S*:(\d+)", log.read_text()), "the port")[1]
    with socket.create_connection(("127.0.0.1", int(port)), timeout=30) as client:
        client.sendall(NASTY)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"done"
    stop(proxy)
    assert (proxy.folder / "errors").read_text() == "loading\n"
    output = (proxy.folder / "output").read_text().splitlines()
    [record] = [json.loads(line) for line in output if line.startswith("{")]
    assert record["outcome"] == "rejected"
    assert len(output) == 1 or path == "-"
    assert said(lines_of(log)) == EXPECTED


def test_a_logger_of_the_users_own_gets_what_the_level_admits(start: Start, tmp_path: Path) -> None:
    (tmp_path / "my_logger.py").write_text(
        "import sys\n"
        "from twisted.logger import ILogObserver\n"
        "from zope.interface import implementer\n"
        "def make():\n"
        "    @implementer(ILogObserver)\n"
        "    def observe(event):\n"
        "        print('MINE', event['log_namespace'], file=sys.__stdout__, flush=True)\n"
        "    return observe\n"
    )
    proxy = start(
        ROUTER, "--log-level", "warn", twistd=["--logger", "my_logger.make"], apart=True, PYTHONPATH=str(tmp_path)
    )
    until(lambda: proxy.title().count("cur/max/tot"), "the service")
    port = until(lambda: re.search(r"127\.0\.0\.1:(\d+)", proxy.title()), "the port")[1]
    with socket.create_connection(("127.0.0.1", int(port)), timeout=30) as client:
        client.sendall(b"x")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"done"
    stop(proxy)
    assert (proxy.folder / "output").read_text().splitlines() == ["MINE my.module"]


def test_an_application_file_has_the_same(start: Start, tmp_path: Path) -> None:
    """``twistd -y``: nothing of twistd's options is known there."""
    (tmp_path / "router.py").write_text(ROUTER)
    (tmp_path / "app.tac").write_text(
        "from twisted.application.service import Application\n"
        "from proxymux import Router\n"
        "application = Application('app')\n"
        f"Router({str(tmp_path / 'router.py')!r}, listen='tcp:0:interface=127.0.0.1', access_log='-')"
        ".setServiceParent(application)\n"
    )
    output, errors = tmp_path / "output", tmp_path / "errors"
    with open(output, "wb") as out, open(errors, "wb") as err:
        process = subprocess.Popen(
            [*twistd_command(), "-n", "--pidfile=", "-y", "app.tac"], cwd=tmp_path, stdout=out, stderr=err
        )
    try:
        port = until(lambda: re.search(r"listens on \S*:(\d+)", errors.read_text()), "the port")[1]
        with socket.create_connection(("127.0.0.1", int(port)), timeout=30) as client:
            client.sendall(NASTY)
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b"done"
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    assert said(lines_of(errors)) == EXPECTED
    assert [json.loads(line)["outcome"] for line in output.read_text().splitlines()] == ["rejected"]


def test_the_demo_leaves_standard_output_to_the_access_log_too(start: Start) -> None:
    proxy = start(None, "--demo", "--access-log", "-", listen=False, apart=True)
    port = proxy.wait_for_log(r"curl http://127\.0\.0\.1:(\d+)/red").group(1)
    with socket.create_connection(("127.0.0.1", int(port)), timeout=30) as client:
        client.sendall(b"GET /red HTTP/1.0\r\n\r\n")
        assert b"red upstream" in read_all(client)
    stop(proxy)
    [line] = (proxy.folder / "output").read_text().splitlines()
    assert json.loads(line)["outcome"] == "completed"


@pytest.mark.parametrize("level", ["warn", "error"])
def test_a_level_holds_for_twisteds_own_lines_too(start: Start, level: str) -> None:
    proxy = start(ROUTER, "--log-level", level)
    until(lambda: "cur/max/tot" in proxy.title(), "the service")
    stop(proxy)
    assert proxy.log() == "loading\n"


def test_a_stream_that_takes_only_ascii_loses_no_line(start: Start) -> None:
    proxy = start(ROUTER, PYTHONIOENCODING="ascii:strict", LC_ALL="C")
    ask(proxy, NASTY, b"raise " + NASTY)
    stop(proxy)
    lines = lines_of(proxy.folder / "output")
    assert said(lines)[:-1] == [line.replace("ÿ", r"\xff") for line in EXPECTED]
    assert r"raise \x1b[31m\x00 \udcff" in said(lines)[-1]


def test_a_daemon_has_it_in_its_file(start: Start) -> None:
    proxy = start(ROUTER, "--log-level", "debug", daemon=True)
    assert proxy.wait() == 0, proxy.log()
    log, pid_file = proxy.folder / "twistd.log", proxy.folder / "twistd.pid"
    port = until(lambda: re.search(r"listens on \S*:(\d+)", log.read_text()), "the port")[1]
    with socket.create_connection(("127.0.0.1", int(port)), timeout=30) as client:
        client.sendall(NASTY)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"done"
    os.kill(int(pid_file.read_text()), signal.SIGTERM)
    until(lambda: not pid_file.exists(), "the daemon to end")
    lines = lines_of(log)
    assert said(lines) == EXPECTED
    assert any(re.search(r"#debug\] session 1 .*: router rejects with 4 bytes", line) for line in lines)
