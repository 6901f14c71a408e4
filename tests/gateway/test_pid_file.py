"""The pid file."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxymux.errors import ConfigError
from proxymux.gateway.pid_file import PidFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.pid"


def pid_file(path: Path) -> PidFile:
    return PidFile("--gateway-pidfile", str(path))


def complaint(path: Path) -> str:
    """What both the check and the start say."""
    with pytest.raises(ConfigError) as refusal:
        pid_file(path).create()
    text = str(refusal.value)
    with pytest.raises(ConfigError, match=f"^--gateway-pidfile: {path}: "):
        pid_file(path).check()
    assert text.startswith(f"--gateway-pidfile: {path}: ")
    assert len(text.splitlines()) == 1
    return text


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is one of ours, to the eye."""
    process = subprocess.Popen(
        [sys.executable, "-c", "print('', flush=True); input()", "proxymux"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.communicate()


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process of somebody else's, which has got the number of one of ours."""
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    yield process
    process.communicate()


def gone() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_it_holds_the_number_and_nothing_else_while_it_is_there(path: Path) -> None:
    file = pid_file(path)
    file.check()
    assert not path.exists()
    file.create()
    assert path.read_bytes() == str(os.getpid()).encode()
    assert stat.S_IMODE(path.stat().st_mode) & ~0o644 == 0
    assert path.stat().st_nlink == 1
    file.remove()
    assert list(path.parent.iterdir()) == []


def test_removing_twice_or_what_was_never_made_does_nothing(path: Path) -> None:
    pid_file(path).remove()
    file = pid_file(path)
    file.create()
    file.remove()
    file.remove()
    path.write_text(str(os.getpid()))
    file.remove()
    assert path.exists()


def test_one_whose_process_runs_is_refused_and_stays(path: Path, other: subprocess.Popen[bytes]) -> None:
    path.write_text(str(other.pid))
    assert f"process {other.pid} is running" in complaint(path)
    assert path.read_text() == str(other.pid)
    assert list(path.parent.iterdir()) == [path]


def test_who_was_refused_does_not_remove_it(path: Path, other: subprocess.Popen[bytes]) -> None:
    path.write_text(str(other.pid))
    file = pid_file(path)
    with pytest.raises(ConfigError):
        file.create()
    file.remove()
    assert path.read_text() == str(other.pid)


@pytest.mark.parametrize("end", ["", "\n"])
def test_one_whose_process_is_gone_is_replaced(path: Path, end: str) -> None:
    path.write_text(f"{gone()}{end}")
    pid_file(path).create()
    assert path.read_text() == str(os.getpid())


def test_one_whose_number_a_stranger_has_got_is_replaced(path: Path, stranger: subprocess.Popen[bytes]) -> None:
    path.write_text(str(stranger.pid))
    pid_file(path).create()
    assert path.read_text() == str(os.getpid())


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"nonsense", b"-1", b"0x10", b"1 2", b"\xff\xfe", b"9" * 19, b"9" * 99]
)
def test_one_that_holds_no_number_of_a_process_is_replaced(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    pid_file(path).create()
    assert path.read_text() == str(os.getpid())


def test_one_of_this_process_is_replaced(path: Path) -> None:
    """Numbers are used again, in containers at every start."""
    path.write_text(str(os.getpid()))
    pid_file(path).create()
    assert path.read_text() == str(os.getpid())


def test_one_that_is_another_processs_by_now_stays(path: Path, other: subprocess.Popen[bytes]) -> None:
    file = pid_file(path)
    file.create()
    path.unlink()
    path.write_text(str(other.pid))
    file.remove()
    assert path.read_text() == str(other.pid)


def test_one_that_somebody_has_removed_is_not_missed(path: Path) -> None:
    file = pid_file(path)
    file.create()
    path.unlink()
    file.remove()


def test_a_child_process_does_not_remove_its_parents(path: Path) -> None:
    file = pid_file(path)
    file.create()
    child = os.fork()
    if not child:
        file.remove()
        os._exit(0)
    os.waitpid(child, 0)
    assert path.exists()
    file.remove()


def test_a_folder_that_is_not_there_is_a_complaint(tmp_path: Path) -> None:
    assert "No such file or directory" in complaint(tmp_path / "nowhere" / "gateway.pid")


def test_the_check_changes_nothing(path: Path) -> None:
    path.write_text(str(os.getpid()))
    pid_file(path).check()
    assert path.read_text() == str(os.getpid())


def test_a_folder_in_its_place_is_a_complaint(path: Path) -> None:
    path.mkdir()
    complaint(path)
    assert list(path.parent.iterdir()) == [path]


def test_a_link_is_replaced_and_what_it_leads_to_left_alone(path: Path) -> None:
    precious = path.with_name("precious")
    precious.write_text("precious")
    path.symlink_to(precious)
    pid_file(path).create()
    assert not path.is_symlink()
    assert path.read_text() == str(os.getpid())
    assert precious.read_text() == "precious"


def test_a_draft_that_is_a_link_is_not_followed(path: Path) -> None:
    precious = path.with_name("precious")
    precious.write_text("precious")
    draft = path.with_name(f"gateway.pid.{os.getpid()}")
    draft.symlink_to(precious)
    with pytest.raises(ConfigError):
        pid_file(path).create()
    assert precious.read_text() == "precious"


def test_a_draft_that_was_left_behind_is_used_up(path: Path) -> None:
    path.with_name(f"gateway.pid.{os.getpid()}").write_text("leftover that is longer than a number")
    pid_file(path).create()
    assert path.read_text() == str(os.getpid())
    assert list(path.parent.iterdir()) == [path]


def test_of_many_processes_that_start_at_once_one_gets_it(path: Path) -> None:
    program = (
        "import sys, proxymux.gateway.pid_file as p, proxymux.errors as e\n"
        "f = p.PidFile('--gateway-pidfile', sys.argv[1])\n"
        "input()\n"
        "try:\n    f.create()\n    print('has it', flush=True)\n"
        "except e.ConfigError:\n    print('refused', flush=True)\n"
        "input()\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path), "proxymux"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = []
    for process in processes:
        assert process.stdout is not None
        answers.append(process.stdout.readline().strip())
    for process in processes:
        process.communicate("\n")
    assert sorted(answers) == ["has it"] + ["refused"] * 5
