"""The ends of proxied connections: sockets that do nothing but what a test tells them to do.

They are polled once a turn of the reactor, so that a test and the proxy under test take turns in one thread.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import socket
import ssl
import struct
import termios
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, ParamSpec, TypeVar

import pytest_twisted
from twisted.internet.defer import FirstError, ensureDeferred, gatherResults
from twisted.internet.task import Clock, deferLater

MEGABYTE: Final = 1 << 20
#: Seconds after which a test that waits has failed.  Nothing is measured by it.
_PATIENCE: Final = 60.0
#: Seconds without a byte after which a sender is said to be stalled.  The system's own threads need a part of it.
_QUIET: Final = 0.1
_CHUNK: Final = 1 << 18
_WOULD_BLOCK: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

_T = TypeVar("_T")
_P = ParamSpec("_P")


def in_reactor(test: Callable[_P, Coroutine[Any, Any, None]]) -> Callable[_P, Any]:
    """Run an async test in the reactor."""
    run: Callable[_P, Any] = pytest_twisted.ensureDeferred(test)
    return run


async def turns(count: int) -> None:
    """Let the reactor turn."""
    from twisted.internet import reactor

    for _ in range(count):
        await deferLater(reactor, 0)


async def settle() -> None:
    """Let whatever can happen without us happen: more turns than any step of the proxy needs."""
    await turns(30)


async def until(condition: Callable[[], _T], what: str) -> _T:
    """Let the reactor turn until ``condition()`` is true; its value then."""
    limit = time.monotonic() + _PATIENCE
    while not (value := condition()):
        assert time.monotonic() < limit, f"waited in vain for {what}"
        await turns(1)
    return value


async def together(*steps: Coroutine[Any, Any, Any]) -> list[Any]:
    """Do all ``steps`` at once; their results."""
    try:
        results: list[Any] = await gatherResults([ensureDeferred(step) for step in steps], consumeErrors=True)
    except FirstError as error:
        error.subFailure.raiseException()
        raise
    return results


async def as_time_passes(clock: Clock, waiting: Coroutine[Any, Any, Any]) -> Any:
    """The result of ``waiting``, for which the proxy may need its timers."""
    running = ensureDeferred(waiting)
    while not running.called:
        await turns(3)
        clock.advance(0.05)
    return await running


@functools.lru_cache(maxsize=8)  # to make it takes longer than to relay it
def noise(size: int, seed: str = "") -> bytes:
    """Bytes in which no part is like another, the same at every run."""
    return hashlib.shake_128(f"noise {seed}".encode()).digest(size)


class Peer:
    """One end of a connection, a client's or an upstream's."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection

    @property
    def address(self) -> Any:
        """Its own address."""
        return self._socket.getsockname()

    @property
    def peer_address(self) -> Any:
        """The other side's address."""
        return self._socket.getpeername()

    async def send(self, data: bytes) -> None:
        """Send all of ``data``, as fast as it is taken."""
        view, sent = memoryview(data), 0
        while sent < len(data):
            part = view[sent : sent + _CHUNK]
            sent += await self._as_soon_as_possible(functools.partial(self._socket.send, part), "for room to send")

    async def send_until_broken(self) -> None:
        """Send until the connection is found to be gone, which it must be."""
        limit = time.monotonic() + _PATIENCE
        while time.monotonic() < limit:
            try:
                socket.socket.send(self._socket, bytes(_CHUNK))
            except _WOULD_BLOCK:
                pass
            except (ConnectionResetError, BrokenPipeError):
                return
            await turns(1)
        raise AssertionError("the connection stayed")

    async def send_bytewise(self, data: bytes) -> None:
        """Send ``data`` so that the proxy reads one byte at a time."""
        for place in range(len(data)):
            await self.send(data[place : place + 1])
            await turns(3)

    async def send_until_stalled(self, data: bytes) -> int:
        """Send of ``data`` what is taken until the other side takes no more for a while; how much that was."""
        taken, quiet_since = 0, time.monotonic()
        while taken < len(data) and time.monotonic() < quiet_since + _QUIET:
            try:
                taken += self._socket.send(data[taken : taken + _CHUNK])
                quiet_since = time.monotonic()
            except _WOULD_BLOCK:
                await turns(1)
        return taken

    async def sent(self) -> None:
        """Wait until everything that was sent is at the other side."""
        await until(lambda: not self._unacknowledged(), "an acknowledgement of all bytes")

    def _unacknowledged(self) -> int:
        count: int = struct.unpack("i", fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4)))[0]
        return count

    async def receive(self, count: int, at_once: int = _CHUNK) -> bytes:
        """Exactly ``count`` bytes, read ``at_once`` at a time."""
        parts: list[bytes] = []
        while count:
            part = await self._read(min(count, at_once))
            assert part, f"it ended {count} bytes too early, after {b''.join(parts)[-80:]!r}"
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    async def receive_at_most(self, count: int) -> bytes:
        """Some bytes, at least one; nothing at the end."""
        return await self._read(count)

    async def read_some(self) -> bytes:
        """What there is, at least a byte; nothing at the end."""
        return await self._read(_CHUNK)

    async def read_all(self) -> bytes:
        """Everything up to the end, which must not be a reset."""
        parts: list[bytes] = []
        while part := await self._read(_CHUNK):
            parts.append(part)
        return b"".join(parts)

    async def read_until_reset(self) -> bytes:
        """Everything up to the reset, which must come."""
        parts: list[bytes] = []
        try:
            while part := await self._read(_CHUNK):
                parts.append(part)
        except ConnectionResetError:
            return b"".join(parts)
        raise AssertionError(f"it ended in good order, after {b''.join(parts)[-80:]!r}")

    async def echo(self) -> None:
        """Send back what comes, up to the end, and end."""
        while part := await self._read(_CHUNK):
            await self.send(part)
        self.finish()

    def has_something(self) -> bool:
        """True if bytes or an end could be read now."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except _WOULD_BLOCK:
            return False
        except OSError:
            pass
        return True

    def finish(self) -> None:
        """Send FIN."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Send RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        """Leave, as a program does that closes its socket."""
        self._socket.close()

    async def _read(self, count: int) -> bytes:
        return await self._as_soon_as_possible(lambda: self._socket.recv(count), "for bytes or an end")

    async def _as_soon_as_possible(self, action: Callable[[], _T], what: str) -> _T:
        limit = time.monotonic() + _PATIENCE
        while True:
            try:
                return action()
            except _WOULD_BLOCK:
                assert time.monotonic() < limit, f"waited in vain {what}"
                await turns(1)


class TlsPeer(Peer):
    """One end of a connection that is to speak TLS."""

    _socket: ssl.SSLSocket

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, server_name: str | None) -> None:
        connection.setblocking(False)
        secure = context.wrap_socket(
            connection,
            server_side=context.protocol is ssl.PROTOCOL_TLS_SERVER,
            server_hostname=server_name,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
        )
        super().__init__(secure)

    async def handshake(self) -> None:
        """Agree on the keys."""
        await self._as_soon_as_possible(self._socket.do_handshake, "for the handshake")

    @property
    def alpn(self) -> str | None:
        """The protocol agreed on."""
        return self._socket.selected_alpn_protocol()

    async def hear(self) -> bytes:
        """Do the handshake; what comes then, however it ends."""
        parts: list[bytes] = []
        try:
            await self.handshake()
            while part := await self._read(_CHUNK):
                parts.append(part)
        except OSError:
            pass
        return b"".join(parts)

    async def read_until_cut(self) -> bytes:
        """Everything up to an end that is not TLS's own, which must come."""
        parts: list[bytes] = []
        try:
            while part := await self._read(_CHUNK):
                parts.append(part)
        except (ssl.SSLEOFError, ConnectionResetError):
            return b"".join(parts)
        raise AssertionError(f"it ended in good order, after {b''.join(parts)[-80:]!r}")

    async def _read(self, count: int) -> bytes:
        try:
            return await super()._read(count)
        except ssl.SSLZeroReturnError:
            return b""  # what Python says of the peer's close_notify after our own

    def cut(self) -> None:
        """Send FIN without close_notify before it."""
        socket.socket.shutdown(self._socket, socket.SHUT_WR)

    def finish(self) -> None:
        """Send close_notify."""
        try:
            self._socket.unwrap()
        except ssl.SSLError:
            pass  # the other side's own is still to come, or something else has come before it

    def has_something(self) -> bool:
        raise NotImplementedError("TLS cannot peek")


