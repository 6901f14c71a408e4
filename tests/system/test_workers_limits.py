"""Limits hold over all workers, and so do the listeners of each kind, the slots of a pool, secrets and clusters."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxymux.core.token.legacy import seal_legacy
from tests.conftest import until
from tests.services.certificates import Authority
from tests.system.conftest import Start, Twistd, read_all
from tests.system.workers import ENOUGH, WAITS, crew, echo, roll_over, says

pytestmark = pytest.mark.slow


def is_open(client: socket.socket) -> bool:
    """False once the end has come."""
    client.settimeout(0)
    try:
        return client.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


@contextlib.contextmanager
def many(proxy: Twistd, count: int) -> Iterator[list[socket.socket]]:
    """Clients that say nothing."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(proxy.connect()) for _ in range(count)]


@pytest.mark.parametrize(
    ("option", "limit", "count", "tolerance"),
    # Of two that come in the same instant to two workers, the rate counts one; each worker for itself would let 160 in.
    [("--max-connections", 200, 1000, 3), ("--max-per-client", 50, 300, 3), ("--max-rate", 40, 200, 40)],
)
def test_a_limit_holds_over_four_workers(start: Start, option: str, limit: int, count: int, tolerance: int) -> None:
    value = f"{limit}/3600" if option == "--max-rate" else str(limit)
    proxy = start(WAITS, "--workers", "4", option, value, "--decide-timeout", "600")
    crew(proxy, 4)
    with many(proxy, count) as clients:
        refused = proxy.records(count - limit - tolerance)
        until(lambda: sum(map(is_open, clients)) == count - len(proxy.records()), "each refused one to be closed")
        assert limit <= sum(map(is_open, clients)) <= limit + tolerance
        assert {record["outcome"] for record in refused} == {"refused"}
        assert {record["worker"] for record in refused} == {1, 2, 3, 4}
        if option == "--max-connections":
            roll_over(proxy, 4)  # those that were handed over still count
            before = len(proxy.records())
            with proxy.connect():
                assert proxy.records(before + 1)[-1]["outcome"] == "refused"
    if option != "--max-rate":
        until(lambda: len(proxy.records()) >= count, "all to have ended")
        assert proxy.ask(b"x.") == b"done: x."


def test_max_failures_holds_over_four_workers_and_no_secret_is_shown(start: Start) -> None:
    options = ("--workers", "4", "--addr", "127.0.0.1:0", "--max-failures", "20", "--log-level", "debug")
    waits = ("--decide-timeout", "1")  # who would have to wait longer is answered 400
    proxy = start(None, "--secret", "sesame opens", *options, *waits, service="proxymux-gateway", listen=False)
    workers = crew(proxy, 4)
    answers, began = [], time.monotonic()
    for _ in range(60):
        with proxy.connect() as client, contextlib.suppress(ConnectionError):
            client.sendall(b"AAAA\n")
            answers.append(read_all(client))
    since_then = (time.monotonic() - began) / 3  # one more is let through every three seconds
    assert 20 <= answers.count(b"401") <= 20 + since_then + 3, answers
    assert answers.count(b"401") + answers.count(b"400") == 60
    shown = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in [proxy.pid, *workers]]
    assert not any(b"sesame" in each for each in shown)
    assert "sesame" not in proxy.log()
    assert (proxy.folder / "gateway.pid").read_text() == str(proxy.pid)
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0
    assert not (proxy.folder / "gateway.pid").exists()


@pytest.mark.parametrize("source", ["option", "file", "environment"])
def test_every_worker_of_a_gateway_knows_the_secret(start: Start, tmp_path: Path, source: str) -> None:
    secret_file = tmp_path / "secret"
    secret_file.write_text("sesame\n")
    secret_file.chmod(0o600)
    given = {"option": ("--secret", "sesame"), "file": ("--secret-file", str(secret_file)), "environment": ()}[source]
    environment = {"PROXYMUX_SECRET": "sesame"} if source == "environment" else {}
    with echo() as server:
        token = seal_legacy(f"127.0.0.1:{server.port}", b"sesame", "md5", os.urandom(8)).encode()
        options = ("--workers", "2", "--addr", "127.0.0.1:0")
        proxy = start(None, *given, *options, service="proxymux-gateway", listen=False, **environment)
        crew(proxy, 2)
        for _ in range(ENOUGH):
            with proxy.connect() as client:
                client.sendall(token + b"\n")
                assert client.recv(3, socket.MSG_WAITALL) == b"200"
                assert says(client, b"hello") == b"hello"
        assert {record["worker"] for record in proxy.records(ENOUGH)} == {1, 2}


def test_every_worker_knows_the_clusters_and_shows_no_password_of_theirs(start: Start) -> None:
    """The etcd of one of them is not there, which is logged."""
    with echo() as server:
        clusters = (f"users=127.0.0.1:{server.port}", "shops=etcd://root:s3cret@127.0.0.1:1/shops/")
        given = [word for each in clusters for word in ("--cluster", each)]
        router = "def proxy(data):\n    return {'remote': 'users'}\n"
        proxy = start(router, *given, "--workers", "2", "--log-level", "debug")
        workers = crew(proxy, 2)
        for _ in range(ENOUGH):
            with proxy.connect() as client:
                assert says(client, b"hello") == b"hello"
        assert {record["worker"] for record in proxy.records(ENOUGH)} == {1, 2}
    for worker in (1, 2):
        proxy.wait_for_log(rf"worker {worker}: cluster shops: 127\.0\.0\.1:1: connection refused; its 0 targets stay")
    shown = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in [proxy.pid, *workers]]
    assert not any(b"s3cret" in each for each in shown)
    assert "s3cret" not in proxy.log()


