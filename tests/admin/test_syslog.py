"""The text log in syslog: one datagram a line, with its priority; a server that is away is tried again."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent, LogLevel

from proxymux.admin.log_outputs import LogWriter
from proxymux.admin.syslog import SyslogOutput


def event(text: str, level: str = "info", **more: Any) -> LogEvent:
    return {
        "log_format": "{text}",
        "text": text,
        "log_level": LogLevel.levelWithName(level),
        "log_namespace": "proxymux",
        "log_time": 0.0,
        **more,
    }


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(30)
        yield server


TAG = f"proxymux[{os.getpid()}]: "


def test_a_line_is_a_datagram_with_facility_and_priority(server: socket.socket) -> None:
    writer = LogWriter(SyslogOutput(server.getsockname(), "daemon", "text"))
    for level in ("critical", "error", "warn", "info", "debug"):
        writer.write(event("text\n\x1b", level))
    daemon = 3 << 3
    assert [server.recv(1000).decode() for _ in range(5)] == [
        f"<{daemon + priority}>{TAG}[proxymux#{level}] text\\n\\x1b"
        for level, priority in [("critical", 2), ("error", 3), ("warn", 4), ("info", 6), ("debug", 7)]
    ]
    writer.reopen()


def test_what_is_below_a_message_follows_line_by_line(server: socket.socket) -> None:
    writer = LogWriter(SyslogOutput(server.getsockname(), "local0", "text"))
    writer.write(event("text", details_below="one\ntwo"))
    lines = [server.recv(1000).decode().removeprefix(f"<{(16 << 3) + 6}>{TAG}") for _ in range(3)]
    assert lines == ["[proxymux#info] text", "\tone", "\ttwo"]
    writer.reopen()


def test_json_is_one_datagram_however_much_there_is_to_say(server: socket.socket) -> None:
    writer = LogWriter(SyslogOutput(server.getsockname(), "user", "json"))
    for below in ("one\ntwo", "\n".join(["x" * 8000] * 100)):
        writer.write(event("text", details_below=below))
    small, large = (json.loads(server.recv(1 << 16).decode().partition(TAG)[2]) for _ in range(2))
    assert (small["message"], small["details"]) == ("text", ["one", "two"])
    assert large["message"].startswith("text")
    writer.reopen()


def test_a_socket_that_is_not_there_yet_gets_the_lines_when_it_is(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    writer = LogWriter(SyslogOutput(path, "daemon", "text"))
    writer.begin()
    writer.write(event("early"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        server.settimeout(30)
        assert server.recv(1000).decode().endswith("early")
    writer.end()
