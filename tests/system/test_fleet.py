"""A fleet over a real etcd: one-time tokens, who is in it, whom all of it deny, and etcd that is away."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from proxymux.core.token.sealed import Keys
from tests.conftest import until
from tests.discovery.etcd_server import EtcdServer, running_etcd
from tests.system.conftest import Start, Twistd, read_all
from tests.system.workers import WAITS, crew

pytestmark = pytest.mark.slow

KEY: Final = bytes(range(32))
GATEWAYS: Final = 4
TRIES: Final = 50
#: Seconds after which one that was killed is gone, by the contract.
GONE: Final = 30

Gateway = Callable[..., Twistd]


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdServer]:
    with running_etcd(tmp_path) as server:
        yield server


@pytest.fixture
def gateway(start: Start, tmp_path: Path, etcd: EtcdServer) -> Gateway:
    """Start a gateway of the fleet."""
    keys = tmp_path / "keys"
    keys.write_text(f"k1 {base64.b64encode(KEY).decode()}\n")

    def start_gateway(*arguments: str) -> Twistd:
        options = ("--key-file", str(keys), "--fleet", f"etcd://{etcd.address}/fleet/", *arguments)
        return start(None, *options, service="proxymux-gateway")

    return start_gateway


def once(port: int) -> bytes:
    """A one-time token."""
    claims = {"t": f"127.0.0.1:{port}", "e": int(time.time()) + 600, "j": secrets.token_hex(12)}
    return Keys({"k1": KEY}).seal(claims, os.urandom(16)).encode()


def status_of(proxy: Twistd, token: bytes) -> bytes:
    return proxy.ask(token + b"\n")


def race(proxies: Sequence[Twistd], token: bytes, tries: int) -> Counter[bytes]:
    """What is answered to a token that is shown to each gateway so many times, to all at once."""
    answers: Counter[bytes] = Counter()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(proxy.connect()) for _ in range(tries) for proxy in proxies]
        for client in clients:
            client.sendall(token)
        for client in clients:
            client.sendall(b"\n")
            client.shutdown(socket.SHUT_WR)
        for client in clients:
            answers[read_all(client)] += 1
    return answers


def members(etcd: EtcdServer) -> dict[int, Any]:
    """The records of the fleet, by the process numbers."""
    found = etcd.control("get", "--prefix", "/fleet/instances/", "--print-value-only")
    return {record["pid"]: record for record in map(json.loads, found.splitlines())}


def used(etcd: EtcdServer) -> list[str]:
    """The keys of the one-time tokens that were used."""
    return etcd.control("get", "--prefix", "/fleet/once/k1/", "--keys-only").split()


def command(etcd: EtcdServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``proxymux fleet``."""
    url = f"etcd://{etcd.address}/fleet/"
    words = [sys.executable, "-m", "proxymux", "fleet", *arguments, url]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


# One-time tokens


def test_a_one_time_token_raced_at_four_gateways_is_used_once(gateway: Gateway, echo: int, etcd: EtcdServer) -> None:
    proxies = [gateway("--max-failures", "off") for _ in range(GATEWAYS)]
    assert len({proxy.port for proxy in proxies}) == GATEWAYS
    for _ in range(5):
        assert race(proxies, once(echo), TRIES) == {b"200": 1, b"401": GATEWAYS * TRIES - 1}
    assert len(used(etcd)) == 5
    leases = etcd.control("lease", "list").split()[3:]
    assert len(leases) <= GATEWAYS * 3  # of each, that of its membership, and one for each minute of expiry


def test_with_workers_it_is_used_once_too(gateway: Gateway, echo: int) -> None:
    proxies = [gateway("--max-failures", "off", "--workers", "2") for _ in range(2)]
    for proxy in proxies:
        crew(proxy, 2)
    assert race(proxies, once(echo), TRIES) == {b"200": 1, b"401": 2 * TRIES - 1}


@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["one", "workers"])
def test_while_etcd_is_away_they_are_refused_or_used_once_at_a_gateway(
    gateway: Gateway, echo: int, etcd: EtcdServer, workers: tuple[str, ...]
) -> None:
    refusing = gateway(*workers)
    local = gateway("--once-without-etcd", "local", "--max-failures", "off", *workers)
    for proxy in (refusing, local):
        if workers:
            crew(proxy, 2)
        assert status_of(proxy, once(echo)) == b"200"
    etcd.kill()
    token, spent = once(echo), once(echo)
    assert status_of(refusing, token) == b"401"
    assert race([local], spent, 20) == {b"200": 1, b"401": 19}
    assert "etcd does not say whether" in refusing.records(2)[-1]["reason"]
    etcd.start()
    assert status_of(refusing, token) == b"200"
    assert status_of(refusing, token) == b"401"
    assert status_of(local, spent) == b"401"
    until(lambda: len(used(etcd)) == 4, "etcd to be told of what was used meanwhile")
    assert status_of(refusing, spent) == b"401"
    assert status_of(local, once(echo)) == b"200"