def test_a_second_gateway_with_the_same_pid_file_is_refused(start: Start) -> None:
    first = start(None, "--secret", "s", "--workers", "2", service="proxymux-gateway", listen=False)
    crew(first, 2)
    options = ("--workers", "2", "--gateway-pidfile", str(first.folder / "gateway.pid"))
    second = start(None, "--secret", "s", *options, service="proxymux-gateway", listen=False)
    assert second.wait() == 1
    assert second.log().startswith(f"proxymux: --gateway-pidfile: {first.folder / 'gateway.pid'}: process {first.pid}")


def test_a_pool_divides_its_slots(start: Start) -> None:
    with echo() as server:
        options = ("--target", f"127.0.0.1:{server.port}", "--max-connections", "100", "--workers", "2")
        proxy = start(None, *options, "--mode", "fifo", "--codec", "line", service="proxymux-pool")
        assert proxy.wait(60) == 1  # one slot, two workers
        more = ("--target", f"127.0.0.1:{server.port}") * 2
        proxy = start(None, *more, "--max-connections", "100", "--workers", "2", "--codec", "line",
                      service="proxymux-pool")  # fmt: skip
        crew(proxy, 2)
        clients = [proxy.connect() for _ in range(20)]
        for client in clients:
            assert says(client, b"hello\n") == b"hello\n"
        proxy.signal(signal.SIGUSR2)
        until(lambda: "all workers are replaced" in proxy.log(), "the rollover")
        for client in clients:
            assert says(client, b"again\n") == b"again\n"
            client.close()
        proxy.records(20)
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0


def test_the_access_log_on_standard_output_has_whole_lines_from_all(start: Start) -> None:
    proxy = start(WAITS, "--workers", "2", "--access-log", "-", apart=True)
    proxy.wait_for_log("listens on")
    crew(proxy, 2)
    for _ in range(100):
        assert proxy.ask(b"x.") == b"done: x."
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0
    records = [json.loads(line) for line in (proxy.folder / "output").read_text().splitlines()]
    assert len(records) == 100
    assert {record["worker"] for record in records} == {1, 2}


def test_a_unix_socket_is_shared_and_removed(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "s"
    proxy = start(WAITS, "--workers", "2", "--listen", f"unix:{path}", listen=False)
    workers = crew(proxy, 2)
    os.kill(min(workers), signal.SIGKILL)
    for _ in range(20):
        assert ask_unix(path) == b"done: x."
    crew(proxy, 2, {min(workers)})
    proxy.signal(signal.SIGUSR2)
    until(lambda: "all workers are replaced" in proxy.log(), "the rollover")
    for _ in range(20):
        assert ask_unix(path) == b"done: x."
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0
    assert not path.exists()


def ask_unix(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"x.")
        return read_all(client)


def test_a_proxy_header_is_read_by_workers(start: Start) -> None:
    router = "def proxy(data, client):\n    return {'close': client.address[0].encode()}\n"
    proxy = start(router, "--workers", "2", "--listen", "haproxy:tcp:0:interface=127.0.0.1", listen=False)
    crew(proxy, 2)
    assert proxy.ask(b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\nx") == b"192.0.2.7"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give up privileges")
def test_a_user_who_cannot_run_this_python_is_told_of_in_one_line(start: Start) -> None:
    if is_runnable_by_nobody():
        pytest.skip("nobody can run this Python")
    proxy = start(WAITS, "--workers", "2", twistd=["--uid", "nobody"])
    assert proxy.wait() == 1
    assert proxy.log().startswith("proxymux: --workers: cannot start a process: ")
    assert len(proxy.log().splitlines()) == 1


def is_runnable_by_nobody() -> bool:
    try:
        return subprocess.run([sys.executable, "-c", "import proxymux"], user="nobody", check=False).returncode == 0
    except PermissionError:
        return False


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give up privileges")
def test_a_privileged_port_is_bound_before_the_privileges_are_given_up(
    start: Start, authority: Authority, public_folder: Path
) -> None:
    if not is_runnable_by_nobody():
        pytest.skip("nobody cannot run this Python")
    key = public_folder / "localhost.pem"
    key.write_bytes(authority.issue("localhost").file.read_bytes())
    router = public_folder / "router.py"
    router.write_text(WAITS)
    port = next(port for port in range(1023, 600, -1) if is_free(port))
    nobody = pwd.getpwnam("nobody").pw_uid
    options = ("--workers", "2", "--access-log", str(public_folder / "access.log"))
    listen = ("--listen", f"tls:{key}:tcp:{port}:interface=127.0.0.1")
    public_folder.chmod(0o777)
    key.chmod(0o600)
    refused = start(router, *options, *listen, listen=False, twistd=["--uid", "nobody", "--rundir", "/"])
    assert refused.wait() == 1
    assert refused.log().startswith(f"proxymux: --listen: tls:{key}:tcp:{port}:interface=127.0.0.1: {key}: ")
    assert len(refused.log().splitlines()) == 1
    os.chown(key, nobody, -1)
    proxy = start(router, *options, *listen, listen=False, twistd=["--uid", "nobody", "--rundir", "/"])
    workers = crew(proxy, 2)
    assert {os.stat(f"/proc/{pid}").st_uid for pid in workers} == {nobody}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10)) as client:
        client.sendall(b"x.")
        assert client.recv(100) == b"done: x."
    proxy.signal(signal.SIGUSR2)
    crew(proxy, 2, workers)
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def test_a_chroot_is_refused(start: Start) -> None:
    proxy = start(WAITS, "--workers", "2", twistd=["--chroot", "/"])
    assert proxy.wait() == 1
    assert proxy.log().startswith("proxymux: --workers: ")
    assert len(proxy.log().splitlines()) == 1
