"""Requests for many keys in parts, on real servers: the joined replies are those of one server that has all keys."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from proxymux.core.balancing import Balancer, make_balancer
from proxymux.core.cluster_spec import parse_cluster
from proxymux.core.codecs import Codec, ReplyScanner, make_codec
from proxymux.core.codecs.resp.words import array_of
from proxymux.core.health import Health, HealthRules
from proxymux.core.member import Member, parse_entry
from tests.system.conftest import Server, free_port, need
from tests.system.pools import memcached, redis

pytestmark = pytest.mark.slow

SHARDS: Final = 8
NUTCRACKER: Final = """\
pool:
  listen: 127.0.0.1:{port}
  redis: {is_redis}
  distribution: ketama
  hash: fnv1a_64
  hash_tag: "{{}}"
  timeout: 20000
  servers:
"""
KEYS: Final = [b"user:%d" % number for number in range(700)] + [b"{tag}%d" % number for number in range(300)]


class Peer:
    """A connection to a server."""

    def __init__(self, codec: Codec, port: int) -> None:
        self._codec = codec
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)

    def ask(self, data: bytes) -> bytes:
        """The whole reply to a whole request."""
        requests = self._codec.requests().feed(data)
        assert [request.end for request in requests] == [len(data)], "no whole request"
        scanner: ReplyScanner = self._codec.replies()
        scanner.expect(requests[0].hint)
        self._socket.sendall(data)
        reply = b""
        while True:
            came = self._socket.recv(1 << 20)
            assert came, "the server has closed"
            reply += came
            if scanner.feed(came):
                return reply

    def close(self) -> None:
        self._socket.close()


class Sharded:
    """The same over several servers, each key where ketama places it."""

    def __init__(self, codec: Codec, ports: Sequence[int]) -> None:
        self._codec = codec
        texts = [f"127.0.0.1:{port} name=shard{number}" for number, port in enumerate(ports)]
        members = [Member(parse_entry(text), 1, Health(HealthRules()), 0.0) for text in texts]
        spec = "c=127.0.0.1:1;policy=ketama;hash=fnv1a_64;hash_tag={}"
        self._balancer: Balancer = make_balancer(parse_cluster(spec), lambda: 0.0)
        self._balancer.update(members, members)
        self.peers = {member: Peer(codec, port) for member, port in zip(members, ports, strict=True)}
        self._order = random.Random(3)

    def ask(self, data: bytes) -> bytes:
        key = self._codec.key_of(data)
        view = self._codec.view(data)
        places = [self._balancer.choose(each, None) for each in ((key,) if key is not None else view.keys)]
        if not view.can_split:
            assert places[0] is not None
            return self.peers[places[0]].ask(data)
        split = view.split(places)
        numbers = list(range(len(split.parts)))
        self._order.shuffle(numbers)
        for number in numbers:
            part = split.parts[number]
            assert isinstance(part.place, Member)
            split.add(number, self.peers[part.place].ask(part.data))
        assert split.is_whole
        return split.reply()


Start = Callable[[int], list[int]]


@pytest.fixture
def start(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> Start:
    """Start so many servers of a kind; their ports."""

    def start_servers(count: int) -> list[int]:
        is_redis = request.param == "resp"
        return [redis(server, tmp_path) if is_redis else memcached(server) for _ in range(count)]

    return start_servers


def nutcracker(server: Server, folder: Path, is_redis: bool, ports: Sequence[int]) -> int:
    port = free_port()
    config = folder / "nutcracker.yml"
    lines = "".join(f"   - 127.0.0.1:{each}:1 shard{number}\n" for number, each in enumerate(ports))
    config.write_text(NUTCRACKER.format(port=port, is_redis=str(is_redis).lower()) + lines)
    options = ["-c", str(config), "-a", "127.0.0.1", "-s", str(free_port()), "-p", str(folder / "pid")]
    server(need("nutcracker"), *options, "-o", str(folder / "nutcracker.log"), port=port)
    return port


def redis_requests() -> Iterator[bytes]:
    draw = random.Random(5)
    half = draw.sample(KEYS, 500)
    yield array_of([b"MSET", *[word for key in half for word in (key, b"\r\n" + key)]])
    yield array_of([b"mget", *KEYS])
    yield array_of([b"MGET", *draw.choices(KEYS, k=50)])
    yield array_of([b"EXISTS", *half[:9], *half[:3]])
    yield array_of([b"TOUCH", *KEYS[:99]])
    yield array_of([b"SET", b"user:1", b"x" * 100_000])
    yield array_of([b"LPUSH", b"list", b"a"])
    yield array_of([b"MGET", b"list", b"user:1", b"user:2", b"user:1"])
    yield array_of([b"DEL", *half[:99], *half[:99]])
    yield array_of([b"UNLINK", *half[90:110]])
    yield b"mget user:1 user:2\r\n"
    yield array_of([b"MGET", *KEYS])


def memcached_requests() -> Iterator[bytes]:
    draw = random.Random(6)
    for number, key in enumerate(draw.sample(KEYS, 200)):
        yield b"set %b %d 0 %d\r\nEND\r\n%b\r\n" % (key, number, len(key) + 5, key)
    yield b"set user:1 0 0 100000\r\n%b\r\n" % (b"x" * 100_000)
    yield b"get " + b" ".join(KEYS) + b"\r\n"
    yield b"get " + b" ".join(draw.choices(KEYS, k=50)) + b"\r\n"
    yield b"delete user:1\r\n"
    yield b"gat 0 " + b" ".join(KEYS[:100]) + b"\r\n"
    yield b"get user:1 user:2\n"


CASES: Final = [("resp", "resp", redis_requests), ("memcache", "memcache", memcached_requests)]


@pytest.mark.parametrize(("start", "codec", "requests"), CASES, indirect=["start"])
def test_the_parts_together_answer_as_one_server_does(
    start: Start, codec: str, requests: Callable[[], Iterator[bytes]]
) -> None:
    made = make_codec(codec)
    with ExitStack() as stack:
        one = Peer(made, start(1)[0])
        sharded = Sharded(made, start(SHARDS))
        for peer in (one, *sharded.peers.values()):
            stack.callback(peer.close)
        for version in (2, 3) if codec == "resp" else (0,):
            if version == 3:
                for peer in (one, *sharded.peers.values()):
                    assert peer.ask(array_of([b"HELLO", b"3"])).startswith(b"%")
                    peer.ask(array_of([b"FLUSHALL"]))
            for request in requests():
                assert sharded.ask(request) == one.ask(request), request[:60]


@pytest.mark.parametrize(("start", "codec", "requests"), CASES, indirect=["start"])
def test_nutcracker_says_the_same(
    start: Start, codec: str, requests: Callable[[], Iterator[bytes]], server: Server, tmp_path: Path
) -> None:
    made = make_codec(codec)
    ports = start(SHARDS)
    theirs = Peer(made, nutcracker(server, tmp_path, codec == "resp", ports))
    ours = Sharded(made, ports)
    with ExitStack() as stack:
        for peer in (theirs, *ours.peers.values()):
            stack.callback(peer.close)
        if codec == "resp":
            assert theirs.ask(array_of([b"MSET", *[word for key in KEYS for word in (key, b"v" + key)]])) == b"+OK\r\n"
            request = array_of([b"MGET", *KEYS, b"none"])
        else:
            for key in KEYS:
                assert theirs.ask(b"set %b 0 0 1\r\nv\r\n" % key) == b"STORED\r\n"
            request = b"get " + b" ".join(KEYS) + b"\r\n"
        reply = ours.ask(request)
        assert reply == theirs.ask(request)
        assert reply.count(b"v") >= len(KEYS)


@pytest.mark.parametrize("start", ["resp"], indirect=True)
def test_the_error_of_one_server_is_the_reply(start: Start) -> None:
    made = make_codec("resp")
    ports = start(2)
    sharded = Sharded(made, ports)
    for peer in sharded.peers.values():
        peer.ask(array_of([b"FLUSHALL"]))
    full = next(iter(sharded.peers.values()))
    full.ask(array_of([b"CONFIG", b"SET", b"maxmemory", b"1"]))
    reply = sharded.ask(array_of([b"MSET", *[word for key in KEYS[:20] for word in (key, b"v")]]))
    assert reply.startswith(b"-OOM ")
    for peer in sharded.peers.values():
        peer.close()
