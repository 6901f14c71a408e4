"""docs/examples/two_routers.tac, run by twistd -ny."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import until
from tests.examples.conftest import Echo, Example, Serve, curl, page
from tests.system.conftest import Twistd, answers, read_all, twistd_command

ALICE = "127.0.0.1:9419"
REQUEST = b"0023git-upload-pack /alice/repo\0x=y"
Tac = Callable[[Path], Twistd]


@pytest.fixture
def run_tac(tmp_path: Path) -> Iterator[Tac]:
    """Run a .tac file; its ports are the system's choice."""
    running: list[subprocess.Popen[bytes]] = []

    def start_tac(tac: Path) -> Twistd:
        with open(tmp_path / "output", "wb") as output:
            process = subprocess.Popen(
                [*twistd_command(), "--pidfile=", "-ny", str(tac)],
                cwd=tmp_path,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "SOCKS_PORT": "0", "GIT_PORT": "0"},
            )
        running.append(process)
        return Twistd(process, tmp_path, tmp_path / "access.log")

    yield start_tac
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait()


def port_of(router: str, running: Twistd) -> int:
    return int(running.wait_for_log(rf"{router} listens on 127\.0\.0\.1:(\d+)").group(1))


def test_both_routers_serve(run_tac: Tac, example: Example, serve: Serve) -> None:
    example("socks4.py")
    example("git_router.py", {ALICE: f"127.0.0.1:{serve(Echo)}"})
    running = run_tac(example("two_routers.tac"))
    got = curl("--socks4", f"127.0.0.1:{port_of('socks4', running)}", f"http://127.0.0.1:{serve(page('hello'))}/")
    assert got.stdout.startswith("hello"), got.stderr
    with socket.create_connection(("127.0.0.1", port_of("git_router", running)), 60) as client:
        client.sendall(REQUEST)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == REQUEST


def test_term_drains_both(run_tac: Tac, example: Example, serve: Serve) -> None:
    upstream = serve(Echo)
    example("socks4.py")
    example("git_router.py", {ALICE: f"127.0.0.1:{upstream}"})
    running = run_tac(example("two_routers.tac"))
    ports = port_of("socks4", running), port_of("git_router", running)
    socks, git = (socket.create_connection(("127.0.0.1", port), 60) for port in ports)
    with socks, git:
        socks.sendall(b"\4\1" + upstream.to_bytes(2, "big") + b"\x7f\0\0\1\0")
        assert socks.recv(8, socket.MSG_WAITALL) == b"\0\x5a\0\0\0\0\0\0"
        git.sendall(REQUEST)
        assert git.recv(len(REQUEST), socket.MSG_WAITALL) == REQUEST
        running.signal(signal.SIGTERM)
        until(lambda: running.log().count("stopped accepting; 1 sessions are left") == 2, "both drain")
        assert [answers(port) for port in ports] == [False, False]
        for client in (socks, git):
            client.sendall(b"still here")
            assert client.recv(10, socket.MSG_WAITALL) == b"still here"
        assert running.process.poll() is None
    assert running.wait() == 0


COUNTS = """\
import counting

def proxy(data):
    counting.CALLS.append(data)
    return {'close': b'%d' % len(counting.CALLS)}
"""


def test_after_hup_both_still_share_what_they_import(run_tac: Tac, example: Example) -> None:
    tac = example("two_routers.tac")
    for name, source in (("socks4", COUNTS), ("git_router", COUNTS), ("counting", "CALLS = []\n")):
        (tac.parent / f"{name}.py").write_text(source)
    running = run_tac(tac)
    ports = port_of("socks4", running), port_of("git_router", running)

    def ask(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), 60) as client:
            client.sendall(b"x")
            return read_all(client)

    assert [ask(port) for port in ports] == [b"1", b"2"]
    running.signal(signal.SIGHUP)
    running.wait_for_log(r"reloaded socks4: read \S+/counting.py, \S+/socks4.py")
    running.wait_for_log(r"reloaded git_router: read \S+/git_router.py")
    assert [ask(port) for port in ports] == [b"1", b"2"]
