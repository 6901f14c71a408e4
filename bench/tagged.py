"""Clients whose every 16 bytes say whose they are, and servers that look at them.

    python bench/tagged.py PORT CODEC

is a server.  It looks at every byte of each request, and answers with bytes that belong to this one request only.
"""

from __future__ import annotations

import asyncio
import random
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import repeat
from typing import Final

#: Client, number of its request, bytes of the reply, bytes of the request.
_HEAD: Final = struct.Struct(">IIII")
_BLOCK: Final = 16
_LIMIT: Final = 1 << 24


class Wrong(Exception):
    """Bytes that are not those that have to be."""


class Failed(Exception):
    """No reply: the connection ended, or the proxy said that there is none."""


@lru_cache(4)
def _indices(count: int) -> list[bytes]:
    return [number.to_bytes(8, "big") for number in range(count)]


def blocks(way: int, client: int, number: int, size: int) -> bytes:
    """The bytes of one message: each block has the way (0 or 1), the client, the request and the block's own number."""
    owner = (way << 63 | client << 32 | number).to_bytes(8, "big")
    count = -(-size // _BLOCK)
    indices = _indices(1 << max(12, count.bit_length()))[:count]
    return b"".join(part for pair in zip(repeat(owner), indices) for part in pair)[:size]


def request(client: int, number: int, size: int, reply: int) -> bytes:
    """A request of ``size`` bytes after its head that wants ``reply`` bytes."""
    return _HEAD.pack(client, number, reply, size) + blocks(0, client, number, size)


def answer(payload: bytes) -> bytes:
    """What is answered to a request."""
    try:
        client, number, reply, size = _HEAD.unpack_from(payload)
        if payload[_HEAD.size :] == blocks(0, client, number, size):
            return blocks(1, client, number, reply)
    except (struct.error, MemoryError, OverflowError):
        pass
    return b"a request with wrong bytes: " + payload[:64]


# Protocols.  Each packs a request and a reply, and reads one of either from a stream.


class Length:
    """``length:4``."""

    def pack(self, payload: bytes) -> bytes:
        return len(payload).to_bytes(4, "big") + payload

    pack_reply = pack

    async def read(self, stream: asyncio.StreamReader) -> bytes:
        size = int.from_bytes(await stream.readexactly(4), "big")
        if size > _LIMIT:
            raise Wrong(f"a message of {size} bytes")
        return await stream.readexactly(size)

    read_reply = read


class Resp:
    """``resp``: ECHO."""

    def pack(self, payload: bytes) -> bytes:
        return b"*2\r\n$4\r\nECHO\r\n" + self.pack_reply(payload)

    def pack_reply(self, payload: bytes) -> bytes:
        return b"$%d\r\n%b\r\n" % (len(payload), payload)

    async def read(self, stream: asyncio.StreamReader) -> bytes:
        if await stream.readexactly(14) != b"*2\r\n$4\r\nECHO\r\n":
            raise Wrong("no ECHO")
        return await self.read_reply(stream)

    async def read_reply(self, stream: asyncio.StreamReader) -> bytes:
        line = await stream.readuntil(b"\r\n")
        if line[:1] == b"-":
            raise Failed(line.decode().strip())
        size = int(line[1:]) if line[:1] == b"$" else _LIMIT + 1
        if size > _LIMIT:
            raise Wrong(f"{line!r}")
        return (await stream.readexactly(size + 2))[:-2]


class Http:
    """``http``: POST; every other reply is chunked."""

    def __init__(self) -> None:
        self._is_odd = False

    def pack(self, payload: bytes) -> bytes:
        return b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(payload), len(payload), payload)

    def pack_reply(self, payload: bytes) -> bytes:
        self._is_odd = not self._is_odd
        if self._is_odd and payload:
            middle = len(payload) // 2 or 1
            parts = [part for part in (payload[:middle], payload[middle:]) if part]
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
            return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % chunks
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(payload), payload)

    async def read(self, stream: asyncio.StreamReader) -> bytes:
        head = (await stream.readuntil(b"\r\n\r\n")).lower()
        if b"transfer-encoding: chunked" in head:
            payload = b""
            while size := int(await stream.readuntil(b"\r\n"), 16):
                payload += (await stream.readexactly(size + 2))[:-2]
            await stream.readexactly(2)
        else:
            _, _, text = head.partition(b"content-length: ")
            payload = await stream.readexactly(int(text.partition(b"\r")[0]))
        if head.startswith(b"http/1.1 503"):
            raise Failed(payload.decode().strip())
        if head.startswith(b"http/") and not head.startswith(b"http/1.1 200"):
            raise Wrong(f"{head!r} {payload!r}")
        return payload

    read_reply = read


