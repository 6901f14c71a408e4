"""Two services in one twistd, in each reactor: threads, processes, timed calls, signals, and as a daemon."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import until
from tests.system.conftest import Twistd, read_all, twistd_command

pytestmark = pytest.mark.slow  # each of them starts processes of its own

REACTORS = ["epoll", "poll", "select", "asyncio"]
#: Asks a thread, which asks the reactor; a process; and a timed call; and says which reactor waits for itself.
ROUTER = """\
import sys
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import blockingCallFromThread, deferToThread
from twisted.internet.utils import getProcessOutput

def in_thread():
    return blockingCallFromThread(reactor, deferLater, reactor, 0.001, lambda: b"thread ")

async def proxy(data):
    if data[:1] != b"?":
        return {"remote": "127.0.0.1:%d"}
    found = await deferToThread(in_thread)
    found += await getProcessOutput(sys.executable, ["-c", "print('process', end=' ')"])
    found += await deferLater(reactor, 0.001, lambda: b"call ")
    return {"close": found + (b"ours" if "doIteration" in vars(reactor) else b"its own")}
"""
TAC = """\
from twisted.application.service import Application
from proxymux import Router

application = Application("two")
for _ in range(2):
    Router("router.py", listen="tcp:0:interface=127.0.0.1").setServiceParent(application)
"""
Tac = Callable[..., Twistd]


@pytest.fixture
def run_tac(tmp_path: Path, echo: int) -> Iterator[Tac]:
    """Run two services in one process."""
    (tmp_path / "router.py").write_text(ROUTER % echo)
    (tmp_path / "two.tac").write_text(TAC)
    running: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str) -> Twistd:
        with open(tmp_path / "output", "wb") as output:
            command = [*twistd_command(), *arguments, "-y", "two.tac"]
            process = subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        running.append(process)
        return Twistd(process, tmp_path, tmp_path / "access.log")

    yield run
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait()


def ports_of(log: Callable[[], str]) -> list[int]:
    found: list[str] = until(
        lambda: len(ports := re.findall(r"listens on 127\.0\.0\.1:(\d+)", log())) == 2 and ports, "two listeners"
    )
    return [int(port) for port in found]


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def asked(port: int) -> bytes:
    with connected(port) as client:
        client.sendall(b"?")
        return read_all(client)


def assert_both_serve(ports: list[int], waits: bytes) -> None:
    for port in ports:
        assert asked(port) == b"thread process call " + waits
    clients = [connected(port) for port in ports]
    for count in range(100):  # each wakes it by itself
        for client in clients:
            client.sendall(b"%4d" % count)
            assert client.recv(4, socket.MSG_WAITALL) == b"%4d" % count
    # Beside a client that keeps its service busy the other is served, and what the reactor does is done.
    clients[0].sendall(b"x" * 1_000_000)
    assert asked(ports[1]) == b"thread process call " + waits
    clients[0].shutdown(socket.SHUT_WR)
    assert read_all(clients[0]) == b"x" * 1_000_000
    for client in clients:
        client.close()


@pytest.mark.parametrize("reactor", REACTORS)
def test_two_services_in_each_reactor(run_tac: Tac, reactor: str) -> None:
    running = run_tac("-n", "--pidfile=", "--reactor", reactor)
    ports = ports_of(running.log)
    assert_both_serve(ports, b"ours" if reactor == "epoll" else b"its own")
    running.signal(signal.SIGHUP)
    running.wait_for_log("reload")
    assert asked(ports[0])
    running.signal(signal.SIGTERM)
    assert running.wait() == 0
    assert "Traceback" not in running.log()


@pytest.mark.parametrize("reactor", REACTORS)
def test_a_daemon_with_two_services(run_tac: Tac, reactor: str, tmp_path: Path) -> None:
    log, pidfile = tmp_path / "log", tmp_path / "pid"
    running = run_tac("--pidfile", str(pidfile), "--logfile", str(log), "--reactor", reactor)
    assert running.wait() == 0
    pid = int(pidfile.read_text())
    try:
        ports = ports_of(lambda: log.read_text() if log.exists() else "")
        assert_both_serve(ports, b"ours" if reactor == "epoll" else b"its own")
        os.kill(pid, signal.SIGTERM)
        until(lambda: not pidfile.exists(), "the daemon to end")
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    assert "Traceback" not in log.read_text()


def test_a_client_that_stays_is_served_while_it_drains(run_tac: Tac) -> None:
    running = run_tac("-n", "--pidfile=", "--reactor", "epoll")
    clients = [connected(port) for port in ports_of(running.log)]
    for client in clients:
        client.sendall(b"a")
        assert client.recv(1) == b"a"
    clients[0].close()
    running.signal(signal.SIGTERM)  # one of the services ends at once, the other when its client does
    running.wait_for_log("stopped accepting; 1 sessions are left")
    for _ in range(100):
        clients[1].sendall(b"b")
        assert clients[1].recv(1) == b"b"
    clients[1].close()
    assert running.wait() == 0
    assert "Traceback" not in running.log()
