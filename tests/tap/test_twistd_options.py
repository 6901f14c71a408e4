"""twistd's own options: what it could not start with is one line; a left-over pid file is no obstacle."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxymux.errors import ConfigError
from proxymux.tap.twistd_options import check_twistd_options
from tests.system.conftest import twistd_command

DAEMON: dict[str, object] = {"pidfile": "twistd.pid", "rundir": ".", "nodaemon": 0}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is one of ours, to the eye."""
    program = "print('', flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", program, "twistd"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.communicate()


def complaint(**options: object) -> str:
    with pytest.raises(ConfigError) as refused:
        check_twistd_options({**DAEMON, **options})
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pidfile": "no/pid"}, "--pidfile: no/pid: there is no folder no; "),
        ({"pidfile": "."}, "--pidfile: .: it is a folder; "),
        ({"logfile": "no/log"}, "--logfile: no/log: there is no folder no; "),
        ({"logfile": "no/log", "nodaemon": 1}, "--logfile: no/log: there is no folder no; "),
        ({"rundir": "no"}, "--rundir: no: is no folder"),
    ],
)
def test_what_cannot_be_written_is_one_line(options: dict[str, object], words: str) -> None:
    assert complaint(**options).startswith(words)


def test_a_daemon_logs_to_the_working_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path == "." and mode == os.X_OK)
    assert complaint(pidfile="").startswith("--logfile: twistd.log: no permission to write in .; ")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pidfile": ""},
        {"logfile": "-", "nodaemon": 1},
        {"logfile": "no/log", "syslog": 1},
        {"logfile": "no/log", "logger": "some.observer"},
        {"logfile": "no/log", "pidfile": "no/pid", "rundir": "no", "chroot": "/jail"},
    ],
)
def test_what_can_be_written_or_not_be_seen_passes(folder: Path, options: dict[str, object]) -> None:
    check_twistd_options({**DAEMON, **options})
    assert list(folder.iterdir()) == []


def test_one_of_a_running_process_is_refused_and_stays(folder: Path, other: subprocess.Popen[bytes]) -> None:
    (folder / "twistd.pid").write_text(str(other.pid))
    assert complaint() == f"--pidfile: twistd.pid: process {other.pid} is running; stop it, or name another file"
    assert (folder / "twistd.pid").read_text() == str(other.pid)


@pytest.mark.parametrize("content", ["", "{own}", "{own}\n", "4194305"])
def test_one_that_was_left_behind_is_removed(folder: Path, content: str) -> None:
    (folder / "twistd.pid").write_text(content.format(own=os.getpid()))
    check_twistd_options(DAEMON)
    assert list(folder.iterdir()) == []


def test_a_file_that_is_no_pid_file_stays(folder: Path) -> None:
    (folder / "twistd.pid").write_text("precious")
    check_twistd_options(DAEMON)
    assert (folder / "twistd.pid").read_text() == "precious"


@pytest.mark.parametrize("arguments", [["proxymux", "--router", "router.py"], ["proxymux-gateway", "--secret", "s"]])
def test_as_in_a_container_that_was_killed_the_next_start_and_the_check_succeed(
    folder: Path, arguments: list[str]
) -> None:
    """The files have the number of the process that starts, as every process of a container has the first one's."""
    (folder / "router.py").write_text("def proxy(data):\n    pass\n")
    script = (
        'for file in twistd.pid gateway.pid; do printf %s $$ > "$file"; done; ln -s $$ socket.lock\n'
        'python3=$1; shift; "$python3" -c "import socket; socket.socket(socket.AF_UNIX).bind(\'socket\')"\n'
        'exec "$@"\n'
    )
    command = twistd_command()
    for check in (["--check"], []):
        with subprocess.Popen(
            ["sh", "-c", script, "sh", sys.executable, *command, "-n", *arguments, "--listen", "unix:socket", *check],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            if check:
                assert process.stdout.read() == "ok\n"
            else:
                lines = []
                for line in process.stdout:
                    lines.append(line)
                    if "listens on" in line:
                        break
                assert "listens on unix:socket" in "".join(lines), lines
                process.terminate()
            process.stdout.read()
        assert process.returncode == 0
        for left in ("socket", "socket.lock"):
            (folder / left).unlink(missing_ok=True)
    left_over = {each.name for each in folder.iterdir() if each.is_file()}
    assert left_over - ({"gateway.pid"} if "--router" in arguments else set()) == {"router.py"}
