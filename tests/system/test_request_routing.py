"""Requests that are routed, by twistd and real servers: order, split and join, workers, reload."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
from pathlib import Path

import hiredis
import pytest

from proxymux.core.redis_cluster.talk import command
from tests.system.conftest import Server, Start, free_port
from tests.system.pools import memcached, redis

pytestmark = pytest.mark.slow

CLIENTS, REQUESTS, PLACES = 50, 1000, 4

BY_DIGIT = """
def route(request):
    return f"127.0.0.1:{PORTS[request.key[0] - 48]}"
"""


class Whimsical:
    """A server that answers each line with itself, after a while or not at all: it may close its connection."""

    def __init__(self, name: str, random: random.Random) -> None:
        self.name = name
        self._random = random
        self.closed = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader()
        while data := await reader.read(1 << 16):
            parser.feed(data)
            while (words := parser.gets()) is not False:
                if self._random.random() < 0.02:
                    await asyncio.sleep(self._random.random() * 0.01)
                if self._random.random() < 0.0005:
                    self.closed += 1
                    writer.close()
                    return
                writer.write(b"+%b %b\r\n" % (self.name.encode(), words[1]))
        writer.close()


async def ask(port: int, number: int, places: list[str]) -> int:
    """One client, which sends all its requests without waiting; how many of them have failed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    chosen = random.Random(number)
    wanted = [(chosen.randrange(PLACES), b"%d:%d" % (number, at)) for at in range(REQUESTS)]

    async def send() -> None:
        for start in range(0, REQUESTS, 100):
            part = wanted[start : start + 100]
            writer.write(b"".join(command(b"GET", b"%d:%b" % (place, key)) for place, key in part))
            await writer.drain()

    sending = asyncio.ensure_future(send())
    failed = 0
    for place, key in wanted:
        line = await reader.readline()
        if line.startswith(b"-"):
            failed += 1
        else:
            assert line == b"+%b %d:%b\r\n" % (places[place].encode(), place, key)
    await sending
    writer.close()
    await writer.wait_closed()
    return failed


def test_every_reply_is_that_of_its_request_in_order(start: Start, tmp_path: Path) -> None:
    names = [f"place{number}" for number in range(PLACES)]

    async def run() -> None:
        servers = [Whimsical(name, random.Random(name)) for name in names]
        listening = [await asyncio.start_server(each.serve, "127.0.0.1", 0) for each in servers]
        ports = [each.sockets[0].getsockname()[1] for each in listening]
        router = tmp_path / "shards.py"
        router.write_text(
            f"PORTS = {ports}\ndef route(request):\n    return f'127.0.0.1:{{PORTS[request.key[0] - 48]}}'\n"
        )
        options = ["--codec", "resp", "--router", str(router), "--queue-limit", "100000"]
        loop = asyncio.get_running_loop()
        proxy = await loop.run_in_executor(
            None, lambda: start(None, f"--target=127.0.0.1:{ports[0]}", *options, service="proxymux-pool")
        )
        failed = sum(await asyncio.gather(*(ask(proxy.port, number, names) for number in range(CLIENTS))))
        closed = sum(each.closed for each in servers)
        assert closed > 5
        assert closed <= failed < CLIENTS * REQUESTS / 2
        proxy.process.terminate()
        await loop.run_in_executor(None, proxy.process.wait)
        for each in listening:
            each.close()
            await each.wait_closed()

    asyncio.run(run())


@pytest.mark.parametrize("count", [1, 3])
def test_memcached_is_split_and_joined(start: Start, server: Server, count: int) -> None:
    servers = ",".join(f"127.0.0.1:{memcached(server)}" for _ in range(count))
    cluster = f"--cluster=cache={servers};policy=ketama;hash=key"
    proxy = start(None, cluster, "--target=cache", "--codec=memcache", service="proxymux-pool")
    keys = [f"key{number}" for number in range(100)]
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        lines = client.makefile("rb")
        client.sendall(b"".join(b"set %b 0 0 %d\r\n%b\r\n" % (key.encode(), len(key), key.encode()) for key in keys))
        assert [lines.readline() for _ in keys] == [b"STORED\r\n"] * len(keys)
        client.sendall(b"get %b missing\r\n" % " ".join(keys).encode())
        for key in keys:
            assert lines.readline() == b"VALUE %b 0 %d\r\n" % (key.encode(), len(key))
            assert lines.readline() == b"%b\r\n" % key.encode()
        assert lines.readline() == b"END\r\n"
        client.sendall(b"set quiet 0 0 1 noreply\r\nq\r\nget quiet\r\n")
        assert [lines.readline() for _ in range(3)] == [b"VALUE quiet 0 1\r\n", b"q\r\n", b"END\r\n"]


def test_each_worker_has_every_key(start: Start, server: Server, tmp_path: Path) -> None:
    servers = ",".join(f"127.0.0.1:{redis(server, tmp_path)}" for _ in range(3))
    cluster = f"--cluster=cache={servers};policy=ketama"
    arguments = [cluster, "--target=cache", "--codec=resp", "--workers=2"]
    proxy = start(None, *arguments, service="proxymux-pool")
    for number in range(40):
        with socket.create_connection(("127.0.0.1", proxy.port)) as client:
            lines = client.makefile("rb")
            if number == 0:
                client.sendall(command(b"MSET", *(b"k%d" % (at // 2) for at in range(80))))
                assert lines.readline() == b"+OK\r\n"
            client.sendall(command(b"MGET", b"k%d" % number, b"k%d" % (39 - number)))
            expected = [b"*2\r\n"]
            for at in (number, 39 - number):
                expected += [b"$%d\r\n" % len(b"k%d" % at), b"k%d\r\n" % at]
            assert [lines.readline() for _ in range(5)] == expected


def test_a_router_is_read_again(start: Start, server: Server, tmp_path: Path) -> None:
    router = tmp_path / "shards.py"
    (tmp_path / "words_of_ours.py").write_text("WORD = b'+one\\r\\n'\n")
    router.write_text("import words_of_ours\ndef route(request):\n    return {'reply': words_of_ours.WORD}\n")
    arguments = [f"--target=127.0.0.1:{free_port()}", "--codec=resp", "--mode=funnel", "--router", str(router)]
    proxy = start(None, *arguments, service="proxymux-pool")

    def asked(client: socket.socket) -> bytes:
        client.sendall(b"PING\r\n")
        return client.recv(100)

    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        assert asked(client) == b"+one\r\n"
        (tmp_path / "words_of_ours.py").write_text("WORD = b'+another\\r\\n'\n")
        proxy.process.send_signal(signal.SIGHUP)
        proxy.wait_for_log("reloaded")
        assert asked(client) == b"+another\r\n"
        router.write_text("def route(request\n")
        proxy.process.send_signal(signal.SIGHUP)
        proxy.wait_for_log("not reloaded, the old one stays: --router: .*shards.py:1")
        assert asked(client) == b"+another\r\n"