class Upstream:
    """Where the proxy may connect to.

    :param listener: a bound socket.
    :param keep: called with every socket that is made.
    """

    def __init__(self, listener: socket.socket, keep: Callable[[socket.socket], None]) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._keep = keep

    def listen(self, backlog: int = 100) -> None:
        """Be there.  Until then connections are refused."""
        self._listener.listen(backlog)

    def close(self) -> None:
        """Be there no more: connections are refused."""
        self._listener.close()

    @property
    def remote(self) -> str:
        """What a router says to forward to it."""
        name = self._listener.getsockname()
        if isinstance(name, str):
            return f"unix:{name}"
        return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    async def accept(self) -> Peer:
        """The next connection from the proxy."""
        connection = await until(self._accept_now, "the proxy to connect")
        assert connection is not None
        return Peer(connection)

    def _accept_now(self) -> socket.socket | None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return None
        self._keep(connection)
        return connection

    async def is_left_alone(self) -> bool:
        """True if nobody has connected that was not accepted, and nobody does."""
        await settle()
        return self._accept_now() is None

    def fill_queue(self) -> None:
        """Be there, but so busy that a further connect hangs."""
        self.listen(0)
        family, name = self._listener.family, self._listener.getsockname()
        for _ in range(3):
            waiting = socket.socket(family, socket.SOCK_STREAM)
            self._keep(waiting)
            waiting.setblocking(False)
            waiting.connect_ex(name)


