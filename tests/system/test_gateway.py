"""The gateway as it is run."""

from __future__ import annotations

import base64
import contextlib
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from proxymux.core.token.legacy import seal_legacy
from proxymux.core.token.sealed import Keys
from tests.conftest import until
from tests.system.conftest import Start, Twistd, free_port, need, read_all

pytestmark = pytest.mark.slow  # each of them starts processes of its own

SECRET: Final = "p0S8rX680*48"
#: As part of whatever an encoding or a representation might make of it.
SECRET_PART: Final = "p0S8rX680"
KEY: Final = base64.b64encode(bytes(range(32))).decode()
KEY_PART: Final = KEY[:16]

Gateway = Callable[..., Twistd]


@pytest.fixture
def gateway(start: Start) -> Gateway:
    """Start ``twistd -n proxymux-gateway``."""

    def start_gateway(*arguments: str, **options: object) -> Twistd:
        return start(None, *arguments, service="proxymux-gateway", **options)

    return start_gateway


def old(port: int, secret: str = SECRET) -> bytes:
    return seal_legacy(f"127.0.0.1:{port}", secret.encode(), "md5", os.urandom(8)).encode()


def sealed(port: int, kid: str = "k1", key: bytes = bytes(range(32))) -> bytes:
    claims = {"t": f"127.0.0.1:{port}", "e": int(time.time()) + 600}
    return Keys({kid: key}).seal(claims, os.urandom(16)).encode()


