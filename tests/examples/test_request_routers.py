"""The routers of requests in docs/examples/pool: asked without a network, and run with the servers they are for."""

from __future__ import annotations

import functools
import json
import re
import shutil
import signal
import socketserver
import subprocess
import time
import zlib
from collections.abc import Collection
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from proxymux.core.codecs import Kind, make_codec
from proxymux.core.codecs.resp.commands import SPECIAL
from proxymux.core.decision import Forward, Reply
from proxymux.core.identity import Client
from proxymux.core.route_result import Route
from proxymux.pool.request_router import RequestRouter, hook_of
from proxymux.user_code import find
from tests.conftest import until
from tests.examples.conftest import POOL_EXAMPLES, Begin, Serve, curl, page, run
from tests.system.conftest import Server, need
from tests.system.pools import redis

HERE = {"tcp:6380": "tcp:0:interface=127.0.0.1"}


def words(*command: str | bytes) -> bytes:
    """A command of Redis."""
    parts = [each if isinstance(each, bytes) else each.encode() for each in command]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in parts)


class Routing:
    """A router, asked as a pool asks it, by one client."""

    def __init__(self, path: Path, codec: str, clusters: Collection[str] = ()) -> None:
        found, name, filename = find(str(path))
        assert isinstance(found, ModuleType)
        self.module = found
        self._codec = make_codec(codec)
        route = hook_of(found, filename)
        self._router = RequestRouter(name, filename, route, self._codec, time.perf_counter, Logger(), clusters)
        self.client = Client(("127.0.0.1", 50000), ("127.0.0.1", 6380))

    def decide(self, request: bytes) -> Route:
        """What it says about one request; a result that is none fails the test."""
        assert [each.end for each in self._codec.requests().feed(request)] == [len(request)]
        decision = self._router.decide(self._codec.view(request), self.client)
        assert not isinstance(decision, Deferred)
        return decision

    def place(self, request: bytes) -> str | None:
        """Where it sends the request; None is the first target."""
        decision = self.decide(request)
        if decision is None:
            return None
        assert isinstance(decision, Forward)
        return str(decision.targets[0])

    def reply(self, request: bytes) -> bytes:
        """What it answers."""
        decision = self.decide(request)
        assert isinstance(decision, Reply)
        return decision.reply


class Cli:
    """redis-cli at a port."""

    def __init__(self, port: int | str) -> None:
        self._command = [need("redis-cli"), "-p", str(port)]

    def __call__(self, *command: str) -> str:
        return run(*self._command, *command).stdout.rstrip("\n")

    def says(self, text: str, *command: str) -> bool:
        """True if ``text`` is in the answer."""
        return text in self(*command)

    def lines(self, text: str) -> list[str]:
        """The answers to several commands of one connection."""
        return run(*self._command, given=text.encode()).stdout.split("\n")

    def calls(self, command: str) -> int:
        """How often the server has carried out a command."""
        found = re.search(rf"cmdstat_{command}:calls=(\d+)", self("info", "commandstats"))
        return 0 if found is None else int(found[1])


# Reads to replicas