def test_an_etcd_that_has_lost_everything_is_asked_on(gateway: Gateway, echo: int, etcd: EtcdServer) -> None:
    proxy = gateway()
    token = once(echo)
    assert status_of(proxy, token) == b"200"
    etcd.control("del", "--prefix", "/")
    for lease in etcd.control("lease", "list").split()[3:]:
        etcd.control("lease", "revoke", lease)
    assert status_of(proxy, token) == b"401"
    assert status_of(proxy, once(echo)) == b"200"
    until(lambda: members(etcd), "the gateway to join again")


# Members


def test_who_is_in_the_fleet(gateway: Gateway, start: Start, etcd: EtcdServer) -> None:
    url = f"etcd://{etcd.address}/fleet/"
    plain = gateway("--admin", "tcp:0:interface=127.0.0.1")
    supervised = start(WAITS, "--fleet", url, "--workers", "2")
    crew(supervised, 2)
    found = until(lambda: len(known := members(etcd)) == 2 and known, "two members")
    assert found[plain.pid]["name"] == "gateway"
    assert found[supervised.pid]["name"] == "router"
    for proxy in (plain, supervised):
        record = found[proxy.pid]
        assert record["addresses"] == [f"127.0.0.1:{proxy.port}"]
        assert record["host"] == socket.gethostname()
        assert record["connections"] == 0
    listed = command(etcd)
    assert (listed.returncode, listed.stderr) == (0, "")
    lines = listed.stdout.splitlines()
    assert sorted(lines) == lines
    assert [line.split()[:2] for line in lines] == [
        [record["id"], f"127.0.0.1:{proxy.port}"]
        for record, proxy in sorted(((found[each.pid], each) for each in (plain, supervised)), key=lambda p: p[0]["id"])
    ]
    as_json = json.loads(command(etcd, "--json").stdout)["fleet"]
    assert {each["id"] for each in as_json} == {each["id"] for each in found.values()}
    admin = found[plain.pid]["admin"]
    with urllib.request.urlopen(f"http://{admin}/status", timeout=30) as answer:
        assert {each["id"] for each in json.load(answer)["fleet"]} == {each["id"] for each in found.values()}
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(supervised.connect())
        until(lambda: members(etcd)[supervised.pid]["connections"] == 3, "its connections to be told")
    for proxy in (plain, supervised):
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
        assert proxy.pid not in members(etcd)
    assert command(etcd).stdout == ""


def test_one_that_is_killed_is_gone_within_30_seconds(gateway: Gateway, etcd: EtcdServer) -> None:
    killed, other = gateway(), gateway()
    until(lambda: len(members(etcd)) == 2, "two members")
    killed.signal(signal.SIGKILL)
    killed.wait()
    until(lambda: list(members(etcd)) == [other.pid], "the killed one to be gone", GONE)


def test_one_that_is_there_before_etcd_serves_and_joins_later(gateway: Gateway, echo: int, etcd: EtcdServer) -> None:
    etcd.kill()
    proxy = gateway("--deny-cluster", f"etcd://{etcd.address}/denied/")
    claims = {"t": f"127.0.0.1:{echo}", "e": int(time.time()) + 600}
    token = Keys({"k1": KEY}).seal(claims, os.urandom(16)).encode()
    assert proxy.ask(token + b"\nhello") == b"200hello"
    proxy.wait_for_log("connection refused; it is tried again, and clients are served")
    proxy.wait_for_log("connection refused; nobody is refused by it until it is known")
    listed = command(etcd)
    assert (listed.returncode, listed.stdout) == (1, "")
    assert listed.stderr == f"proxymux fleet: {etcd.address}: connection refused\n"
    etcd.start()
    until(lambda: proxy.pid in members(etcd), "it to join")
    assert status_of(proxy, once(echo)) == b"200"


def test_one_that_ends_without_etcd_ends_soon(gateway: Gateway, etcd: EtcdServer) -> None:
    proxy = gateway()
    until(lambda: members(etcd), "it to join")
    etcd.process.send_signal(signal.SIGSTOP)  # type: ignore[union-attr]
    proxy.signal(signal.SIGTERM)
    assert proxy.wait(10) == 0
    etcd.process.send_signal(signal.SIGCONT)  # type: ignore[union-attr]
    assert "Traceback" not in proxy.log()


