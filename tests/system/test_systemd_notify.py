"""What a service says to systemd, and the sockets that systemd keeps for it while it is restarted."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import until
from tests.system.conftest import Twistd, need, read_all
from tests.system.systemd import Systemd

pytestmark = pytest.mark.slow  # each of them starts processes of its own

ROUTER = """\
import time

def proxy(data):
    if data == b"sleep":
        time.sleep(60)
    return None if data == b"wait" else {'close': b'served: ' + data}
"""
SERVICE = ("proxymux", "--router", "router.py", "--drain-timeout", "0.2")
TCP = ("--listen", "tcp:0:interface=127.0.0.1")
WORKERS = [pytest.param((), id="one process"), pytest.param(("--workers", "2"), marks=pytest.mark.slow, id="workers")]


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    (tmp_path / "router.py").write_text(ROUTER)
    with Systemd(tmp_path, f"@{tmp_path}") as systemd:
        yield systemd


def client_of(address: object, data: bytes) -> socket.socket:
    """A client that has sent all it has to say, perhaps before anybody has accepted it."""
    client = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    client.settimeout(30)
    client.connect(address)  # type: ignore[arg-type]
    client.sendall(data)
    return client


def ask(address: object, data: bytes) -> bytes:
    with client_of(address, data) as client:
        return read_all(client)


@pytest.mark.parametrize("workers", WORKERS)
def test_a_life_as_systemd_sees_it(systemd: Systemd, workers: tuple[str, ...]) -> None:
    proxy = systemd.start(*SERVICE, *TCP, *workers, WATCHDOG_USEC="400000")
    ready = systemd.wait_for("READY=1")
    assert "MAINPID" not in ready
    (address,) = {sock.getsockname() for sock in systemd.kept.values()}
    where = f"STATUS=router 127.0.0.1:{address[1]}: "
    of_workers = ", 2 of 2 workers" if workers else ""
    assert ready["STATUS"] == f"{where[7:]}0 connections, 0 in total{of_workers}"
    assert ask(address, b"x") == b"served: x"
    with client_of(address, b"wait"):
        seen = f"{where}1 connections, 2 in total{of_workers}"
        if workers:  # whose counts are some moments old
            systemd.wait_for(seen)
        systemd.wait_for("WATCHDOG=1", 2 + sum("WATCHDOG" in each for each in systemd.messages))
        proxy.signal(signal.SIGHUP)
        until(lambda: proxy.log().count("reloaded router") == (2 if workers else 1), "the reload")
        systemd.wait_for("READY=1", 2)
        systemd.wait_for(seen)
        said = [each for each in systemd.messages if "READY" in each or "RELOADING" in each]
        assert [next(iter(each)) for each in said] == ["READY", "RELOADING", "READY"]
        assert int(said[1]["MONOTONIC_USEC"]) > 0
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 1  # the drain had to cut
    systemd.wait_for("STOPPING=1")
    assert not [each for each in systemd.messages if "FDSTOREREMOVE" in each]


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_who_connects_during_a_restart_waits_and_is_served(
    systemd: Systemd, tmp_path: Path, workers: tuple[str, ...], number: signal.Signals
) -> None:
    arguments = (*SERVICE, *TCP, "--listen", f"unix:{tmp_path}/socket", *workers)
    proxy = systemd.start(*arguments)
    systemd.wait_for("READY=1")
    kept = list(systemd.kept)
    addresses = {sock.getsockname() for sock in systemd.kept.values()}
    assert len(addresses) == 2
    assert len(kept) == (3 if workers else 2)
    proxy.signal(number)
    assert proxy.wait() == (0 if number == signal.SIGTERM else -number)
    until(lambda: not children_of(tmp_path), "the workers to end")
    waiting = [client_of(address, b"waited") for address in addresses for _ in range(10)]
    systemd.start(*arguments)
    assert [read_all(client) for client in waiting] == [b"served: waited"] * 20
    for client in waiting:
        client.close()
    systemd.wait_for("READY=1", 2)
    assert list(systemd.kept) == kept
    assert sum("FDSTORE" in each for each in systemd.messages) == len(kept)


def children_of(folder: Path) -> list[str]:
    """The processes that run in a folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal() and os.readlink(process / "cwd") == str(folder):
                found.append(process.name)
        except OSError:
            continue
    return found


