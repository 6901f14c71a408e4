"""A stand-in for etcd's JSON gateway, which answers what a test tells it to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from proxymux.discovery.etcd.address import parse_etcd_address
from proxymux.discovery.etcd.client import EtcdClient
from proxymux.discovery.etcd.values import encoded
from proxymux.errors import EtcdError

#: An answer, or an HTTP status with one, or raw bytes; None for no answer at all.
Answer = dict[str, Any] | tuple[int, dict[str, Any]] | bytes | None


class Asked(NamedTuple):
    """One request."""

    path: str
    body: dict[str, Any]
    token: str | None


class StandIn:
    """Listens on a port of its own.

    :param answer: is given each request.
    """

    def __init__(self, answer: Callable[[Asked], Answer]) -> None:
        from twisted.internet import reactor

        self.answer = answer
        self.asked: list[Asked] = []
        self.connections: list[_Connection] = []
        factory: Any = Factory.forProtocol(lambda: _Connection(self))
        self._port: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port.getHost().port}"

    @property
    def paths(self) -> list[str]:
        """What it was asked for, in order."""
        return [asked.path for asked in self.asked]

    def close(self) -> None:
        """End it and its connections."""
        self._port.stopListening()
        for connection in self.connections:
            connection.abort()


class _Connection(Protocol):
    """Reads one request after another, whose length is given in its head."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self._buffer = b""

    def connectionMade(self) -> None:
        self._stand_in.connections.append(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stand_in.connections.remove(self)

    def abort(self) -> None:
        transport: Any = self.transport
        transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        size = int(fields.get("content-length", "0"))
        if not end or len(rest) < size:
            return
        self._buffer = rest[size:]
        asked = Asked(lines[0].split()[1].removeprefix("/v3/"), json.loads(rest[:size]), fields.get("authorization"))
        self._stand_in.asked.append(asked)
        self._send(self._stand_in.answer(asked))

    def _send(self, answer: Answer) -> None:
        assert self.transport is not None
        if answer is None:
            return
        if isinstance(answer, bytes):
            self.transport.write(answer)
            return
        status, message = answer if isinstance(answer, tuple) else (200, answer)
        body = json.dumps(message).encode()
        self.transport.write(b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))


@contextmanager
def standing_in(answer: Callable[[Asked], Answer]) -> Iterator[StandIn]:
    """A stand-in, for as long as a test needs it."""
    stand_in = StandIn(answer)
    try:
        yield stand_in
    finally:
        stand_in.close()


def error(text: str, code: int, status: int = 400) -> tuple[int, dict[str, Any]]:
    """An error of etcd's."""
    return status, {"error": text, "message": text, "code": code}


def client_of(*addresses: str, login: str = "", clock: Clock | None = None) -> EtcdClient:
    from twisted.internet import reactor

    used: Any = reactor
    return EtcdClient(parse_etcd_address(f"etcd://{login}{','.join(addresses)}/p/"), used, clock or Clock())


def always(answer: Answer) -> Callable[[Asked], Answer]:
    return lambda asked: answer


async def refused(asking: Deferred[Any], problem: str) -> EtcdError:
    """The error that a request ends with."""
    with pytest.raises(EtcdError, match=problem) as caught:
        await asking
    assert str(caught.value).isprintable()
    return caught.value


def pairs(values: dict[str, str]) -> list[dict[str, str]]:
    """Keys and values as in an answer."""
    return [{"key": encoded(key.encode()), "value": encoded(value.encode())} for key, value in values.items()]


class StandInClient:
    """Takes the place of an :class:`~proxymux.discovery.etcd.client.EtcdClient`: the test answers."""

    address = "etcd://h:2379/p/"

    def __init__(self) -> None:
        self.ranges: list[tuple[bytes, Deferred[tuple[int, dict[bytes, bytes]]]]] = []
        self.watches: list[StandInWatch] = []
        self.avoided: list[object] = []
        self.forgotten = 0
        self.is_closed = False

    def range_prefix(self, prefix: bytes) -> Deferred[tuple[int, dict[bytes, bytes]]]:
        ranging: Deferred[tuple[int, dict[bytes, bytes]]] = Deferred()
        self.ranges.append((prefix, ranging))
        return ranging

    def watch(self, prefix: bytes, revision: int, protocol: Protocol) -> Deferred[object]:
        self.watches.append(StandInWatch(prefix, revision, protocol))
        return self.watches[-1].opening

    def avoid(self, member: object) -> None:
        self.avoided.append(member)

    def forget_token(self) -> None:
        self.forgotten += 1

    def close(self) -> None:
        self.is_closed = True


class StandInWatch:
    """The stream of one watch, of which it is the transport."""

    def __init__(self, prefix: bytes, revision: int, protocol: Protocol) -> None:
        self.prefix = prefix
        self.revision = revision
        self._protocol = protocol
        self.opening: Deferred[object] = Deferred()
        self.is_left = False

    def open(self, revision: int | None = None) -> None:
        """Begin the stream, with etcd at ``revision``."""
        self._protocol.makeConnection(self)
        self.opening.callback("the member")
        if revision is not None:
            self.tell(created=True, header={"revision": str(revision)})

    def tell(self, **result: object) -> None:
        """Send a message."""
        self.send(json.dumps({"result": result}).encode() + b"\n")

    def put(self, revision: int, key: str, value: str | None) -> None:
        """Tell of a change; None as a value is a key's end."""
        kv = {"key": encoded(key.encode()), "mod_revision": str(revision)}
        event: dict[str, object] = {"kv": kv, "type": "DELETE"}
        if value is not None:
            event = {"kv": {**kv, "value": encoded(value.encode())}}
        self.tell(header={"revision": str(revision)}, events=[event])

    def send(self, data: bytes) -> None:
        self._protocol.dataReceived(data)

    def end(self) -> None:
        """End the stream."""
        self._protocol.connectionLost(connectionDone)

    def loseConnection(self) -> None:
        self.is_left = True


def time_passes(clock: Clock, seconds: float) -> None:
    """Have the clock go on in small steps."""
    for _ in range(round(seconds * 20)):
        clock.advance(0.05)
