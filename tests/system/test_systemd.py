"""Listening sockets that are passed as systemd passes them, to a twistd of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.conftest import until
from tests.system.conftest import Twistd, read_all
from tests.system.systemd import PASS, script
from tests.system.workers import crew

pytestmark = pytest.mark.slow  # each of them starts processes of its own

ROUTER = "def proxy(data):\n    return {'close': b'served: ' + data}\n"
Activate = Callable[..., Twistd]


@pytest.fixture
def sockets(tmp_path: Path) -> Iterator[dict[str, socket.socket]]:
    """The listening sockets of socket units, by their family."""
    inet, inet6, unix = socket.socket(), socket.socket(socket.AF_INET6), socket.socket(socket.AF_UNIX)
    inet.bind(("127.0.0.1", 0))
    inet6.bind(("::1", 0))
    unix.bind(str(tmp_path / "socket"))
    os.chmod(tmp_path / "socket", 0o600)
    found = {"INET": inet, "INET6": inet6, "UNIX": unix}
    for sock in found.values():
        sock.listen(100)
    yield found
    for sock in found.values():
        sock.close()


@pytest.fixture
def activate(tmp_path: Path) -> Iterator[Activate]:
    """Start twistd with sockets that are passed to it."""
    running: list[Twistd] = []

    def activate(
        passed: Sequence[socket.socket], *arguments: str, names: str | None = None, daemon: bool = False, **more: str
    ) -> Twistd:
        folder = tmp_path / f"run{len(running)}"
        folder.mkdir()
        (folder / "router.py").write_text(ROUTER)
        descriptors = [sock.fileno() for sock in passed]
        environment = {**os.environ, **more}
        if names is not None:
            environment["LISTEN_FDNAMES"] = names
        options = ["--pidfile", "pid"] if daemon else ["-n", "--pidfile="]
        numbers = ",".join(map(str, descriptors))
        with open(folder / "output", "wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", PASS, numbers, sys.executable, *script(), *options, *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=descriptors,
                env=environment,
            )
        running.append(Twistd(process, folder, folder / "access.log"))
        return running[-1]

    yield activate
    for each in running:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait()


def ask(sock: socket.socket, data: bytes = b"x", header: bytes = b"") -> bytes:
    """What a client of a listening socket is sent."""
    with socket.socket(sock.family) as client:
        client.settimeout(30)
        client.connect(sock.getsockname())
        client.sendall(header + data)
        client.shutdown(socket.SHUT_WR)
        return read_all(client)


def has_ended(running: Twistd, status: int = 0) -> str:
    assert running.wait() == status, running.log()
    return running.log()


@pytest.mark.parametrize("relay", ["fd", "transport"])
@pytest.mark.parametrize("domain", ["INET", "INET6", "UNIX"])
@pytest.mark.parametrize("prefix", ["", "haproxy:"])
def test_each_family_is_served_with_either_relay(
    activate: Activate, sockets: dict[str, socket.socket], domain: str, prefix: str, relay: str
) -> None:
    sock = sockets[domain]
    listen = f"{prefix}systemd:domain={domain}:index=0"
    proxy = activate([sock], "proxymux", "--router", "router.py", "--relay", relay, "--listen", listen)
    proxy.wait_for_log("listens on")
    header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n" if prefix else b""
    assert ask(sock, b"hello", header) == b"served: hello"
    assert ask(sock, b"again", header) == b"served: again"
    proxy.signal(signal.SIGHUP)
    proxy.wait_for_log("reloaded router")
    assert ask(sock, b"reloaded", header) == b"served: reloaded"
    proxy.signal(signal.SIGTERM)
    assert "Traceback" not in has_ended(proxy)


def test_sockets_are_found_by_index_and_by_name(activate: Activate, sockets: dict[str, socket.socket]) -> None:
    listen = ["systemd:domain=UNIX:index=2", "systemd:domain=INET6:name=six", "systemd:name=four:domain=INET"]
    arguments = [word for each in listen for word in ("--listen", each)]
    proxy = activate(list(sockets.values()), "proxymux", "--router", "router.py", *arguments, names="four:six:local")
    proxy.wait_for_log("listens on unix:")
    for sock in sockets.values():
        assert ask(sock, b"hello") == b"served: hello"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_what_systemd_has_opened_stays_as_it_is(
    activate: Activate, sockets: dict[str, socket.socket], tmp_path: Path, number: signal.Signals
) -> None:
    """The path is systemd's, with its permissions; who connects meanwhile waits for the next start."""
    arguments = ["proxymux", "--router", "router.py", "--listen", "systemd:domain=UNIX:index=0"]
    sock, path = sockets["UNIX"], tmp_path / "socket"
    before = path.stat()
    proxy = activate([sock], *arguments)
    proxy.wait_for_log("listens on")
    assert ask(sock) == b"served: x"
    proxy.signal(number)
    has_ended(proxy)
    assert (path.stat().st_ino, path.stat().st_mode) == (before.st_ino, before.st_mode)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(path))
        client.sendall(b"waited")
        client.shutdown(socket.SHUT_WR)
        activate([sock], *arguments).wait_for_log("listens on")
        assert read_all(client) == b"served: waited"


def test_the_check_leaves_them_open(activate: Activate, sockets: dict[str, socket.socket]) -> None:
    sock = sockets["INET"]
    listen = ["--listen", "systemd:domain=INET:index=0"]
    proxy = activate([sock], "proxymux", "--router", "router.py", *listen, "--check")
    assert has_ended(proxy) == "ok\n"
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