def shell(command: str, folder: Path, *arguments: str) -> str:
    """What a shell command prints."""
    ended = subprocess.run(
        ["sh", "-ec", command, "sh", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    return ended.stdout


def receive(client: socket.socket, count: int) -> bytes:
    """As many bytes, or what there is up to the end."""
    received = b""
    while len(received) < count and (part := client.recv(count - len(received))):
        received += part
    return received


def is_served(proxy: Twistd, line: bytes, word: bytes = b"hello") -> bool:
    return proxy.ask(line + b"\n" + word) == b"200" + word


# As its ancestor's README has it


@pytest.mark.parametrize("digest", ["md5", "sha256", "pbkdf2"])
def test_a_token_of_the_openssl_command_connects(gateway: Gateway, echo: int, digest: str) -> None:
    need("openssl")
    proxy = gateway("--secret", SECRET, "--digest", digest)
    how = "-pbkdf2 -md sha256" if digest == "pbkdf2" else f"-md {digest}"
    for host in ("127.0.0.1", "127.0.0.1.nip.invalid"):
        token = shell(
            f'printf %s "$1" | openssl enc -e -aes-256-cbc -a -A {how} -salt -k "$2" 2>/dev/null',
            proxy.folder,
            f"{host}:{echo}",
            SECRET,
        )
        assert "\n" not in token
        answer = proxy.ask(token.encode() + b"\nhello")
        assert answer == (b"200hello" if host == "127.0.0.1" else b"502")


def test_the_bare_command_of_the_readme_makes_a_token_of_todays_digest(gateway: Gateway, echo: int) -> None:
    need("openssl")
    command = 'echo -n "$1" | openssl enc -e -aes-256-cbc -a -salt -k "$2" 2>/dev/null'
    proxy = gateway("--secret", SECRET)
    token = shell(command, proxy.folder, f"127.0.0.1:{echo}", SECRET)
    assert proxy.ask(token.encode() + b"hello") == b"401"
    proxy = gateway("--secret", SECRET, "--digest", "sha256", "--digest", "md5")
    assert proxy.ask(token.encode() + b"hello") == b"200hello"
    assert is_served(proxy, old(echo))


def test_a_token_that_openssl_has_wrapped_is_no_token(gateway: Gateway) -> None:
    """Without -A; what was the second line would be the server's."""
    proxy = gateway("--secret", SECRET)
    line = seal_legacy("a234567890123456789012345678:123", SECRET.encode(), "md5", bytes(8)).encode()
    assert proxy.ask(line[:64] + b"\n" + line[64:] + b"\n") == b"401"


def test_addr_is_where_it_listens_and_the_port_is_logged(gateway: Gateway, echo: int) -> None:
    proxy = gateway("--secret", SECRET, "--addr", "127.0.0.1:0", listen=False)
    proxy.wait_for_log(r"gateway listens on 127\.0\.0\.1:\d+ ")
    assert is_served(proxy, old(echo))
    port = free_port()
    proxy = gateway("--secret", SECRET, "--addr", f"127.0.0.1:{port}", listen=False)
    assert proxy.port == port
    proxy = gateway("--secret", SECRET, listen=False)
    proxy.wait_for_log(r"gateway listens on 0\.0\.0\.0:\d+ ")
    assert is_served(proxy, old(echo))


def test_kill_with_the_pid_file_ends_it_safely(gateway: Gateway, echo: int) -> None:
    proxy = gateway("--secret", SECRET, "--drain-timeout", "60")
    assert proxy.port
    pid_file = proxy.folder / "gateway.pid"
    assert pid_file.read_text() == str(proxy.pid)
    with proxy.connect() as client:
        client.sendall(old(echo) + b"\nhello")
        assert receive(client, 3) == b"200"
        shell("kill `cat gateway.pid`", proxy.folder)
        proxy.wait_for_log("stopped accepting")
        client.sendall(b" and goodbye")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"hello and goodbye"
    assert proxy.wait() == 0
    assert not pid_file.exists()
    assert [record["outcome"] for record in proxy.records(1)] == ["completed"]
    assert "Traceback" not in proxy.log()


# Secrets


def ways(folder: Path) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Ways to give the secret: arguments and environment."""
    (folder / "secret").write_text(SECRET + "\n")
    (folder / "keys").write_text(f"k1 {KEY}\n")
    keys = ["--key-file", str(folder / "keys")]
    return {
        "option": (["--secret", SECRET, *keys], {}),
        "option with an equals sign": ([f"--secret={SECRET}", *keys], {}),
        "file": (["--secret-file", str(folder / "secret"), *keys], {}),
        "variable": (keys, {"PROXYMUX_SECRET": SECRET}),
    }


@pytest.mark.parametrize("way", ["option", "option with an equals sign", "file", "variable"])
def test_the_secret_is_nowhere_to_be_seen(gateway: Gateway, echo: int, tmp_path: Path, way: str) -> None:
    arguments, environment = ways(tmp_path)[way]
    proxy = gateway(*arguments, "--log-level", "debug", **environment)
    assert proxy.port
    line = old(echo)
    assert is_served(proxy, line)
    assert is_served(proxy, sealed(echo))
    assert proxy.ask(b"garbage\n") == b"401"
    assert proxy.ask(old(echo, "another") + b"\n") == b"401"
    proxy.signal(signal.SIGHUP)
    proxy.wait_for_log("reloaded gateway")
    until(lambda: proxy.title().startswith("proxymux "), "the title")
    proxy.records(4)
    process = Path(f"/proc/{proxy.pid}")
    seen = {
        "log": proxy.log(),
        "access log": proxy.access_log.read_text(),
        "title": (process / "cmdline").read_bytes().decode("latin-1"),
        "name": (process / "comm").read_text(),
        "status": (process / "status").read_text(),
        "pid file": (proxy.folder / "gateway.pid").read_text(),
    }
    for where, text in seen.items():
        assert SECRET_PART not in text, where
        assert KEY_PART not in text, where
        assert line.decode() not in text, where
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0
    assert SECRET_PART not in proxy.log()


@pytest.mark.parametrize(
    "mistake",
    [
        ["--retry", "0"],
        ["--listen", "nonsense"],
        ["--key-file", "/nowhere"],
        ["--nonsense"],
        ["nonsense"],
        ["--allow-target", "x"],
        ["--addr", "127.0.0.1"],
        ["--gateway-pidfile", "/nowhere/gateway.pid"],
        ["--listen", "tcp:0:interface=192.0.2.1"],
        ["--check"],
    ],
    ids=" ".join,
)
def test_a_start_that_fails_does_not_tell_the_secret(gateway: Gateway, mistake: list[str]) -> None:
    proxy = gateway("--secret", SECRET, *mistake)
    assert proxy.wait() == (0 if mistake == ["--check"] else 1)
    assert proxy.log()
    assert SECRET_PART not in proxy.log()
    assert "Traceback" not in proxy.log()
    assert not (proxy.folder / "gateway.pid").exists()


def test_the_variable_alone_is_enough(gateway: Gateway, echo: int) -> None:
    proxy = gateway(PROXYMUX_SECRET=SECRET)
    assert is_served(proxy, old(echo))


# Too many clients


def silent_clients(proxy: Twistd, count: int) -> list[socket.socket]:
    return [proxy.connect() for _ in range(count)]


@pytest.mark.slow
def test_400_silent_clients_do_not_keep_a_good_one_out(gateway: Gateway, echo: int) -> None:
    """With room for some 20 of them: each leaves when it is told that its time is up."""
    proxy = gateway("--secret", SECRET, "--decide-timeout", "0.2", descriptors=64)
    assert proxy.port
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for client in silent_clients(proxy, 400):
            stack.enter_context(client)
            selector.register(client, selectors.EVENT_READ)
        good = stack.enter_context(proxy.connect())
        good.settimeout(60)
        good.sendall(old(echo) + b"\nhello")
        selector.register(good, selectors.EVENT_READ)
        told = []
        is_answered = False
        while not is_answered:
            for key, _ in selector.select(60):
                client = key.fileobj  # type: ignore[assignment]
                if client is good:
                    is_answered = True
                    continue
                told.append(client.recv(10))
                selector.unregister(client)
                client.close()
        assert set(told) <= {b"400"}
        assert receive(good, 8) == b"200hello"
    assert "Traceback" not in proxy.log()


# What it does not start with


def complaint(gateway: Gateway, *arguments: str, **options: str) -> str:
    """The one line with which it refuses to start."""
    proxy = gateway(*arguments, **options)
    assert proxy.wait() == 1
    lines = [line for line in proxy.log().splitlines() if line.startswith("proxymux: ")]
    assert len(lines) == 1, proxy.log()
    assert "Traceback" not in proxy.log()
    assert not (proxy.folder / "gateway.pid").exists()
    return lines[0]


def test_without_a_secret_it_says_missing_secret(gateway: Gateway) -> None:
    assert complaint(gateway).startswith("proxymux: Missing secret: give --secret-file, PROXYMUX_SECRET,")
    assert complaint(gateway, PROXYMUX_SECRET="").startswith("proxymux: Missing secret")


def test_a_bad_line_of_a_key_file_is_named_and_not_shown(gateway: Gateway, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"# keys\nk1 {KEY}\nk2 {KEY[:-5]}\n")
    said = complaint(gateway, "--key-file", str(keys))
    assert said.startswith(f"proxymux: --key-file: {keys}: line 3: the key of k2 is not base64 of 32 bytes")
    assert KEY_PART not in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--retry", "0"], ["--retry", "'0'", "at least 1"]),
        (["--timeout", "0"], ["--timeout", "'0'", "greater than 0"]),
        (["--buffer", "0"], ["--buffer", "'0'", "1024", "16777216"]),
    ],
    ids=lambda each: each[0],
)
def test_what_the_ancestor_took_and_broke_by_is_refused(
    gateway: Gateway, arguments: list[str], words: list[str]
) -> None:
    said = complaint(gateway, "--secret", SECRET, *arguments)
    for word in words:
        assert word in said


def test_a_port_in_use_is_named(gateway: Gateway) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = complaint(gateway, "--secret", SECRET, "--addr", f"127.0.0.1:{port}")
        assert f"127.0.0.1:{port}: Address already in use" in said
        said = complaint(gateway, "--secret", SECRET, "--addr", f"127.0.0.1:{port}", "--reuse", "1")
        assert f"127.0.0.1:{port}: Address already in use" in said


def test_check_says_ok_and_leaves_nothing(gateway: Gateway, tmp_path: Path) -> None:
    arguments, _ = ways(tmp_path)["file"]
    proxy = gateway(*arguments, "--check")
    assert proxy.wait() == 0
    assert proxy.log() == "ok\n"
    assert sorted(path.name for path in proxy.folder.iterdir()) == ["output"]


# The pid file


def test_a_second_one_of_the_same_pid_file_does_not_start(gateway: Gateway, echo: int) -> None:
    first = gateway("--secret", SECRET)
    assert first.port
    pid_file = first.folder / "gateway.pid"
    second = gateway("--secret", SECRET, "--gateway-pidfile", str(pid_file))
    assert second.wait() == 1
    said = [line for line in second.log().splitlines() if line.startswith("proxymux: ")]
    assert said == [
        f"proxymux: --gateway-pidfile: {pid_file}: process {first.pid} is running; stop it, or name another file"
    ]
    assert "Traceback" not in second.log()
    assert pid_file.read_text() == str(first.pid)
    assert is_served(first, old(echo))


def test_a_pid_file_that_a_killed_one_left_is_replaced(gateway: Gateway, echo: int) -> None:
    first = gateway("--secret", SECRET)
    assert first.port
    pid_file = first.folder / "gateway.pid"
    first.signal(signal.SIGKILL)
    first.wait()
    assert pid_file.exists()
    second = gateway("--secret", SECRET, "--gateway-pidfile", str(pid_file))
    assert is_served(second, old(echo))
    assert pid_file.read_text() == str(second.pid)


def test_who_finds_another_number_in_it_leaves_it(gateway: Gateway) -> None:
    proxy = gateway("--secret", SECRET)
    assert proxy.port
    pid_file = proxy.folder / "gateway.pid"
    pid_file.write_text("1")
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0
    assert pid_file.read_text() == "1"


def test_off_is_no_pid_file(gateway: Gateway) -> None:
    proxy = gateway("--secret", SECRET, "--gateway-pidfile", "off")
    assert proxy.port
    assert {path.name for path in proxy.folder.iterdir()} <= {"output", "access.log"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_every_way_to_stop_it_removes_the_file(gateway: Gateway, number: signal.Signals) -> None:
    proxy = gateway("--secret", SECRET)
    assert proxy.port
    assert (proxy.folder / "gateway.pid").exists()
    proxy.signal(number)
    assert proxy.wait() == 0
    assert not (proxy.folder / "gateway.pid").exists()


def test_a_daemon_has_its_own_number_in_it(gateway: Gateway, echo: int) -> None:
    proxy = gateway("--secret", SECRET, daemon=True)
    assert proxy.wait() == 0, proxy.log()
    pid_file = proxy.folder / "gateway.pid"
    log = proxy.folder / "twistd.log"
    until(lambda: log.exists() and "listens on" in log.read_text(), "the daemon to listen")
    pid = int(pid_file.read_text())
    assert pid != proxy.pid
    assert (proxy.folder / "twistd.pid").read_text() == str(pid)
    os.kill(pid, signal.SIGTERM)
    until(lambda: not pid_file.exists() and not Path(f"/proc/{pid}").exists(), "the daemon to end")
    assert SECRET_PART not in log.read_text()


# Reloading


def test_hup_rotates_the_keys_and_a_bad_file_keeps_the_old(gateway: Gateway, echo: int, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"k1 {KEY}\n")
    other = bytes(32)
    proxy = gateway("--key-file", str(keys))
    assert is_served(proxy, sealed(echo))
    assert proxy.ask(sealed(echo, "k2", other) + b"\n") == b"401"
    with proxy.connect() as tunnel:
        tunnel.sendall(sealed(echo) + b"\nbefore")
        assert receive(tunnel, 9) == b"200before"
        keys.write_text(f"k2 {base64.b64encode(other).decode()}\nk1 {KEY}\n")
        proxy.signal(signal.SIGHUP)
        proxy.wait_for_log("reloaded gateway")
        assert is_served(proxy, sealed(echo))
        assert is_served(proxy, sealed(echo, "k2", other))
        keys.write_text(f"k2 {KEY[:-5]}\n")
        proxy.signal(signal.SIGHUP)
        proxy.wait_for_log(r"error\] not reloaded, the old one stays: --key-file: .*keys: line 1: ")
        assert is_served(proxy, sealed(echo))
        keys.unlink()
        proxy.signal(signal.SIGHUP)
        proxy.wait_for_log(r"not reloaded, the old one stays: --key-file: .*keys: No such file")
        assert is_served(proxy, sealed(echo, "k2", other))
        tunnel.sendall(b"after")
        assert receive(tunnel, 5) == b"after"
    assert KEY_PART not in proxy.log()
    assert "Traceback" not in proxy.log()


def test_hup_reads_the_secret_file_again(gateway: Gateway, echo: int, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    proxy = gateway("--secret-file", str(secret))
    assert is_served(proxy, old(echo))
    secret.write_text("another\r\n")
    proxy.signal(signal.SIGHUP)
    proxy.wait_for_log("reloaded gateway")
    assert proxy.ask(old(echo) + b"\n") == b"401"
    assert is_served(proxy, old(echo, "another"))
    secret.write_text("\n")
    proxy.signal(signal.SIGHUP)
    proxy.wait_for_log("not reloaded, the old one stays: --secret-file: .*: is empty")
    assert is_served(proxy, old(echo, "another"))


@pytest.mark.parametrize("given", ["option", "variable"])
def test_hup_keeps_a_secret_that_came_otherwise(gateway: Gateway, echo: int, tmp_path: Path, given: str) -> None:
    arguments, environment = ways(tmp_path)[given]
    proxy = gateway(*arguments, **environment)
    assert is_served(proxy, old(echo))
    proxy.signal(signal.SIGHUP)
    proxy.wait_for_log("reloaded gateway")
    assert is_served(proxy, old(echo))


# Several processes


def test_two_processes_share_a_port(gateway: Gateway, echo: int) -> None:
    port = free_port()
    shared = ["--secret", SECRET, "--addr", f"127.0.0.1:{port}", "--reuse", "1"]
    both = [gateway(*shared, listen=False) for _ in range(2)]
    assert [proxy.port for proxy in both] == [port, port]
    for _ in range(100):
        assert is_served(both[0], old(echo))
    counts = until(
        lambda: (counts := [len(proxy.records()) for proxy in both]) and sum(counts) == 100 and counts, "100 records"
    )
    assert min(counts) > 0
    both[0].signal(signal.SIGTERM)
    assert both[0].wait() == 0
    for _ in range(10):
        assert is_served(both[1], old(echo))


def test_without_reuse_a_second_process_does_not_get_the_port(gateway: Gateway) -> None:
    first = gateway("--secret", SECRET, "--reuse", "1")
    said = complaint(gateway, "--secret", SECRET, "--addr", f"127.0.0.1:{first.port}")
    assert "Address already in use" in said
