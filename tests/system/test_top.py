"""``proxymux top`` and ``why`` beside a real instance, in a real terminal."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import until
from tests.system.conftest import Start, Twistd, free_port
from tests.system.screens import TerminalProgram

TOKEN = "a-token-of-the-tests"
ROUTER = """
def proxy(data):
    if data == b"bad":
        raise ValueError("\\x1b[31mred")
    return {"remote": "127.0.0.1:%d", "note": {"tenant": "\\x1b[2Jblue"}}
"""
PROXYMUX = [sys.executable, "-m", "proxymux"]

Top = Callable[..., TerminalProgram]


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    return path


class Instance:
    """A running router with an admin endpoint on a port that stays."""

    def __init__(self, start: Start, echo: int, token_file: Path) -> None:
        self.port = free_port()
        admin = f"tcp:{self.port}:interface=127.0.0.1"
        self._start = lambda: start(ROUTER % echo, "--admin", admin, "--admin-token-file", str(token_file))
        self.twistd: Twistd = self._start()
        self.twistd.wait_for_log("listens on")

    def restart(self) -> None:
        self.twistd = self._start()

    def joined(self, data: bytes = b"hello") -> socket.socket:
        """A client that has been answered."""
        client = self.twistd.connect()
        client.sendall(data)
        assert client.recv(4096) == data
        return client


@pytest.fixture
def instance(start: Start, echo: int, token_file: Path) -> Instance:
    return Instance(start, echo, token_file)


@pytest.fixture
def top(token_file: Path) -> Iterator[Top]:
    """Run ``proxymux top`` in a terminal."""
    running: list[TerminalProgram] = []

    def top(instance: Instance, *arguments: str, **how: Any) -> TerminalProgram:
        command = [
            *PROXYMUX,
            "top",
            str(instance.port),
            "--interval",
            "0.2",
            "--token-file",
            str(token_file),
            *arguments,
        ]
        running.append(TerminalProgram(*command, **how))
        running[-1].see("1 Services")
        return running[-1]

    yield top
    for each in running:
        each.close()


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*PROXYMUX, *arguments]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def test_sessions_are_shown_explained_and_closed(instance: Instance, top: Top) -> None:
    with instance.joined() as client:
        name = "{}:{}".format(*client.getsockname())
        program = top(instance)
        program.press("2")
        program.see(name)
        assert program.beyond == ""
        program.press("\r")
        program.see("It was decided after")
        assert any("tenant \\x1b[2Jblue" in line for line in program.lines)
        program.press("q")
        program.see(name)
        program.press("c")
        program.see("close session 1 of")
        program.press("n")
        program.see("not done")
        client.sendall(b"still there")
        assert client.recv(100) == b"still there"
        program.press("cy")
        assert client.recv(100) == b""
        program.see("nothing")
    program.press("q")
    assert program.finish() == 0
    assert program.is_given_back


def test_a_target_is_held_and_released_and_everything_reloaded(instance: Instance, top: Top, echo: int) -> None:
    with instance.joined():
        program = top(instance)
        program.press("4h")
        program.see(f"hold 127.0.0.1:{echo}?")
        program.press("y")
        program.see(f"127.0.0.1:{echo} is held")
        program.see("held 1")
        with instance.twistd.connect() as waiting:
            waiting.sendall(b"hello")
            program.until(lambda lines: any(line.rstrip().endswith(" 1") for line in lines[4:5]), "who waits")
            program.press("hy")
            assert waiting.recv(100) == b"hello"
        program.press("Ry")
        program.see("reloaded")
        program.press("Oy")
        program.see("there are no workers to replace")


def fills(program: TerminalProgram, lines: list[str]) -> bool:
    """True if what is seen ends where the terminal does."""
    return lines[-1].startswith("q quit") and len(lines) == program.size[1] and program.beyond == ""


def test_it_follows_the_size_of_the_terminal(instance: Instance, top: Top) -> None:
    with instance.joined():
        program = top(instance)
        program.press("2")
        for columns, lines in [(120, 40), (50, 10), (80, 24)]:
            program.resize(columns, lines)
            program.until(partial(fills, program), "a picture of this size")
            assert ("AGE" in program.lines[3]) == (columns >= 80)
            assert any("joined" in line for line in program.lines)
        program.press("?")
        program.see("services, sessions, pools, targets, workers")


def test_the_terminal_is_given_back_however_it_ends(instance: Instance, top: Top, tmp_path: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        program = top(instance)
        if number == signal.SIGINT:
            program.press("\x03")
        else:
            program.process.send_signal(number)
        assert program.finish() == 128 + number
        assert program.is_given_back
    broken = "import proxymux.cli.top.view as view\ndef fail(*_): raise RuntimeError('a bug')\nview.View._look = fail\n"
    (tmp_path / "sitecustomize.py").write_text(broken)
    program = top(instance, PYTHONPATH=str(tmp_path))
    program.press("2")
    assert program.finish() == 1
    assert program.is_given_back
    assert b"RuntimeError: a bug" in program.written


@pytest.mark.slow
def test_an_instance_that_is_gone_is_said_and_found_again(instance: Instance, top: Top) -> None:
    program = top(instance)
    instance.twistd.signal(signal.SIGKILL)
    instance.twistd.wait()
    program.see("connection refused; trying again, this is")
    program.press("Ry")
    program.until(lambda lines: "connection refused" in lines[-2], "the action that failed")
    instance.restart()
    program.until(lambda lines: lines[0].startswith("proxymux"), "the instance again")


def test_what_is_printed_once_is_fit_for_scripts(instance: Instance) -> None:
    address = f"http://127.0.0.1:{instance.port}"
    with instance.joined():
        text = run("top", address, "--once", "--interval", "0.1")
        done = run("top", address, "--once", "--json", "--interval", "0.1")
    assert (text.returncode, text.stderr) == (0, "")
    assert "joined" in text.stdout
    printed = json.loads(done.stdout)
    assert set(printed) == {"name", "version", "uptime_seconds", "workers", "services", "seconds", "sessions"}
    assert set(printed["services"][0]["rates"]) == {"connections", "bytes_in", "bytes_out"}
    assert set(printed["sessions"][0]["rates"]) == {"bytes_in", "bytes_out"}
    assert printed["sessions"][0]["bytes_in"] == 5


def test_why_explains_a_session_that_has_failed(instance: Instance) -> None:
    with instance.twistd.connect() as client:
        client.sendall(b"bad")
        assert client.recv(100) == b""
    address = str(instance.port)
    [record] = instance.twistd.records(1)
    until(lambda: json.loads(run("why", address, "1", "--json").stdout)["outcome"], "its end")
    done = run("why", address, str(record["session"]))
    assert (done.returncode, done.stderr) == (0, "")
    assert "as router_error: The router raised an error" in done.stdout
    assert "\\x1b[31mred" in done.stdout
    assert "\x1b" not in done.stdout
    missing = run("why", address, "999")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == f"proxymux why: {address}: there is no such session (404)\n"


def test_what_is_wrong_is_one_line_and_an_exit_status(token_file: Path) -> None:
    port = str(free_port())
    for command in (["top", port, "--once"], ["why", port, "1"]):
        done = run(*command)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"proxymux {command[0]}: {port}: connection refused\n"
    for command in (["top"], ["top", port, "--json"], ["top", port, "--interval", "0"], ["why", port, "x"]):
        assert run(*command).returncode == 2
    done = run("top", port, "--token-file", f"{token_file}.none")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)


def test_a_wrong_token_and_none_are_one_line(instance: Instance, top: Top, token_file: Path) -> None:
    token_file.write_text("another")
    program = top(instance)
    program.press("Ry")
    program.see("Authorization: Bearer TOKEN is wanted (401)")
    command = [*PROXYMUX, "top", str(instance.port), "--interval", "0.2"]
    without = TerminalProgram(*command)
    try:
        without.see("1 Services")
        without.press("Ry")
        without.see("no token to show; give --token-file")
    finally:
        without.close()


def test_the_help_of_the_program_imports_nothing_heavy() -> None:
    code = "import sys, proxymux.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass\nprint(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not any(f"'{name}'" in done.stdout for name in ("rich", "http.client", "twisted.internet", "termios"))