class Net:
    """Makes both ends, and closes them all at last."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def upstream(
        self,
        host: str = "127.0.0.1",
        *,
        port: int = 0,
        listens: bool = True,
        receive_buffer: int | None = None,
    ) -> Upstream:
        """An upstream on ``host``, or with a path on a Unix socket."""
        family = (
            socket.AF_UNIX if os.sep in host else socket.AF_INET6 if ":" in host else socket.AF_INET
        )  # of the three that a target may be
        listener = self._socket(family, receive_buffer)
        listener.bind(host if family is socket.AF_UNIX else (host, port))
        upstream = Upstream(listener, self._sockets.append)
        if listens:
            upstream.listen()
        return upstream

    async def connect(self, address: str, *, source: str | None = None, receive_buffer: int | None = None) -> Peer:
        """A client of the service at ``address``, which may be ``ip:port``, ``[v6]:port`` or ``unix:/path``."""
        return Peer(await self._connect(address, source, receive_buffer))

    async def connect_tls(
        self,
        address: str,
        context: ssl.SSLContext,
        *,
        server_name: str | None = None,
        first: bytes = b"",
    ) -> TlsPeer:
        """A client that will speak TLS, after it has sent ``first`` in the clear; the handshake is still to be done."""
        plain = await self.connect(address)
        await plain.send(first)
        return self.secure(plain, context, server_name)

    def secure(self, peer: Peer, context: ssl.SSLContext, server_name: str | None = None) -> TlsPeer:
        """Speak TLS from here on, on a connection that has carried something else before."""
        secure = TlsPeer(peer._socket, context, server_name)
        self._sockets.append(secure._socket)
        return secure

    async def _connect(self, address: str, source: str | None, receive_buffer: int | None) -> socket.socket:
        name: Any = address.removeprefix("unix:")
        family = socket.AF_UNIX
        if name == address:
            host, _, port = address.rpartition(":")
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            name = (host.strip("[]"), int(port))
        client = self._socket(family, receive_buffer)
        if source is not None:
            client.bind((source, 0))
        client.connect(name)  # the system queues it: nobody need accept
        return client

    def _socket(self, family: socket.AddressFamily, receive_buffer: int | None) -> socket.socket:
        made = socket.socket(family, socket.SOCK_STREAM)
        self._sockets.append(made)
        if receive_buffer is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        return made

    def close(self) -> None:
        """Close every socket."""
        for each in self._sockets:
            each.close()


def of_one_port(net: Net, first: str, second: str) -> tuple[Upstream, Upstream]:
    """Two upstreams on different addresses and the same port, which may be taken on one of them."""
    for _ in range(100):
        upstream = net.upstream(first)
        with contextlib.suppress(OSError):
            return upstream, net.upstream(second, port=upstream.port)
    raise AssertionError("no port is free on both addresses")


async def gets(target: Upstream, data: bytes) -> None:
    """``target`` is sent exactly ``data`` by a client that has finished, and answers ``done``."""
    upstream = await target.accept()
    assert await upstream.read_all() == data
    await upstream.send(b"done")
    upstream.finish()
