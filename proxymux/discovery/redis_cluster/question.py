"""Asks one node of a Redis Cluster for the topology, on a connection of its own."""

from __future__ import annotations

from typing import Any, Final, cast

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IProtocol, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from proxymux.core.redis_cluster.talk import TopologyTalk
from proxymux.core.redis_cluster.topology import Topology
from proxymux.core.target import InetTarget
from proxymux.discovery.http_connections import AskingFailed, NotConnected, tcp_endpoint
from proxymux.discovery.http_tls import ServerTls
from proxymux.discovery.redis_cluster.address import RedisClusterAddress
from proxymux.errors import BadCertificate, BadMessage
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.net.wording import explain

#: Seconds in which a node must be connected to, and have answered.
LIMIT: Final = 3.0


class Questions:
    """Asks the nodes of one cluster.

    :param reactor: makes the connections.
    :param clock: measures how long they take.
    :param address: says who asks, and whether by TLS.
    """

    def __init__(self, reactor: Reactor, clock: IReactorTime, address: RedisClusterAddress) -> None:
        self._reactor = reactor
        self._clock = clock
        self._address = address

    def ask(self, node: InetTarget) -> Deferred[Topology]:
        """Ask a node.  The connection is reset when the answer is there, or the Deferred cancelled.

        :returns: fails with AskingFailed if there is no answer of use within :data:`LIMIT`.
        """
        endpoint = tcp_endpoint(self._reactor, node.host, node.port)
        files, tls = self._address.tls, None
        if files is not None:
            try:
                tls = files.open(node.host)
            except BadCertificate as error:
                return fail(NotConnected(str(error)))
            endpoint = wrapClientTLS(tls, endpoint)
        talk = TopologyTalk(node, files is not None, self._address.login)
        asked: Deferred[Topology] = endpoint.connect(_AskingFactory(talk, tls)).addCallback(_answer_on)
        asked.addTimeout(LIMIT, self._clock, _timed_out)
        return asked.addErrback(_failed)


class _AskingFactory(Factory):
    """Makes the one connection that is asked on."""

    noisy = False

    def __init__(self, talk: TopologyTalk, tls: ServerTls | None) -> None:
        self._talk = talk
        self._tls = tls

    def buildProtocol(self, addr: IAddress | None) -> _Asking:
        return _Asking(self._talk, self._tls)


class _Asking(Protocol):
    """One connection, with the talk on it."""

    transport: Any

    def __init__(self, talk: TopologyTalk, tls: ServerTls | None) -> None:
        self._talk = talk
        self._tls = tls
        self.answer: Deferred[Topology] = Deferred(lambda _: self.transport.abortConnection())

    def connectionMade(self) -> None:
        self.transport.write(self._talk.begin())

    def dataReceived(self, data: bytes) -> None:
        if self.answer.called:
            return
        try:
            said = self._talk.received(data)
        except BadMessage as error:
            self._end(Failure(AskingFailed(str(error))))
            return
        if said.send:
            self.transport.write(said.send)
        if said.topology is not None:
            self._end(said.topology)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.answer.called:
            problem = None if self._tls is None else self._tls.problem
            self.answer.errback(AskingFailed(problem) if problem else reason)

    def _end(self, result: Topology | Failure) -> None:
        self.transport.abortConnection()
        self.answer.callback(result)


def _answer_on(connection: IProtocol) -> Deferred[Topology]:
    return cast("_Asking", connection).answer


def _timed_out(result: object, seconds: float) -> Any:
    raise AskingFailed(f"no answer within {seconds:g} s")


def _failed(failure: Failure) -> Failure:
    """What has failed, in words."""
    if failure.check(AskingFailed, CancelledError):
        return failure
    if failure.check(ConnectionDone):
        return Failure(AskingFailed("it has closed the connection without an answer"))
    return Failure(AskingFailed(explain(failure)))