def test_a_daemon_has_those_that_its_starter_was_passed(activate: Activate, sockets: dict[str, socket.socket]) -> None:
    sock = sockets["INET"]
    listen = ["--listen", "systemd:domain=INET:index=0"]
    proxy = activate([sock], "proxymux", "--router", "router.py", *listen, daemon=True)
    has_ended(proxy)
    pid = int((proxy.folder / "pid").read_text())
    assert ask(sock) == b"served: x"
    os.kill(pid, signal.SIGTERM)
    until(lambda: not (proxy.folder / "pid").exists(), "the daemon to end")


TAC = """\
from twisted.application.service import Application
from twisted.internet import endpoints  # which takes the variables away
from proxymux import Router
application = Application("passed")
Router("router.py", listen="systemd:domain=INET:index=0").setServiceParent(application)
Router("router.py", listen="systemd:domain=UNIX:index=2").setServiceParent(application)
Router("router.py", listen="haproxy:systemd:domain=INET6:index=1").setServiceParent(application)
"""


def test_in_a_tac_each_service_has_its_own(
    activate: Activate, sockets: dict[str, socket.socket], tmp_path: Path
) -> None:
    (tmp_path / "passed.tac").write_text(TAC)
    proxy = activate(list(sockets.values()), "-y", str(tmp_path / "passed.tac"))
    proxy.wait_for_log("listens on .*INET6")
    assert ask(sockets["INET"]) == b"served: x"
    assert ask(sockets["UNIX"]) == b"served: x"
    assert ask(sockets["INET6"], header=b"PROXY UNKNOWN\r\n") == b"served: x"
    proxy.signal(signal.SIGTERM)
    assert "Traceback" not in has_ended(proxy)


def test_the_pool_and_the_gateway_take_them_too(activate: Activate, sockets: dict[str, socket.socket]) -> None:
    upstream = socket.create_server(("127.0.0.1", 0))
    target = f"127.0.0.1:{upstream.getsockname()[1]}"
    listen = ["--listen", "systemd:domain=INET:index=0"]
    pool = activate([sockets["INET"]], "proxymux-pool", *listen, "--target", target)
    pool.wait_for_log("listens on")
    with socket.create_connection(sockets["INET"].getsockname(), 30) as client:
        client.sendall(b"x")
        upstream.settimeout(30)
        connection, _ = upstream.accept()
        assert connection.recv(1) == b"x"
        connection.close()
    upstream.close()
    gateway = activate(
        [sockets["UNIX"]], "proxymux-gateway", "--listen", "systemd:domain=UNIX:index=0", "--secret", "s"
    )
    gateway.wait_for_log("listens on")
    assert ask(sockets["UNIX"], b"nonsense\n") == b"401"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("listen", "words"),
    [
        ("systemd:domain=INET:index=1", "index=1 is not there; 0 to 0 is"),
        ("systemd:domain=INET:name=web", "there is no socket named 'web'; unknown is"),
        ("systemd:domain=INET6:index=0", "descriptor 3: it is a socket of INET, not of INET6; change domain="),
        ("systemd:domain=IPX:index=0", "give domain=INET, INET6 or UNIX"),
        ("systemd:domain=INET", "index=N or name=NAME"),
        ("systemd:domain=INET:index=0:name=unknown", "index=N or name=NAME"),
        ("systemd:domain=INET:index=first", "index=first is not there"),
        ("systemd:domain=INET:index=0:backlog=5", "give domain="),
    ],
)
@pytest.mark.parametrize("check", [[], ["--check"]])
def test_what_is_not_passed_is_one_line(
    activate: Activate, sockets: dict[str, socket.socket], listen: str, words: str, check: list[str]
) -> None:
    proxy = activate([sockets["INET"]], "proxymux", "--router", "router.py", "--listen", listen, *check)
    said = has_ended(proxy, 1)
    assert said.startswith("proxymux: --listen: systemd: ")
    assert words in said
    assert len(said.splitlines()) == 1


def test_one_that_does_not_listen_is_one_line(activate: Activate) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        proxy = activate([sock], "proxymux", "--router", "router.py", "--listen", "systemd:domain=INET:index=0")
        assert "it is no listening stream socket; make it one with ListenStream=" in has_ended(proxy, 1)
    assert len(proxy.log().splitlines()) == 1


def test_those_of_another_process_are_not_taken(activate: Activate, sockets: dict[str, socket.socket]) -> None:
    listen = ["--listen", "systemd:domain=INET:index=0"]
    proxy = activate([sockets["INET"]], "proxymux", "--router", "router.py", *listen, LISTEN_PID="1")
    said = has_ended(proxy, 1)
    assert "the sockets are those of process 1 (LISTEN_PID), and this is " in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_one_socket_is_for_one_listener(
    activate: Activate, sockets: dict[str, socket.socket], check: list[str]
) -> None:
    listen = ["--listen", "systemd:domain=INET:index=0"]
    proxy = activate([sockets["INET"]], "proxymux", "--router", "router.py", *listen, *listen, *check)
    assert "descriptor 3: another listener has it already; each --listen takes a socket of its own\n" in has_ended(
        proxy, 1
    )
    assert len(proxy.log().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("domain", ["INET", "UNIX"])
def test_workers_share_a_socket(activate: Activate, sockets: dict[str, socket.socket], domain: str) -> None:
    sock = sockets[domain]
    listen = f"systemd:domain={domain}:index=0"
    proxy = activate([sock], "proxymux", "--router", "router.py", "--workers", "2", "--listen", listen)
    workers = crew(proxy, 2)
    os.kill(min(workers), signal.SIGKILL)
    assert {ask(sock) for _ in range(10)} == {b"served: x"}
    workers = crew(proxy, 2, {min(workers)})
    proxy.signal(signal.SIGUSR2)
    crew(proxy, 2, workers)
    assert {ask(sock) for _ in range(10)} == {b"served: x"}
    proxy.signal(signal.SIGTERM)
    assert "Traceback" not in has_ended(proxy)
