"""Paths of Unix sockets: who is gone is replaced, who is there is not."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxymux.session.unix_path import UnixPath

LISTENS = """\
import sys
from proxymux.session.unix_path import UnixPath
listening = UnixPath(sys.argv[1], locks=sys.argv[2] == "True").listen(0o660, 8)
print("listens", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "socket")


@pytest.fixture(params=[True, False])
def locks(request: pytest.FixtureRequest) -> bool:
    """With a lock, and without."""
    return bool(request.param)


@pytest.fixture
def other(path: str, locks: bool) -> Iterator[subprocess.Popen[bytes]]:
    """A process that listens on the path."""
    process = subprocess.Popen(
        [sys.executable, "-c", LISTENS, path, str(locks)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"listens\n"
    yield process
    process.kill()
    process.communicate()


def connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def leave_behind(path: str) -> None:
    """What a process leaves that was killed."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)


def refusal(path: str, locks: bool = True) -> OSError:
    """Why neither the check nor the start takes the path, which stays as it is."""
    before = sorted((entry.name, entry.inode()) for entry in os.scandir(os.path.dirname(path)))
    with pytest.raises(OSError, match=r".") as checked:
        UnixPath(path, locks).check()
    with pytest.raises(OSError, match=r".") as started:
        UnixPath(path, locks).listen(0o660, 1)
    after = sorted((entry.name, entry.inode()) for entry in os.scandir(os.path.dirname(path)))
    assert str(checked.value) == str(started.value)
    assert [each for each in after if not each[0].endswith(".lock")] == [
        each for each in before if not each[0].endswith(".lock")
    ]
    return started.value


def test_it_listens_with_these_permissions_and_leaves_nothing_behind(path: str, locks: bool) -> None:
    owner = UnixPath(path, locks)
    owner.check()
    assert not os.path.exists(path)
    with owner.listen(0o640, 1):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o640
        connect(path)
    owner.release()
    assert os.listdir(os.path.dirname(path)) == []


def test_one_on_which_somebody_answers_is_in_use(path: str, locks: bool, other: subprocess.Popen[bytes]) -> None:
    assert refusal(path, locks).errno == errno.EADDRINUSE
    connect(path)


def test_a_full_listen_queue_is_in_use_and_is_not_waited_for(
    path: str, locks: bool, other: subprocess.Popen[bytes]
) -> None:
    clients = [socket.socket(socket.AF_UNIX) for _ in range(16)]
    for client in clients:
        client.setblocking(False)
        client.connect_ex(path)
    assert refusal(path, locks).errno == errno.EADDRINUSE
    for client in clients:
        client.close()


def test_one_of_a_stopped_process_is_in_use(path: str, locks: bool, other: subprocess.Popen[bytes]) -> None:
    other.send_signal(signal.SIGSTOP)
    assert refusal(path, locks).errno == errno.EADDRINUSE


def test_one_of_a_killed_process_is_replaced(path: str, locks: bool, other: subprocess.Popen[bytes]) -> None:
    other.kill()
    other.wait()
    assert os.path.exists(path)
    owner = UnixPath(path, locks)
    owner.check()
    assert os.path.exists(path)
    with owner.listen(0o660, 1):
        connect(path)
    owner.release()
    assert os.listdir(os.path.dirname(path)) == []


def test_a_lock_that_names_this_process_says_nothing(path: str) -> None:
    """Twisted's: in a container the number of the process before is that of this one."""
    leave_behind(path)
    os.symlink(str(os.getpid()), f"{path}.lock")
    owner = UnixPath(path)
    owner.check()
    with owner.listen(0o660, 1):
        connect(path)
    owner.release()
    assert os.listdir(os.path.dirname(path)) == []


def test_a_lock_of_twisteds_stays_while_somebody_answers(path: str) -> None:
    os.symlink(str(os.getpid()), f"{path}.lock")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        sock.listen()
        assert refusal(path).errno == errno.EADDRINUSE
    assert os.path.islink(f"{path}.lock")


def test_two_listeners_of_one_process_are_two(path: str) -> None:
    owner = UnixPath(path)
    with owner.listen(0o660, 1):
        assert refusal(path).errno == errno.EADDRINUSE
    owner.release()


def test_what_is_no_socket_stays(path: str, locks: bool) -> None:
    Path(path).write_text("precious")
    assert "no socket" in str(refusal(path, locks))
    assert Path(path).read_text() == "precious"


def test_a_link_stays(path: str, locks: bool) -> None:
    leave_behind(f"{path}.other")
    os.symlink(f"{path}.other", path)
    assert "no socket" in str(refusal(path, locks))


def test_one_that_is_anothers_by_now_stays(path: str, locks: bool) -> None:
    owner = UnixPath(path, locks)
    with owner.listen(0o660, 1):
        os.unlink(path)
        leave_behind(path)
    owner.release()
    assert os.listdir(os.path.dirname(path)) == ["socket"]


@pytest.mark.parametrize("name", ["", "x" * 108])
def test_a_path_that_the_system_does_not_take_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: bool, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "a path has 1 to 107 bytes" in str(refusal(name and f"./{name}", locks) if name else failure_of_empty())


def failure_of_empty() -> OSError:
    with pytest.raises(OSError, match="bytes") as refused:
        UnixPath("").check()
    with pytest.raises(OSError, match="bytes"):
        UnixPath("").listen(0o660, 1)
    return refused.value


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, locks: bool) -> None:
    with pytest.raises(OSError, match=r"there is no folder .*nowhere"):
        UnixPath(str(tmp_path / "nowhere" / "socket"), locks).check()
    with pytest.raises(OSError, match="No such file or directory"):
        UnixPath(str(tmp_path / "nowhere" / "socket"), locks).listen(0o660, 1)


@pytest.mark.skipif(not Path("/proc/net/unix").exists(), reason="only Linux has sockets without a path")
def test_one_without_a_file(locks: bool) -> None:
    name = f"\0proxymux-{os.getpid()}"
    owner = UnixPath(name, locks)
    owner.check()
    with owner.listen(0o660, 1):
        connect(name)
        with pytest.raises(OSError, match="in use"):
            UnixPath(name, locks).listen(0o660, 1)
    owner.release()


def test_of_many_processes_that_start_at_once_one_listens(path: str) -> None:
    leave_behind(path)
    program = (
        "import sys\n"
        "from proxymux.session.unix_path import UnixPath\n"
        "sys.stdin.readline()\n"
        "try:\n    sock = UnixPath(sys.argv[1]).listen(0o660, 1)\n    print('listens', flush=True)\n"
        "except OSError:\n    print('refused', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
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
    assert sorted(answers) == ["listens"] + ["refused"] * 5
