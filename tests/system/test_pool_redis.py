"""The pool with codec resp in front of a Redis, and Redis's own programs in front of the pool."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hiredis
import pytest

from tests.conftest import until
from tests.system.conftest import Server, Start, Twistd, need
from tests.system.pools import outcomes, pool, redis, run

pytestmark = pytest.mark.slow  # all of it takes long, and each of it is tested in pieces, too

MODES = [("1",), ("4",), ("4", "--async")]


def packed(words: tuple[str | bytes, ...]) -> bytes:
    """A command as an array of bulk strings."""
    parts = [word.encode() if isinstance(word, str) else word for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


class Connection:
    """A client of Redis that sees every reply; an error is a value."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._reader = hiredis.Reader()

    def send(self, *commands: tuple[str | bytes, ...]) -> None:
        self._socket.sendall(b"".join(map(packed, commands)))

    def read(self) -> Any:
        while (value := self._reader.gets()) is False:
            data = self._socket.recv(1 << 16)
            assert data, "the connection ended"
            self._reader.feed(data)
        return value

    def ask(self, *command: str | bytes) -> Any:
        self.send(command)
        return self.read()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


@pytest.fixture
def upstream(server: Server, tmp_path: Path) -> int:
    return redis(server, tmp_path)


@pytest.fixture
def direct(upstream: int) -> Iterator[Connection]:
    with Connection(upstream) as connection:
        yield connection