def test_other_options_take_what_they_ask_for_and_have_the_rest_forgotten(systemd: Systemd) -> None:
    proxy = systemd.start(*SERVICE, "--listen", "tcp:0:interface=127.0.0.2", *TCP)
    systemd.wait_for("READY=1")
    loopback = next(sock.getsockname() for name, sock in systemd.kept.items() if "/127.0.0.1/" in name)
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0
    proxy = systemd.start(*SERVICE, *TCP)
    systemd.wait_for("READY=1", 2)
    assert list(systemd.kept) == ["proxymux/tcp/127.0.0.1/0/1"]
    assert ask(loopback, b"x") == b"served: x"


def test_a_service_whose_systemd_is_gone_serves(systemd: Systemd) -> None:
    proxy = systemd.start(*SERVICE, *TCP, NOTIFY_SOCKET="/nowhere/notify", WATCHDOG_USEC="1000")
    assert proxy.ask(b"x") == b"served: x"
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0
    assert "Traceback" not in proxy.log()


@pytest.mark.slow
def test_all_workers_accept_on_the_one_socket_of_a_socket_unit(systemd: Systemd, tmp_path: Path) -> None:
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "socket"))
    with socket.create_server(("127.0.0.1", 0), backlog=64) as inet, unix:
        unix.listen(64)
        systemd.units = {"proxymux.socket": inet, "local": unix}
        listen = ["--listen", "systemd:domain=INET:index=0", "--listen", "systemd:domain=UNIX:name=local", *TCP]
        arguments = (*SERVICE, *listen, "--workers", "2")
        for count in (1, 2):
            early = [client_of(each.getsockname(), b"early") for each in (inet, unix)]
            proxy = systemd.start(*arguments)
            assert [read_all(client) for client in early] == [b"served: early"] * 2
            for client in early:
                client.close()
            systemd.wait_for("READY=1", count)
            clients = [client_of(each.getsockname(), b"wait") for each in (inet, unix) for _ in range(20)]
            systemd.wait_for(f"STATUS={status_of(proxy)}40 connections, 42 in total, 2 of 2 workers", count)
            proxy.signal(signal.SIGTERM)
            proxy.wait()
            for client in clients:
                client.close()
        assert list(systemd.kept) == ["proxymux/tcp/127.0.0.1/0/1", "proxymux/tcp/127.0.0.1/0/2"]


def status_of(proxy: Twistd) -> str:
    addresses = [
        proxy.wait_for_log(f"listens on (\\S+) \\({kind}").group(1) for kind in ("sys.*INET", "sys.*UN", "tcp")
    ]
    return f"router {' '.join(addresses)}: "


@pytest.mark.slow
def test_a_worker_whose_router_never_returns_is_replaced_where_systemd_watches(systemd: Systemd) -> None:
    proxy = systemd.start(*SERVICE, *TCP, "--workers", "2", WATCHDOG_USEC="2000000")
    systemd.wait_for("READY=1")
    with client_of(("127.0.0.1", proxy.port), b"sleep"):
        proxy.wait_for_log(r"worker \d \(process \d+\) has not answered for 2 s and is killed")
        proxy.wait_for_log(r"has ended: killed by signal 9")
    assert [proxy.ask(b"x") for _ in range(10)] == [b"served: x"] * 10


ORPHANING = """\
import subprocess

def proxy(data):
    subprocess.run(["sh", "-c", "sleep 2 & sleep 2 &"])
    return {'close': b'done'}
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("--workers", "1")])
def test_the_first_process_of_a_container_buries_orphans(
    systemd: Systemd, tmp_path: Path, workers: tuple[str, ...]
) -> None:
    namespaces = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([need("unshare"), *namespaces[1:], "true"], capture_output=True).returncode:
        pytest.skip("a namespace of process numbers is not allowed here")
    (tmp_path / "router.py").write_text(ORPHANING)
    proxy = systemd.start(*SERVICE, *TCP, *workers, prefix=tuple(namespaces))
    assert proxy.ask(b"x") == b"done"
    (first,) = (int(each) for each in children(proxy.pid))
    until(lambda: len(children(first)) == 2 + len(workers) // 2, "the orphans to be given to the first process")
    until(lambda: len(children(first)) == len(workers) // 2, "the orphans to be buried")
    os.kill(first, signal.SIGTERM)
    assert proxy.wait() == 0


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