def test_reads_go_to_the_replicas_but_for_a_second_after_a_write(monkeypatch: pytest.MonkeyPatch) -> None:
    routing = Routing(POOL_EXAMPLES / "replicas.py", "resp", ("primary", "replicas"))
    now = [0.5]
    monkeypatch.setattr(routing.module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    assert routing.place(words("GET", "a")) == "replicas"
    assert routing.place(words("set", "a", "1")) == "primary"
    now[0] += 0.9
    assert routing.place(words("mget", "a", "b")) == "primary"
    now[0] += 0.2
    assert routing.place(b"get a\r\n") == "replicas"
    for other in ("MULTI", "SUBSCRIBE", "PING", "NEWER"):
        assert routing.place(words(other, "a")) == "primary"
        assert routing.place(words("GET", "a")) == "replicas"


@pytest.mark.slow
def test_what_goes_to_replicas_changes_nothing(server: Server, tmp_path: Path) -> None:
    known = Cli(redis(server, tmp_path))("command", "list", "filterby", "aclcat", "read").upper().split()
    reads = Routing(POOL_EXAMPLES / "replicas.py", "resp").module.READS
    assert reads < set(known)


@pytest.mark.slow
def test_replicas_are_read(begin: Begin, server: Server, tmp_path: Path) -> None:
    primary = redis(server, tmp_path, "--repl-diskless-sync-delay", "0")
    replicas = [redis(server, tmp_path, "--replicaof", "127.0.0.1", str(primary)) for _ in range(2)]
    for cli in map(Cli, replicas):
        until(functools.partial(cli.says, "master_link_status:up", "info", "replication"), "a replica")
    ports = {f"127.0.0.1:{name}": f"127.0.0.1:{port}" for name, port in zip((16379, 26379), replicas, strict=True)}
    edits = {"127.0.0.1:6379": f"127.0.0.1:{primary}", "OWN_WRITES = 1.0": "OWN_WRITES = 600.0", **ports, **HERE}
    proxy = begin("replicas.py", edits)
    other = Cli(proxy.port)
    assert Cli(proxy.port).lines("set a 1\nget a\nmget a b\n")[:4] == ["OK", "1", "1", ""]
    assert Cli(primary).calls("get") == 1
    until(lambda: other("get", "a") == "1", "the write at the replicas")
    benchmark = [need("redis-benchmark"), "-p", str(proxy.port), "-q", "-t", "get", "-n", "1000", "-c", "20"]

    def both_are_asked() -> bool:
        assert run(*benchmark).returncode == 0
        return all(Cli(port).calls("get") > 100 for port in replicas)

    until(both_are_asked, "reads at both replicas")
    assert Cli(primary).calls("get") == 1
    assert other("set", "b", "2") == "OK"


# Commands that are refused


@pytest.mark.parametrize(
    "command",
    [
        *(words("flushall"), words("FlushDB", "ASYNC"), words("KEYS", "*"), words("CONFIG", "GET", "*")),
        *(words("SHUTDOWN"), words("DEBUG", "SLEEP", "9"), words("EVAL", "return 1", "1", "a")),
        *(words("client", "pause", "9"), words("CLIENT", "KILL", "TYPE", "normal")),
        *(b"flushall\r\n", b"  Keys *\n", b"client unpause\r\n"),
    ],
)
def test_what_is_dangerous_is_answered_with_an_error(command: bytes) -> None:
    reply = Routing(POOL_EXAMPLES / "guarded.py", "resp").reply(command)
    assert re.fullmatch(rb"-ERR [A-Z]+ is not allowed here\r\n", reply)


def test_everything_else_goes_to_the_target() -> None:
    routing = Routing(POOL_EXAMPLES / "guarded.py", "resp")
    for command in (("GET", "flushall"), ("SET", "KEYS", "CLIENT KILL"), ("client", "setinfo", "lib-name", "b")):
        assert routing.place(words(*command)) is None


@pytest.mark.slow
def test_a_guarded_redis_keeps_its_keys(begin: Begin, server: Server, tmp_path: Path) -> None:
    port = redis(server, tmp_path)
    proxy = begin("guarded.py", {"127.0.0.1:6379": f"127.0.0.1:{port}", **HERE})
    cli = Cli(proxy.port)
    assert cli("set", "a", "1") == "OK"
    for command in ("flushall", "keys *", "config get maxmemory", "client pause 1000"):
        name = command.split()[0].upper()
        assert cli(*command.split()) == f"ERR {name} is not allowed here"
    assert cli("get", "a") == "1"


@pytest.mark.slow
def test_nothing_gets_past_the_guard_by_a_connection_of_its_own(begin: Begin, server: Server, tmp_path: Path) -> None:
    port = redis(server, tmp_path)
    proxy = begin("guarded.py", {"127.0.0.1:6379": f"127.0.0.1:{port}", **HERE})
    assert Cli(port)("set", "a", "1") == "OK"
    own = [name for name, rule in SPECIAL.items() if getattr(rule, "kind", None) is Kind.OWN]
    assert len(own) > 20
    for name in own:
        replies = proxy.ask(words(name, "x", "0") + words("FLUSHALL"))
        assert re.fullmatch(rb"(-[^\r\n]+\r\n){2}", replies), name
    assert Cli(port)("get", "a") == "1"
    assert Cli(port).calls("flushall") == 0


# A canary


def test_each_key_goes_one_way_always() -> None:
    routing = Routing(POOL_EXAMPLES / "canary.py", "resp")
    places = [routing.place(words("GET", f"key:{number}")) for number in range(2000)]
    assert places == [routing.place(words("SET", f"key:{number}", "x")) for number in range(2000)]
    assert set(places) == {None, "127.0.0.1:16379"}
    assert 150 < len(places) - places.count(None) < 250
    assert routing.place(words("PING")) is None


@pytest.mark.slow
def test_a_canary_has_its_part_of_the_keys(begin: Begin, server: Server, tmp_path: Path) -> None:
    stable, canary = redis(server, tmp_path), redis(server, tmp_path)
    edits = {"127.0.0.1:6379": f"127.0.0.1:{stable}", "127.0.0.1:16379": f"127.0.0.1:{canary}", **HERE}
    cli = Cli(begin("canary.py", edits).port)
    keys = [f"key:{number}" for number in range(300)]
    assert cli("mset", *(word for key in keys for word in (key, f"value of {key}"))) == "OK"
    assert cli("mget", *keys).split("\n") == [f"value of {key}" for key in keys]
    moved = {key for key in keys if zlib.crc32(key.encode()) % 100 < 10}
    assert 10 < len(moved) < 60
    assert set(Cli(canary)("keys", "*").split()) == moved
    assert set(Cli(stable)("keys", "*").split()) == {*keys} - moved


# Tenants


def asks(method: str, *fields: str) -> bytes:
    """A request of HTTP."""
    return "\r\n".join([f"{method} / HTTP/1.1", "Host: a", *fields, "", ""]).encode()


def test_a_tenant_is_named_by_a_header() -> None:
    routing = Routing(POOL_EXAMPLES / "tenants.py", "http", ("blue", "red"))
    assert routing.place(asks("GET", "x-tenant: blue")) == "blue"
    assert routing.place(asks("HEAD", "X-TENANT: red ")) == "red"
    for method in ("GET", "HEAD", "POST", "OPTIONS"):
        head, _, body = routing.reply(asks(method, "X-Tenant: green")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404 Not Found\r\n")
        assert body == (b"" if method == "HEAD" else b"there is no such tenant\n")
    for fields in ((), ("X-Tenant: blue", "X-Tenant: red"), ("X-Tenants: blue",)):
        assert routing.reply(asks("GET", *fields)).startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert isinstance(routing.decide(b"\r\n"), Reply)  # which nobody gets, as it is before a request


@pytest.mark.slow
def test_each_tenant_gets_its_servers(begin: Begin, serve: Serve) -> None:
    pages = {"127.0.0.1:8081": "blue", "127.0.0.1:8082": "red", "127.0.0.1:8083": "red"}
    servers = {address: f"127.0.0.1:{serve(page(text))}" for address, text in pages.items()}
    proxy = begin("tenants.py", {**servers, "tcp:8080": "tcp:0:interface=127.0.0.1"})
    url, host = f"http://127.0.0.1:{proxy.port}/", f"127.0.0.1:{proxy.port}"
    both = curl("-H", "X-Tenant: blue", url, "--next", "-sSH", "X-Tenant: red", url)
    assert (both.stdout, both.stderr) == (f"blue for {host}\nred for {host}\n", "")
    assert curl("-H", "X-Tenant: green", "-w", "%{http_code}", url).stdout == "there is no such tenant\n404"
    assert curl("-w", "%{http_code}", url).stdout == "say who you are, once: X-Tenant\n403"
    assert curl("--head", url).stdout.startswith("HTTP/1.1 403 Forbidden\r\n")
    replies = proxy.ask(b"\r\n" + asks("GET") + asks("HEAD") + asks("GET", "X-Tenant: x", "Connection: close"))
    assert re.findall(rb"HTTP/1.1 (\d+)", replies) == [b"403", b"403", b"404"]


# Indices


@pytest.mark.parametrize(
    "line",
    [
        *("DELETE /books", "DELETE /books/?x=/_doc/1", "DELETE //books", "DELETE /_all", "DELETE /books/_doc"),
        *("DELETE http://a/books/_doc", "DELETE /%2e", "POST /books/_delete_by_query?q=*", "POST /books/%5Fclose"),
        "HEAD /books/_close",
    ],
)
def test_an_index_is_not_deleted(line: str) -> None:
    reply = Routing(POOL_EXAMPLES / "indices.py", "http").reply(f"{line} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert reply.startswith(b"HTTP/1.1 403 Forbidden\r\n")


def test_documents_are_deleted_and_indices_used() -> None:
    routing = Routing(POOL_EXAMPLES / "indices.py", "http")
    deletes = ("DELETE /books/_doc/1", "DELETE /books/_doc/a%2Fb?refresh")
    for line in (*deletes, "GET /books", "POST /_bulk", "PUT /books", "GET /?q=_close"):
        assert routing.place(f"{line} HTTP/1.1\r\nHost: a\r\n\r\n".encode()) is None


class Documents(BaseHTTPRequestHandler):
    """Says what was deleted."""

    protocol_version = "HTTP/1.1"

    def do_DELETE(self) -> None:
        text = f"deleted {self.path}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""


@pytest.mark.slow
def test_single_documents_are_deleted(begin: Begin, serve: Serve) -> None:
    address = f"127.0.0.1:{serve(Documents)}"
    proxy = begin("indices.py", {"127.0.0.1:9200": address, "tcp:9201": "tcp:0:interface=127.0.0.1"})
    url = f"http://127.0.0.1:{proxy.port}/books"
    done = curl("-X", "DELETE", url, f"{url}/_doc/1", url)
    refusal = '{"error": "not allowed here", "status": 403}\n'
    assert done.stdout == f"{refusal}deleted /books/_doc/1\n{refusal}"


# Modbus


class Gateway(socketserver.StreamRequestHandler):
    """Answers a read of a register with the gateway's port and the unit."""

    def handle(self) -> None:
        while len(request := self.rfile.read(12)) == 12:
            port = self.server.server_address[1]  # type: ignore[index]
            value = port.to_bytes(2, "big")  # type: ignore[union-attr]
            self.wfile.write(request[:4] + bytes([0, 5, request[6], request[7], 2]) + value)


def register_of(unit: int) -> bytes:
    """A read of a register."""
    return bytes([0, 1, 0, 0, 0, 6, unit, 3, 0, 0, 0, 1])


def exception_of(unit: int) -> bytes:
    """The answer about a unit that is behind no gateway."""
    return bytes([0, 1, 0, 0, 0, 3, unit, 0x83, 0x0A])


def test_a_unit_is_behind_its_gateway() -> None:
    routing = Routing(POOL_EXAMPLES / "units.py", "modbus")
    for unit, port in ((1, 5021), (32, 5021), (33, 5022), (64, 5022)):
        assert routing.place(register_of(unit)) == f"127.0.0.1:{port}"
    for unit in (0, 65, 255):
        assert routing.reply(register_of(unit)) == exception_of(unit)


@pytest.mark.slow
def test_units_of_two_gateways_are_one_address(begin: Begin, serve: Serve) -> None:
    ports = {f"127.0.0.1:{name}": serve(Gateway) for name in (5021, 5022)}
    edits = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    proxy = begin("units.py", {**edits, "tcp:5020": "tcp:0:interface=127.0.0.1"})
    one, two = (port.to_bytes(2, "big") for port in ports.values())
    values = {7: one, 40: two, 8: one}
    expected = [bytes([0, 1, 0, 0, 0, 5, unit, 3, 2]) + value for unit, value in values.items()]
    assert proxy.ask(b"".join(map(register_of, (*values, 99)))) == b"".join([*expected, exception_of(99)])


# A cache


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """The file of keys, made as the example shows."""
    source = (POOL_EXAMPLES / "cached.py").read_text()
    [line] = [line for line in source.splitlines() if line.lstrip().startswith("echo")]
    subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True)
    return tmp_path / "settings.json"


def test_keys_of_the_file_are_answered_and_others_asked_for(tmp_path: Path, settings: Path) -> None:
    shutil.copy(POOL_EXAMPLES / "cached.py", tmp_path)
    routing = Routing(tmp_path / "cached.py", "resp")
    assert routing.reply(words("GET", "config:color")) == b"$4\r\nblue\r\n"
    assert routing.reply(words("mget", "config:limit")) == b"*1\r\n$2\r\n10\r\n"
    for command in (words("GET", "user:1"), words("PING"), words("MGET", "config:none"), words("MULTI")):
        assert routing.place(command) is None
    for line in (b"SET config:color red\r\n", b"EXISTS config:limit\r\n", b"RENAME a config:limit\r\n"):
        assert routing.reply(line).startswith(b"-ERR ")
    assert routing.reply(words("MGET", "config:color", *["a"] * 9)).startswith(b"-ERR ")


@pytest.mark.slow
def test_a_cache_is_read_again_at_hup(begin: Begin, server: Server, tmp_path: Path, settings: Path) -> None:
    proxy = begin("cached.py", {"127.0.0.1:6379": f"127.0.0.1:{redis(server, tmp_path)}", **HERE})
    cli = Cli(proxy.port)
    assert cli("set", "user:1", "ann") == "OK"
    assert cli("mget", "config:color", "user:1", "config:limit") == "blue\nann\n10"
    assert cli("set", "config:color", "red").startswith("ERR ")
    settings.write_text(json.dumps({"config:color": "green"}))
    proxy.signal(signal.SIGHUP)
    until(lambda: cli("get", "config:color") == "green", "the new file")
    assert cli("get", "config:limit") == ""
    settings.write_text("{")
    proxy.signal(signal.SIGHUP)
    proxy.wait_for_log(r"cached\.py:\d+.*JSONDecodeError")
    assert cli("get", "config:color") == "green"