def statistic(direct: Connection, name: str) -> int:
    found = re.search(rf"^{name}:(\d+)", direct.ask("INFO").decode(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def funnel(start: Start, upstream: int, count: int = 4, *arguments: str) -> Twistd:
    return pool(start, upstream, count, "--codec", "resp", *arguments)


@pytest.mark.parametrize("depth", [pytest.param("1", marks=pytest.mark.slow), "16"])
@pytest.mark.parametrize("mode", MODES)
def test_redis_benchmark_is_answered_in_every_mode(
    start: Start, upstream: int, direct: Connection, mode: tuple[str, ...], depth: str
) -> None:
    proxy = funnel(start, upstream, int(mode[0]), *mode[1:])
    before = statistic(direct, "total_connections_received")
    load = ["-c", "20", "-n", "4000", "-P", depth, "-t", "set,get,incr,lpush,lrange_100,mset", "--csv"]
    out = run("redis-benchmark", "-h", "127.0.0.1", "-p", str(proxy.port), *load)
    assert len(re.findall(r'^"[A-Z]', out, re.MULTILINE)) == 7, out
    assert statistic(direct, "total_connections_received") - before <= int(mode[0])
    assert direct.ask("GET", "counter:__rand_int__") == b"4000"
    assert outcomes(proxy, 100) == {"completed"}


@pytest.mark.parametrize("mode", MODES)
def test_replies_of_a_pipeline_come_in_its_order(start: Start, upstream: int, mode: tuple[str, ...]) -> None:
    proxy = funnel(start, upstream, int(mode[0]), *mode[1:])
    with Connection(proxy.port) as one, Connection(proxy.port) as two:
        for connection in (one, two):
            connection.send(*(("ECHO", f"{id(connection)} {number}") for number in range(5000)))
        for connection in (two, one):
            assert [connection.read() for _ in range(5000)] == [
                f"{id(connection)} {number}".encode() for number in range(5000)
            ]


def test_values_of_ten_megabytes_pass_both_ways(start: Start, upstream: int) -> None:
    proxy = funnel(start, upstream)
    value = bytes(range(256)) * 40_000
    with Connection(proxy.port) as connection:
        assert connection.ask("SET", "large", value) == b"OK"
        assert connection.ask("GET", "large") == value


def test_a_transaction_in_redis_cli_has_an_upstream_of_its_own(start: Start, upstream: int) -> None:
    proxy = funnel(start, upstream)
    given = b"MULTI\nSET k 1\nINCR k\nEXEC\nGET k\n"
    out = run("redis-cli", "-p", str(proxy.port), given=given)
    assert out.split() == ["OK", "QUEUED", "QUEUED", "OK", "2", "2"]


def test_two_transactions_at_once_do_not_mix(start: Start, upstream: int) -> None:
    proxy = funnel(start, upstream)
    with Connection(proxy.port) as one, Connection(proxy.port) as two, Connection(proxy.port) as other:
        for connection in (one, two):
            connection.ask("MULTI")
        for _ in range(10):
            one.ask("INCR", "a")
            two.ask("INCR", "b")
        assert other.ask("GET", "a") is None
        assert (one.ask("EXEC"), two.ask("DISCARD")) == (list(range(1, 11)), b"OK")
        assert (other.ask("GET", "a"), other.ask("GET", "b")) == (b"10", None)


def test_fifo_refuses_a_transaction_as_a_whole_and_goes_on(start: Start, upstream: int) -> None:
    proxy = funnel(start, upstream, 1)
    with Connection(proxy.port) as connection:
        connection.send(("SET", "k", "1"), ("MULTI",), ("INCR", "k"), ("INCR", "k"), ("EXEC",), ("GET", "k"))
        assert connection.read() == b"OK"
        assert "upstream of its own" in str(connection.read())
        assert ["refused" in str(connection.read()) for _ in range(2)] == [True, True]
        assert "EXECABORT" in str(connection.read())
        assert connection.read() == b"1"
    assert proxy.records(1)[0]["reason"] == "MULTI needs an upstream of its own, and there is none to spare"


def test_the_last_upstream_is_not_given_away(start: Start, upstream: int) -> None:
    proxy = funnel(start, upstream, 2)
    with Connection(proxy.port) as one, Connection(proxy.port) as two:
        assert one.ask("MULTI") == b"OK"
        assert "none to spare" in str(two.ask("MONITOR"))
        assert two.ask("ECHO", "still here") == b"still here"


def test_a_subscriber_in_redis_cli_hears_what_another_publishes(start: Start, upstream: int, tmp_path: Path) -> None:
    proxy = funnel(start, upstream)
    heard = tmp_path / "heard"
    with open(heard, "wb") as out:
        command = [need("redis-cli"), "-p", str(proxy.port), "--csv", "SUBSCRIBE", "news"]
        subscriber = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out)
    try:
        until(lambda: b'"subscribe","news",1' in heard.read_bytes(), "the subscription")
        with Connection(proxy.port) as connection:
            for number in range(100):
                assert connection.ask("PUBLISH", "news", f"number {number}") == 1
                assert connection.ask("ECHO", f"{number}") == str(number).encode()
        until(lambda: b"number 99" in heard.read_bytes(), "the last of the news")
        assert re.findall(rb"number (\d+)", heard.read_bytes()) == [b"%d" % number for number in range(100)]
    finally:
        subscriber.terminate()
        subscriber.wait()
    assert outcomes(proxy, 2) <= {"completed", "client_aborted"}


def test_what_a_subscriber_had_is_there_for_others_when_it_has_left(
    start: Start, upstream: int, direct: Connection
) -> None:
    proxy = funnel(start, upstream, 2)
    for _ in range(5):
        with Connection(proxy.port) as subscriber:
            assert subscriber.ask("SUBSCRIBE", "news")[0] == b"subscribe"
        until(lambda: direct.ask("PUBSUB", "NUMSUB", "news") == [b"news", 0], "it to have left")
    assert outcomes(proxy, 5) == {"completed"}


def test_who_waits_for_a_list_makes_nobody_else_wait(start: Start, upstream: int) -> None:
    proxy = funnel(start, upstream, 3)
    with Connection(proxy.port) as waits, Connection(proxy.port) as waits_too, Connection(proxy.port) as other:
        for connection in (waits, waits_too):
            connection.send(("BLPOP", "queue", "0"))
        for number in range(100):
            assert other.ask("ECHO", str(number)) == str(number).encode()
        other.send(("RPUSH", "queue", "a", "b"))
        assert sorted(each.read()[1] for each in (waits, waits_too)) == [b"a", b"b"]


def test_a_password_opens_an_upstream_to_its_client_alone(start: Start, server: Server, tmp_path: Path) -> None:
    proxy = funnel(start, redis(server, tmp_path, "--requirepass", "open sesame"))
    with Connection(proxy.port) as knows, Connection(proxy.port) as does_not:
        assert "NOAUTH" in str(does_not.ask("GET", "k"))
        assert knows.ask("AUTH", "open sesame") == b"OK"
        assert knows.ask("SET", "k", "v") == b"OK"
        for _ in range(20):
            assert "NOAUTH" in str(does_not.ask("GET", "k"))
    for _ in range(20):
        with Connection(proxy.port) as another:
            assert "NOAUTH" in str(another.ask("GET", "k"))
    answer = run("redis-cli", "-p", str(proxy.port), "--no-auth-warning", "-a", "open sesame", "GET", "k")
    assert answer == "v\n"


def test_a_chosen_database_is_one_clients_alone(start: Start, upstream: int) -> None:
    proxy = funnel(start, upstream)
    with Connection(proxy.port) as one, Connection(proxy.port) as two:
        assert one.ask("SELECT", "5") == b"OK"
        assert one.ask("SET", "k", "in 5") == b"OK"
        assert [two.ask("GET", "k") for _ in range(20)] == [None] * 20
    with Connection(proxy.port) as three:
        assert [three.ask("GET", "k") for _ in range(20)] == [None] * 20


def test_quit_is_answered_and_closes_nobody_elses_upstream(start: Start, upstream: int, direct: Connection) -> None:
    proxy = funnel(start, upstream, 1)
    before = statistic(direct, "total_connections_received")
    for _ in range(10):
        with Connection(proxy.port) as connection:
            connection.send(("ECHO", "a"), ("QUIT",))
            assert (connection.read(), connection.read()) == (b"a", b"OK")
            assert connection._socket.recv(1) == b""
    assert statistic(direct, "total_connections_received") - before == 1
    assert outcomes(proxy, 10) == {"completed"}


def test_a_redis_that_is_away_is_told_of_at_once_and_found_when_it_is_back(
    start: Start, server: Server, tmp_path: Path
) -> None:
    port = redis(server, tmp_path)
    proxy = funnel(start, port)
    with Connection(proxy.port) as connection, Connection(port) as direct:
        assert connection.ask("PING") == b"PONG"
        direct.send(("SHUTDOWN", "NOSAVE"))
        with pytest.raises(AssertionError, match="the connection ended"):
            direct.read()
    with Connection(proxy.port) as connection:
        assert "no target can be connected to" in str(connection.ask("PING"))
    redis(server, tmp_path, port=port)

    def is_back() -> bool:
        with Connection(proxy.port) as connection:
            return bool(connection.ask("ECHO", "back") == b"back")

    until(is_back, "an answer", 5)
    assert outcomes(proxy, 3) == {"completed", "unreachable"}


def test_the_state_is_told_in_pgbouncers_words_at_hup(start: Start, upstream: int) -> None:
    proxy = funnel(start, upstream, 3)
    with Connection(proxy.port) as waits, Connection(proxy.port) as other:
        waits.send(("BLPOP", "queue", "0"))
        assert other.ask("ECHO", "a") == b"a"
        proxy.signal(signal.SIGHUP)
        found = proxy.wait_for_log(r"statistics: (cl_active .*)")
        words = found[1].split()
        state = dict(zip(words[::2], map(float, words[1::2]), strict=True))
        assert state.keys() == {"cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_login", "maxwait"}
        assert (state["cl_active"], state["cl_waiting"], state["sv_active"]) == (2, 0, 1)