# The deny list


@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["one", "workers"])
def test_the_deny_list_is_followed(start: Start, etcd: EtcdServer, workers: tuple[str, ...]) -> None:
    etcd.control("put", "/denied/lab", "192.0.2.0/24")
    proxy = start(WAITS, "--deny-cluster", f"etcd://{etcd.address}/denied/", *workers)
    if workers:
        crew(proxy, 2)
    proxy.wait_for_log("follows the deny list at .*; networks: 1")
    assert is_let_in(proxy)
    etcd.control("put", "/denied/bad", "nonsense")
    etcd.control("put", "denied/me", "127.0.0.0/8")
    until(lambda: not any(is_let_in(proxy) for _ in range(8)), "its clients to be refused")
    until(lambda: any("--deny-cluster" in record["reason"] for record in refused(proxy)), "the reason in the log")
    proxy.wait_for_log("/denied/bad is left out: 'nonsense' is not an address or CIDR")
    etcd.kill()
    proxy.wait_for_log("the list stays as it was")
    assert not is_let_in(proxy)
    etcd.start()
    etcd.control("del", "denied/me")
    until(lambda: all(is_let_in(proxy) for _ in range(8)), "its clients to be let in")


def test_the_deny_list_stands_beside_the_files(start: Start, etcd: EtcdServer, tmp_path: Path) -> None:
    file = tmp_path / "denied"
    file.write_text("192.0.2.1\n")
    url = f"etcd://{etcd.address}/denied/"
    proxy = start(WAITS, "--deny-cluster", url, "--deny-file", str(file))

    def reload(text: str, count: int) -> None:
        file.write_text(text)
        proxy.signal(signal.SIGHUP)
        until(lambda: proxy.log().count("reloaded router") == count, "the file to be read")

    proxy.wait_for_log("follows the deny list")
    assert is_let_in(proxy)
    etcd.control("put", "/denied/me", "127.0.0.1")
    until(lambda: not is_let_in(proxy), "its clients to be refused")
    reload("192.0.2.2\n", 1)
    assert not is_let_in(proxy)
    etcd.control("del", "/denied/me")
    until(lambda: is_let_in(proxy), "its clients to be let in")
    reload("127.0.0.1\n", 2)
    assert not is_let_in(proxy)


def is_let_in(proxy: Twistd) -> bool:
    with contextlib.suppress(OSError):
        return proxy.ask(b"x.") == b"done: x."
    return False


def refused(proxy: Twistd) -> list[dict[str, Any]]:
    return [record for record in proxy.records() if record["outcome"] == "refused"]


# What is not shown


def test_the_password_of_etcd_is_shown_nowhere(start: Start, etcd: EtcdServer) -> None:
    etcd.control("user", "add", "root:s3cret")
    etcd.control("user", "grant-role", "root", "root")
    etcd.control("auth", "enable")
    url = f"etcd://root:wr0ng@{etcd.address}/fleet/"
    options = ("--fleet", url, "--deny-cluster", url, "--log-level", "debug", "--admin", "tcp:0:interface=127.0.0.1")
    for workers in ((), ("--workers", "2")):
        proxy = start(WAITS, *options, *workers)
        pids = [proxy.pid, *(crew(proxy, 2) if workers else ())]
        proxy.wait_for_log("authentication failed")
        port = proxy.wait_for_log(r"--admin listens on 127.0.0.1:(\d+)").group(1)
        shown = [Path(f"/proc/{pid}/cmdline").read_text() for pid in pids]
        for path in ("/status", "/debug/stacks"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                shown.append(answer.read().decode())
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
        assert not [each for each in (*shown, proxy.log()) if "wr0ng" in each]
    words = [sys.executable, "-m", "proxymux", "fleet", url]
    failed = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("proxymux fleet: ")
    assert len(failed.stderr.splitlines()) == 1
    assert "wr0ng" not in failed.stderr


@pytest.mark.parametrize("option", ["--fleet", "--deny-cluster"])
def test_a_bad_address_ends_the_start_with_one_line(start: Start, option: str) -> None:
    for workers in ((), ("--workers", "2")):
        proxy = start(WAITS, option, "etcd://root:wr0ng@host:99999/x/", *workers)
        assert proxy.wait() == 1
        assert proxy.log().startswith(f"proxymux: {option}: ")
        assert len(proxy.log().splitlines()) == 1
        assert "wr0ng" not in proxy.log()
