"""The pool with codec memcache in front of a memcached."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import until
from tests.system.conftest import Server, Start, Twistd
from tests.system.pools import memcached, outcomes, pool

pytestmark = pytest.mark.slow  # all of it takes long, and each of it is tested in pieces, too

MODES = [("1",), ("3",), ("3", "--async")]


class Connection:
    """A client of memcached."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> bytes:
        return self._file.readline()

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def ask(self, data: bytes) -> bytes:
        self.send(data)
        return self.line()

    def value(self, key: bytes) -> bytes | None:
        """What ``get`` says; None if there is none."""
        head = self.ask(b"get %b\r\n" % key)
        if head == b"END\r\n":
            return None
        size = int(head.split()[3])
        value = self.read(size)
        assert self.read(7) == b"\r\nEND\r\n"
        return value

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()


@pytest.fixture
def upstream(server: Server) -> int:
    return memcached(server, "-I", "8m", "-m", "64")


@pytest.fixture
def direct(upstream: int) -> Iterator[Connection]:
    with Connection(upstream) as connection:
        yield connection


def connections(direct: Connection) -> int:
    """How many memcached has accepted since it started."""
    direct.send(b"stats\r\n")
    found = 0
    while (line := direct.line()) != b"END\r\n":
        if line.startswith(b"STAT total_connections "):
            found = int(line.split()[2])
    return found


def funnel(start: Start, upstream: int, count: int = 3, *arguments: str) -> Twistd:
    return pool(start, upstream, count, "--codec", "memcache", *arguments)


