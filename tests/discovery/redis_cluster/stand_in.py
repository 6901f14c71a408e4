"""A stand-in for one node of a Redis Cluster: it answers as a test has it answer."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from proxymux.core.redis_cluster.resp_values import RespReader, Value
from tests.core.redis_cluster.answers import encoded, node, shard
from tests.discovery.consul_stand_in import ServerSideTls
from tests.services.certificates import Credentials


class StandInNode(Factory):
    """A node.  Its answers are by the words of the command; without one it says nothing."""

    noisy = False

    def __init__(self) -> None:
        self.answers: dict[tuple[bytes, ...], bytes] = {}
        self.asked: list[tuple[bytes, ...]] = []
        self.connections: set[StandInConnection] = set()
        self._port: IListeningPort | None = None

    def listen(self, own: Credentials | None = None) -> None:
        """Accept connections of loopback, with TLS if it has a certificate."""
        from twisted.internet import reactor as installed

        reactor: Any = installed
        if own is None:
            self._port = reactor.listenTCP(0, self, interface="127.0.0.1")
        else:
            self._port = reactor.listenSSL(0, self, ServerSideTls(own, None), interface="127.0.0.1")

    @property
    def port(self) -> int:
        return cast("int", cast("Any", self._port).getHost().port)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def buildProtocol(self, addr: IAddress | None) -> StandInConnection:
        return StandInConnection(self)

    def say(self, *nodes: StandInNode, tls: bool = False) -> None:
        """Answer that these nodes are primaries of equal parts of the slots."""
        shards: list[Value] = []
        for number, each in enumerate(nodes):
            first, last = number * 16384 // len(nodes), (number + 1) * 16384 // len(nodes) - 1
            port = 1 if tls else each.port
            shards.append(shard([first, last], node(port, endpoint=b"127.0.0.1", tls_port=each.port if tls else 0)))
        self.answers[b"CLUSTER", b"SHARDS"] = encoded(shards)

    async def die(self) -> None:
        """Listen no longer, and reset all connections."""
        port, self._port = self._port, None
        for connection in tuple(self.connections):
            cast("Any", connection.transport).abortConnection()
        if port is not None:
            await cast("Any", port.stopListening())


class StandInConnection(Protocol):
    """One connection to it."""

    def __init__(self, node: StandInNode) -> None:
        self._node = node
        self._reader = RespReader()

    def connectionMade(self) -> None:
        self._node.connections.add(self)

    def dataReceived(self, data: bytes) -> None:
        for command in self._reader.feed(data):
            words = tuple(cast("list[bytes]", command))
            self._node.asked.append(words)
            cast("Any", self.transport).write(self._node.answers.get(words, b""))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._node.connections.discard(self)
