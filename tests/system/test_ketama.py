"""Ketama and modula beside nutcracker: the same keys through it and through ours come to the same servers."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import re
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from proxymux.core.balancing import make_balancer
from proxymux.core.cluster_spec import HASHES, parse_cluster
from proxymux.core.health import Health, HealthRules
from proxymux.core.member import Member, parse_entry
from tests.system.conftest import Server, free_port, need

pytestmark = pytest.mark.slow

COUNT: Final = 10_000
#: Requests that are sent before their replies are read.
PIPELINE: Final = 500
#: The 15 bits of crc32 are near the beginning of the ring.  Each of these names has a point there.
LOW_NAMES: Final = (8770, 1823, 1628, 2791, 5248, 8243, 14386, 9272, 13718, 13820)
CONFIG: Final = """\
pool:
  listen: 127.0.0.1:{port}
  redis: true
  distribution: {distribution}
  hash: {hash_name}
  timeout: 20000
"""


class Answers(asyncio.Protocol):
    """One connection of a server that answers each GET with its number."""

    def __init__(self, number: int, connections: set[asyncio.BaseTransport]) -> None:
        self._answer = b"$3\r\n%03d\r\n" % number
        self._connections = connections
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while found := re.match(rb"\*2\r\n\$3\r\nget\r\n\$(\d+)\r\n", self._buffer):
            end = found.end() + int(found[1]) + 2
            if len(self._buffer) < end:
                return
            self._buffer = self._buffer[end:]
            self._transport.write(self._answer)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self._transport)


@contextlib.contextmanager
def stand_ins(addresses: Sequence[tuple[str, int] | str]) -> Iterator[list[int]]:
    """Servers that answer with their numbers; their ports, which are 0 for Unix sockets."""
    loop = asyncio.new_event_loop()
    connections: set[asyncio.BaseTransport] = set()
    servers: list[asyncio.Server] = []

    async def serve() -> None:
        for number, address in enumerate(addresses):
            make = functools.partial(Answers, number, connections)
            if isinstance(address, str):
                servers.append(await loop.create_unix_server(make, address))
            else:
                servers.append(await loop.create_server(make, *address))

    async def end() -> None:
        for server in servers:
            server.close()
        for connection in connections:
            connection.close()
        while connections:
            await asyncio.sleep(0)

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(serve(), loop).result(30)
        names = [server.sockets[0].getsockname() for server in servers]
        yield [0 if isinstance(name, str) else name[1] for name in names]
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def servers_of(keys: Sequence[bytes], port: int) -> list[int]:
    """The numbers of the servers that nutcracker sends the keys to."""
    numbers: list[int] = []
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client, client.makefile("rb") as replies:
        for start in range(0, len(keys), PIPELINE):
            part = keys[start : start + PIPELINE]
            client.sendall(b"".join(b"*2\r\n$3\r\nget\r\n$%d\r\n%b\r\n" % (len(key), key) for key in part))
            for _ in part:
                assert replies.readline() == b"$3\r\n"
                numbers.append(int(replies.readline()))
    return numbers


def some_keys() -> list[bytes]:
    """Keys of text and of any bytes, with and without the tags that are used here."""
    draw = random.Random(13)
    keys = [b"", *(b"user:%d" % number for number in range(1, COUNT // 2))]
    keys += [draw.randbytes(draw.randrange(1, 40)) for _ in range(COUNT // 4)]
    pieces = [b"{", b"}", b"$", b"a", b"bc", b"\xff\x80", b"{}", b"0"]
    keys += [b"".join(draw.choices(pieces, k=draw.randrange(1, 9))) for _ in range(COUNT // 4)]
    return keys


class Case:
    """A cluster, as both are told of it.

    :param entries: of each member the address, in which ``PORT`` and ``FOLDER`` are filled in, the weight, and the
        name, which may be empty.
    """

    def __init__(
        self,
        entries: Sequence[tuple[str, int, str]],
        hash_name: str = "fnv1a_64",
        tag: str = "",
        distribution: str = "ketama",
    ) -> None:
        self.entries = entries
        self.distribution = distribution
        self.hash_name = hash_name
        self.tag = tag

    def with_folder(self, folder: Path) -> Case:
        """The same, with the folder filled in."""
        entries = [(address.replace("FOLDER", str(folder)), weight, name) for address, weight, name in self.entries]
        return Case(entries, self.hash_name, self.tag, self.distribution)

    def with_ports(self, ports: Sequence[int]) -> Case:
        """The same, with the ports filled in."""
        pairs = zip(self.entries, ports, strict=True)
        entries = [(address.replace("PORT", str(port)), weight, name) for (address, weight, name), port in pairs]
        return Case(entries, self.hash_name, self.tag, self.distribution)

    def addresses(self) -> list[tuple[str, int] | str]:
        """Where the servers listen."""
        found: list[tuple[str, int] | str] = []
        for address, _, _ in self.entries:
            host, _, port = address.rpartition(":")
            number = 0 if port == "PORT" else port
            found.append(port if host == "unix" else (host.strip("[]"), int(number)))
        return found

    def config(self, port: int) -> str:
        """The configuration of nutcracker."""
        text = CONFIG.format(port=port, distribution=self.distribution, hash_name=self.hash_name)
        if self.tag:
            text += f'  hash_tag: "{self.tag}"\n'
        text += "  servers:\n"
        for address, weight, name in self.entries:
            text += f"   - {re.sub('^unix:|[][]', '', address)}:{weight} {name}".rstrip() + "\n"
        return text

    def ours(self, keys: Sequence[bytes]) -> list[int]:
        """The numbers of the members that we choose."""
        texts = [
            f"{address} weight={weight}" + (f" name={name}" if name else "") for address, weight, name in self.entries
        ]
        members = [Member(parse_entry(text), 1, Health(HealthRules()), 0.0) for text in texts]
        options = f"policy={self.distribution};hash={self.hash_name}" + (f";hash_tag={self.tag}" if self.tag else "")
        balancer = make_balancer(parse_cluster(f"c=127.0.0.1:1;{options}"), lambda: 0.0)
        balancer.update(members, members)
        numbers = {member: number for number, member in enumerate(members)}
        chosen = [balancer.choose(key, None) for key in keys]
        return [numbers[member] for member in chosen if member is not None]


def named(count: int) -> list[tuple[str, int, str]]:
    return [("127.0.0.1:PORT", 1, f"shard{number}") for number in range(count)]


WEIGHTED: Final = [("127.0.0.1:PORT", weight, "") for weight in (1, 1, 3, 7, 65535, 16777, 3, 999, 40000, 5)]
LOW: Final = [("127.0.0.1:PORT", 1, f"n{number}") for number in LOW_NAMES]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(Case(named(10)), id="fnv1a_64"),
        pytest.param(Case(named(10), "md5"), id="md5"),
        pytest.param(Case(LOW, "crc32"), id="crc32"),
        *[pytest.param(Case(named(10), name), id=name) for name in HASHES if name not in ("fnv1a_64", "md5", "crc32")],
        pytest.param(Case(WEIGHTED), id="weights, and labels with ports"),
        pytest.param(Case(named(7), tag="{}"), id="tag"),
        pytest.param(Case(named(7), "md5", tag="$$"), id="tag of the same two characters"),
        pytest.param(Case(named(47)), id="47 equal ones have 156 points each"),
        pytest.param(Case([*named(1), ("127.0.0.1:11211", 2, "")]), id="label without a port"),
        pytest.param(Case([*named(2), ("unix:FOLDER/socket", 1, "")]), id="label of a Unix socket"),
        pytest.param(Case([*named(2), ("[::1]:PORT", 1, "")]), id="label of IPv6"),
        pytest.param(Case(named(12), distribution="modula"), id="modula, sorted names"),
        pytest.param(Case(named(7), "crc32", tag="{}", distribution="modula"), id="modula, crc32, tag"),
        pytest.param(Case(WEIGHTED, "murmur", distribution="modula"), id="modula, weights, and labels with ports"),
    ],
)
def test_ten_thousand_keys_come_to_the_servers_of_nutcracker(case: Case, server: Server, tmp_path: Path) -> None:
    nutcracker = need("nutcracker")
    case = case.with_folder(tmp_path)
    keys = some_keys()
    with ExitStack() as stack:
        try:
            case = case.with_ports(stack.enter_context(stand_ins(case.addresses())))
        except OSError as error:
            pytest.skip(f"an address that has to be this one cannot be had: {error}")
        port = free_port()
        config = tmp_path / "nutcracker.yml"
        config.write_text(case.config(port))
        options = ["-c", str(config), "-a", "127.0.0.1", "-s", str(free_port()), "-p", str(tmp_path / "pid")]
        server(nutcracker, *options, "-o", str(tmp_path / "nutcracker.log"), port=port)
        theirs = servers_of(keys, port)
    assert case.ours(keys) == theirs
    assert len(set(theirs)) > 1  # the keys tell the servers apart