@pytest.mark.parametrize("mode", MODES)
def test_many_clients_store_and_fetch_their_own(
    start: Start, upstream: int, direct: Connection, mode: tuple[str, ...]
) -> None:
    proxy = funnel(start, upstream, int(mode[0]), *mode[1:])
    before = connections(direct)
    wrong: list[object] = []

    def serve_one(number: int) -> None:
        with Connection(proxy.port) as client:
            for turn in range(20):
                key, value = b"key-%d-%d" % (number, turn), b"%d " % number * 50 * (turn + 1)
                stored = client.ask(b"set %b 0 0 %d\r\n%b\r\n" % (key, len(value), value))
                found = client.value(key)
                if stored != b"STORED\r\n" or found != value:
                    wrong.append((number, turn, stored, found))

    clients = [threading.Thread(target=serve_one, args=(number,)) for number in range(30)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(60)
    assert not wrong
    assert connections(direct) - before <= int(mode[0])
    assert outcomes(proxy, 30) == {"completed"}


@pytest.mark.parametrize("mode", MODES)
def test_a_pipeline_keeps_its_order(start: Start, upstream: int, mode: tuple[str, ...]) -> None:
    proxy = funnel(start, upstream, int(mode[0]), *mode[1:])
    with Connection(proxy.port) as client:
        client.send(b"set n 0 0 1\r\n0\r\n" + b"incr n 1\r\n" * 3000 + b"get n\r\n")
        assert client.line() == b"STORED\r\n"
        assert [int(client.line()) for _ in range(3000)] == list(range(1, 3001))
        assert [client.line() for _ in range(3)] == [b"VALUE n 0 4\r\n", b"3000\r\n", b"END\r\n"]


def test_a_value_may_hold_what_looks_like_a_reply(start: Start, upstream: int) -> None:
    proxy = funnel(start, upstream)
    value = b"\r\nEND\r\nSTORED\r\nVALUE x 0 1\r\n\0\xff" * 1000
    with Connection(proxy.port) as client:
        assert client.ask(b"set k 0 0 %d\r\n%b\r\n" % (len(value), value)) == b"STORED\r\n"
        assert client.value(b"k") == value


def test_a_value_of_five_megabytes_passes_both_ways(start: Start, upstream: int) -> None:
    proxy = funnel(start, upstream)
    value = bytes(range(256)) * 20_480
    with Connection(proxy.port) as client:
        assert client.ask(b"set k 0 0 %d\r\n%b\r\n" % (len(value), value)) == b"STORED\r\n"
        assert client.value(b"k") == value


def test_noreply_has_none(start: Start, upstream: int) -> None:
    proxy = funnel(start, upstream, 1)
    with Connection(proxy.port) as client:
        client.send(b"set k 0 0 1 noreply\r\n5\r\n" + b"incr k 1 noreply\r\n" * 10)
        assert client.value(b"k") == b"15"


@pytest.mark.parametrize("arguments", [(), ("--async",)])
def test_what_was_written_without_a_reply_is_there_for_the_next_request(
    start: Start, upstream: int, arguments: tuple[str, ...]
) -> None:
    proxy = funnel(start, upstream, 4, *arguments)
    with Connection(proxy.port) as client:
        for number in range(60):
            value = b"%08d" % number * 100_000  # takes memcached longer to read than a get on another connection
            client.send(b"set k 0 0 %d noreply\r\n%b\r\n" % (len(value), value))
            assert client.value(b"k") == value


def test_meta_commands_and_statistics_pass(start: Start, upstream: int) -> None:
    proxy = funnel(start, upstream)
    with Connection(proxy.port) as client:
        assert client.ask(b"ms k 2\r\nhi\r\n") == b"HD\r\n"
        assert client.ask(b"mg k v\r\n") == b"VA 2\r\n"
        assert client.line() == b"hi\r\n"
        assert client.ask(b"mn\r\n") == b"MN\r\n"
        line = client.ask(b"stats\r\n")
        while line != b"END\r\n":
            assert line.startswith(b"STAT ")
            line = client.line()
        assert client.ask(b"version\r\n").startswith(b"VERSION ")


def test_what_memcached_would_take_for_commands_is_refused(start: Start, upstream: int, direct: Connection) -> None:
    proxy = funnel(start, upstream)
    with Connection(proxy.port) as client, Connection(proxy.port) as other:
        answer = client.ask(b"set k 0 0 nonsense\r\nflush_all\r\n")
        assert b"ERROR" in answer
        assert other.ask(b"set a 0 0 1\r\n1\r\n") == b"STORED\r\n"
        assert other.value(b"a") == b"1"
    assert direct.value(b"a") == b"1"


def test_quit_ends_the_client_and_no_upstream(start: Start, upstream: int, direct: Connection) -> None:
    proxy = funnel(start, upstream, 1)
    before = connections(direct)
    for _ in range(5):
        with Connection(proxy.port) as client:
            client.send(b"version\r\nquit\r\n")
            assert client.line().startswith(b"VERSION ")
            assert client.read(1) == b""
    assert connections(direct) - before == 1
    assert outcomes(proxy, 5) == {"completed"}


def test_a_login_opens_memcached_to_nobody_else(start: Start, server: Server, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("ann:sesame-a\nbob:sesame-b\n")
    users.chmod(0o600)
    proxy = funnel(start, memcached(server, "-Y", str(users)), 3, "--memcache-auth")
    with Connection(proxy.port) as ann, Connection(proxy.port) as stranger:
        assert ann.ask(b"version\r\n") == b"CLIENT_ERROR unauthenticated\r\n"
        assert ann.ask(b"set x 0 0 9\r\nann wrong\r\n") == b"CLIENT_ERROR authentication failure\r\n"
        assert ann.ask(b"set x 0 0 12\r\nann sesame-a\r\n") == b"STORED\r\n"
        assert ann.ask(b"set k 0 0 4\r\nmine\r\n") == b"STORED\r\n"
        for _ in range(6):
            assert stranger.ask(b"get k\r\n") == b"CLIENT_ERROR unauthenticated\r\n"
        assert ann.value(b"k") == b"mine"
        with Connection(proxy.port) as bob:
            assert bob.ask(b"set x 0 0 12\r\nbob sesame-b\r\n") == b"STORED\r\n"
            assert bob.value(b"k") == b"mine"
        # The slot of bob is free once the pool has seen that he has left; until then the stranger is refused.
        answer = b"CLIENT_ERROR authentication failure\r\n"
        until(lambda: stranger.ask(b"set x 0 0 9\r\nann wrong\r\n") == answer, "a slot for the stranger")


@pytest.mark.parametrize(
    "line", ["boguscommand slkdsldkfjsd", "GET a", "get", "x", "", f"get {'k' * 251}", "delete", "touch a", "mg"]
)
def test_what_memcached_does_not_understand_is_an_error_and_the_client_goes_on(
    start: Start, upstream: int, direct: Connection, line: str
) -> None:
    proxy = funnel(start, upstream)
    with Connection(proxy.port) as client:
        for connection in (direct, client):
            assert b"ERROR" in connection.ask(line.encode() + b"\r\n")
            assert connection.ask(b"version\r\n").startswith(b"VERSION ")


def test_a_get_may_have_as_many_keys_as_memcached_takes(start: Start, upstream: int, direct: Connection) -> None:
    proxy = funnel(start, upstream)
    request = b"get k " + b" ".join(b"key-%06d" % number for number in range(50_000)) + b"\r\n"
    assert len(request) > 500_000
    with Connection(proxy.port) as client:
        assert client.ask(b"set k 0 0 5\r\nvalue\r\n") == b"STORED\r\n"
        for connection in (direct, client):
            assert connection.ask(request) == b"VALUE k 0 5\r\n"
            assert connection.read(12) == b"value\r\nEND\r\n"


def test_the_binary_protocol_is_refused_at_once(start: Start, upstream: int) -> None:
    proxy = funnel(start, upstream)
    with Connection(proxy.port) as client:
        client.send(b"\x80\x0b" + bytes(22))
        assert client.read(1) == b""
    proxy.wait_for_log("the binary protocol")