Codec = Length | Resp | Http
CODECS: Final[dict[str, Callable[[], Codec]]] = {"length:4": Length, "resp": Resp, "http": Http}


# The server


def _say(word: str) -> None:
    print(word, time.monotonic(), flush=True)


class Server:
    """Answers the requests of each connection in their order, now and then a little later than it could."""

    def __init__(self, codec: str, seed: int) -> None:
        self._codec = codec
        self._random = random.Random(seed)
        self._is_new = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        codec = CODECS[self._codec]()
        try:
            while True:
                payload = await codec.read(reader)
                if self._random.random() < 0.1:
                    await asyncio.sleep(self._random.random() * 0.005)
                writer.write(codec.pack_reply(answer(payload)))
                await writer.drain()
                if self._is_new:
                    self._is_new = False
                    _say("answered")
        except (asyncio.IncompleteReadError, OSError):
            pass
        except (Wrong, ValueError, asyncio.LimitOverrunError) as error:
            writer.write(b"a request that is none: " + repr(error).encode())
        finally:
            writer.close()


async def _serve(port: int, codec: str) -> None:
    server = await asyncio.start_server(Server(codec, port).serve, "127.0.0.1", port, limit=1 << 20, backlog=1024)
    _say("listens")
    await server.serve_forever()


# The client


@dataclass
class Plan:
    """What one client asks on one connection.

    :param sizes: bytes of each request and of its reply.
    :param depth: requests that may be without a reply.
    """

    client: int
    first: int
    sizes: Sequence[tuple[int, int]]
    depth: int = 1


@dataclass
class Result:
    """What came of it.

    :param good: requests that were answered rightly.
    :param port: the client's own, by which the access log knows it.
    :param failure: why it ended too early, or None.
    """

    good: int = 0
    port: int = 0
    failure: str | None = None
    waits: list[float] = field(default_factory=list)


async def ask(port: int, codec: str, plan: Plan) -> Result:
    """Ask, look at every byte of the replies, and leave.

    :raises Wrong: at the first byte that is not right.
    """
    result = Result()
    protocol = CODECS[codec]()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    except OSError as error:
        result.failure = f"not connected: {error}"
        return result
    result.port = writer.get_extra_info("sockname")[1]
    room = asyncio.Semaphore(plan.depth)
    sending = asyncio.ensure_future(_send(writer, protocol, plan, room))
    try:
        for number, (_, size) in enumerate(plan.sizes, plan.first):
            began = time.monotonic()
            payload = await protocol.read_reply(reader)
            if payload != blocks(1, plan.client, number, size):
                raise Wrong(_difference(payload, plan.client, number, size))
            result.waits.append(time.monotonic() - began)
            result.good += 1
            room.release()
        await sending
    except (Failed, OSError, asyncio.IncompleteReadError) as error:
        result.failure = f"{type(error).__name__}: {error}"
    finally:
        sending.cancel()
        await _quietly(sending)
        writer.close()
        await _quietly(writer.wait_closed())
    return result


async def _send(writer: asyncio.StreamWriter, protocol: Codec, plan: Plan, room: asyncio.Semaphore) -> None:
    for number, (size, reply) in enumerate(plan.sizes, plan.first):
        await room.acquire()
        writer.write(protocol.pack(request(plan.client, number, size, reply)))
        await writer.drain()


async def _quietly(awaitable: Awaitable[object]) -> None:
    try:
        await awaitable
    except (OSError, asyncio.CancelledError):
        pass


def _difference(payload: bytes, client: int, number: int, size: int) -> str:
    expected = blocks(1, client, number, size)
    at = next((at for at, (a, b) in enumerate(zip(payload, expected, strict=False)) if a != b), min(len(payload), size))
    return (
        f"client {client}, request {number}: {len(payload)} bytes where {size} are due, the first difference at {at}:"
        f" {payload[at // _BLOCK * _BLOCK :][:48]!r}"
    )


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2]))
