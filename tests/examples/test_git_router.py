"""docs/examples/git_router.py with git and two Git daemons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxymux import NEED_DATA, Forward, Reject
from proxymux.testing import decide, every_split
from tests.examples.conftest import EXAMPLES, Example, check, run
from tests.system.conftest import Start, Twistd, free_port, need

ROUTER = str(EXAMPLES / "git_router.py")
ALICE, BOB = "127.0.0.1:9419", "127.0.0.1:9420"


def packet(text: bytes) -> bytes:
    return b"%04x%s" % (len(text) + 4, text)


def request(path: bytes, command: bytes = b"git-upload-pack") -> bytes:
    return packet(command + b" " + path + b"\0host=example.com\0\0version=2\0")


@pytest.mark.parametrize(
    ("path", "remote"), [(b"/alice/repo", ALICE), (b"/alice/deep/er.git", ALICE), (b"/bob/r", BOB)]
)
@pytest.mark.parametrize("command", [b"git-upload-pack", b"git-upload-archive", b"git-receive-pack"])
def test_the_path_decides(path: bytes, remote: str, command: bytes) -> None:
    assert decide(ROUTER, request(path, command)) == Forward(remote)


def test_the_request_without_extras_that_the_docstring_shows() -> None:
    data = b"0031git-upload-pack /alice/repo\0host=example.com\0"
    assert packet(data[4:]) == data
    assert decide(ROUTER, data) == Forward(ALICE)


def test_it_does_not_depend_on_segments() -> None:
    data = request(b"/bob/repo")
    for chunks in every_split(data):
        assert decide(ROUTER, *chunks) == Forward(BOB)
    for end in range(1, len(data)):
        assert decide(ROUTER, data[:end]) is NEED_DATA


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (request(b"/carol/repo"), b"there is no user carol"),
        (request(b"/../repo"), b"there is no user .."),
        (request(b"/alice"), b"there is no user of that name"),
        (request(b"alice/repo"), b"there is no user of that name"),
        (request("/älice/repo".encode()), b"there is no user of that name"),
        (b"0000", b"there is no user of that name"),
        (b"GET / HTTP/1.1\r\n\r\n", b"this port speaks git"),
        (b"00\n1", b"this port speaks git"),
        (b"+003", b"this port speaks git"),
    ],
)
def test_the_rest_is_told_so_in_gits_protocol(data: bytes, text: bytes) -> None:
    assert decide(ROUTER, data) == Reject(packet(b"ERR " + text))


def test_check_finds_it_split_invariant(example: Example) -> None:
    checked = check(example("git_router.py"), request(b"/alice/repo"), request(b"/carol/repo"), b"GET / HTTP/1.1\r\n")
    assert checked.stdout.count("split-invariant: all") == 3, checked.stdout + checked.stderr
    assert checked.returncode == 0


@pytest.fixture
def daemon(tmp_path: Path, server: Callable[..., Any]) -> Callable[[str], int]:
    """Serve one user's repository, which holds a file with the user's name, from a daemon of its own."""

    def start_daemon(user: str) -> int:
        base = tmp_path / f"base-{user}"
        repository = base / user / "repo"
        repository.mkdir(parents=True)
        git = [need("git"), "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@example.com"]
        (repository / "owner").write_text(user)
        for command in (["init", "-q", "-b", "main"], ["add", "owner"], ["commit", "-q", "-m", "first"]):
            done = run(*git, *command)
            assert done.returncode == 0, done.stderr
        port = free_port()
        where = ["--listen=127.0.0.1", f"--port={port}", "--reuseaddr", f"--base-path={base}"]
        server(need("git-daemon"), "--export-all", *where, port=port)
        return port

    return start_daemon


@pytest.fixture
def proxy(start: Start, example: Example, daemon: Callable[[str], int]) -> Twistd:
    edits = {ALICE: f"127.0.0.1:{daemon('alice')}", BOB: f"127.0.0.1:{daemon('bob')}"}
    return start(example("git_router.py", edits))


def test_each_user_is_cloned_from_the_own_daemon(proxy: Twistd, tmp_path: Path) -> None:
    for user in ("alice", "bob"):
        clone = tmp_path / f"clone-{user}"
        done = run(need("git"), "clone", "-q", f"git://127.0.0.1:{proxy.port}/{user}/repo", str(clone))
        assert done.returncode == 0, done.stderr
        assert (clone / "owner").read_text() == user
    records = proxy.records(2)
    assert {record["outcome"] for record in records} == {"completed"}
    assert len({record["target"] for record in records}) == 2


def test_ls_remote(proxy: Twistd) -> None:
    done = run(need("git"), "ls-remote", f"git://127.0.0.1:{proxy.port}/bob/repo")
    assert done.returncode == 0, done.stderr
    assert "refs/heads/main" in done.stdout


def test_git_hears_of_an_unknown_user(proxy: Twistd) -> None:
    done = run(need("git"), "ls-remote", f"git://127.0.0.1:{proxy.port}/carol/repo")
    assert done.returncode == 128
    assert "remote error: there is no user carol" in done.stderr
    assert proxy.records(1)[0]["outcome"] == "rejected"


def test_git_hears_of_a_daemon_that_is_away(start: Start, example: Example) -> None:
    proxy = start(example("git_router.py", {ALICE: f"127.0.0.1:{free_port()}"}))
    done = run(need("git"), "ls-remote", f"git://127.0.0.1:{proxy.port}/alice/repo")
    assert done.returncode == 128
    assert "remote error: this repository is not available just now" in done.stderr
    assert proxy.records(1)[0]["outcome"] == "unreachable"
