"""The pool in front of a Redis, and redis-py with its defaults in front of the pool: many clients on few slots."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.system.conftest import Server, Start, Twistd
from tests.system.pools import pool, redis
from tests.system.test_pool_redis import Connection

MODES = [("1", "--mode", "fifo"), ("4", "--mode", "funnel"), ("4", "--mode", "funnel", "--async")]
modes = pytest.mark.parametrize("mode", MODES, ids=lambda mode: " ".join(mode[2:]))


def proxied(start: Start, upstream: int, mode: tuple[str, ...], *arguments: str) -> Twistd:
    return pool(start, upstream, int(mode[0]), "--codec", "resp", *mode[1:], *arguments)


def failures(count: int, work: Callable[[int], None]) -> list[str]:
    """What went wrong in so many threads that do the same at once."""
    found: list[str] = []

    def run(number: int) -> None:
        try:
            work(number)
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return found


def client(port: int, **options: Any) -> Any:
    # No retries: what fails once would not be seen.
    return redis_py.Redis(port=port, retry=Retry(NoBackoff(), 0), **options)


def uses(port: int, **options: Any) -> Callable[[int], None]:
    """Work of one thread: values whose types differ between the versions of the protocol."""

    def work(number: int) -> None:
        with client(port, **options) as connection:
            for turn in range(20):
                key = f"{number}:{turn}"
                assert connection.hset(key, mapping={"a": key, "b": "2"}) == 2
                assert connection.hgetall(key) == {b"a": key.encode(), b"b": b"2"}
                assert connection.zadd(f"z{key}", {"one": 1.5}) == 1
                assert connection.zscore(f"z{key}", "one") == 1.5
                assert connection.get(f"none {key}") is None
                assert connection.config_get("maxmemory") == {"maxmemory": "0"}

    return work


@pytest.mark.slow
@modes
def test_forty_of_its_defaults_share_a_few_slots(
    start: Start, server: Server, tmp_path: Path, mode: tuple[str, ...]
) -> None:
    upstream = redis(server, tmp_path)
    proxy = proxied(start, upstream, mode)
    assert failures(40, uses(proxy.port)) == []
    with Connection(upstream) as direct:
        connected = direct.ask("INFO", "clients").decode().split("connected_clients:")[1].split()[0]
        assert int(connected) <= int(mode[0]) + 1
        assert "name=\r\n" not in direct.ask("CLIENT", "LIST").decode()
    assert {(each["outcome"], each["reason"]) for each in proxy.records(40)} == {("completed", None)}
    assert "warn" not in proxy.log()


@pytest.mark.slow
@modes
def test_clients_of_both_versions_share_a_few_slots(
    start: Start, server: Server, tmp_path: Path, mode: tuple[str, ...]
) -> None:
    proxy = proxied(start, redis(server, tmp_path), mode)
    both = [uses(proxy.port, protocol=version) for version in (2, 3)]
    assert failures(40, lambda number: both[number % 2](number)) == []


@pytest.mark.slow
@modes
def test_who_logs_in_at_the_pool_shares_and_who_does_not_is_not_served(
    start: Start, server: Server, tmp_path: Path, mode: tuple[str, ...]
) -> None:
    upstream = redis(server, tmp_path, "--requirepass", "open sesame")
    users = tmp_path / "users"
    users.write_text("upstream default open sesame\nclient app only for the pool\nclient default another\n")
    proxy = proxied(start, upstream, mode, "--auth-file", str(users), "--database", "3")
    logins: list[dict[str, Any]] = [
        {"username": "app", "password": "only for the pool", "db": 3, "client_name": "app"},
        {"username": "app", "password": "only for the pool", "protocol": 2},
        {"password": "another", "db": 3},
        {"password": "another", "protocol": 2, "db": 3},
    ]
    work = [uses(proxy.port, **login) for login in logins]
    assert failures(40, lambda number: work[number % 4](number)) == []
    for login in ({}, {"protocol": 2}):
        with client(proxy.port, **login) as nobody, pytest.raises(redis_py.AuthenticationError):
            nobody.get("a")
    with client(proxy.port, password="open sesame") as wrong, pytest.raises(redis_py.AuthenticationError):
        wrong.get("a")
    with client(upstream, password="open sesame") as direct:
        assert direct.info("keyspace").keys() == {"db3"}
    assert all(secret not in proxy.log() for secret in ("sesame", "only for", "another"))


@pytest.mark.slow
def test_a_pipeline_of_its_defaults_is_done_whole_or_not_at_all(start: Start, server: Server, tmp_path: Path) -> None:
    upstream = redis(server, tmp_path)
    for mode, done in ((MODES[0], None), (MODES[1], b"2")):
        proxy = proxied(start, upstream, mode)
        with client(proxy.port) as connection:
            pipeline = connection.pipeline().incr("counter").incr("counter")
            if done is None:
                with pytest.raises(redis_py.ResponseError, match="upstream of its own"):
                    pipeline.execute()
            else:
                assert pipeline.execute() == [1, 2]
            assert connection.get("counter") == done


@pytest.mark.slow
def test_its_subscribers_hear_in_their_version(start: Start, server: Server, tmp_path: Path) -> None:
    proxy = proxied(start, redis(server, tmp_path), MODES[1])
    for protocol in (2, 3):
        with client(proxy.port, protocol=protocol) as connection, connection.pubsub() as subscriber:
            subscriber.subscribe("news")
            assert subscriber.get_message(timeout=10)["type"] == "subscribe"
            assert connection.publish("news", "one") == 1
            assert subscriber.get_message(timeout=10)["data"] == b"one"


@pytest.mark.slow
def test_another_database_is_refused_in_words_where_there_is_no_slot_for_it(
    start: Start, server: Server, tmp_path: Path
) -> None:
    proxy = proxied(start, redis(server, tmp_path), MODES[0])
    with client(proxy.port, db=5) as connection, pytest.raises(redis_py.RedisError, match="clients share database 0"):
        connection.set("k", "v")
    [record] = [each for each in proxy.records(1) if each["reason"]]
    assert (record["outcome"], record["reason"].partition(" ")[0]) == ("protocol_error", "SELECT")
