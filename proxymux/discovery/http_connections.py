"""The connections to the HTTP server of a source: how they are made, how much they may bring, how they end."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, cast

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime, IStreamClientEndpoint, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from proxymux.discovery.http_tls import ServerTls, TlsFiles
from proxymux.errors import BadCertificate, ProxymuxError
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.net.tls.names import is_address
from proxymux.net.wording import explain

#: Seconds in which a connection must be made, and the most bytes of one answer, if nothing else is said.
CONNECT_TIMEOUT: Final = 10.0
MAX_ANSWER: Final = 16 << 20


class AskingFailed(ProxymuxError):
    """A server cannot be asked, or its answer cannot be used.  The text says why, without a password or token."""


class NotConnected(AskingFailed):
    """There is no connection: the server has not been asked."""


class TooLong(AskingFailed):
    """The answer has more bytes than it may."""


class Limits(NamedTuple):
    """What a connection may take.

    :param connecting: seconds in which it must be made.
    :param answer: the most bytes of one answer, with its head; ``math.inf`` for any number.
    """

    connecting: float = CONNECT_TIMEOUT
    answer: float = MAX_ANSWER


#: Those of a server of which nothing else is known.
USUAL: Final = Limits()


@implementer(IAgentEndpointFactory)
class Connections:
    """Makes connections for Twisted's HTTP client, and can end them.

    :param reactor: makes them.
    :param clock: measures how long that takes.
    :param tls: of those that are for ``https``.
    """

    def __init__(self, reactor: Reactor, clock: IReactorTime, tls: TlsFiles, limits: Limits = USUAL) -> None:
        self._reactor = reactor
        self._clock = clock
        self._tls = tls
        #: In force for the connections that there are, too.
        self.limits = limits
        self.live: set[_Connection] = set()

    def apart(self) -> Connections:
        """The same with limits of their own; their connections are reset with these."""
        return copy.copy(self)

    def lift_limit(self) -> None:
        """Let an answer have any number of bytes: who takes it limits what is kept."""
        self.limits = self.limits._replace(answer=math.inf)

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """Where to connect for ``uri``; called by Twisted for each request."""
        return _Endpoint(uri, self._connect)

    def _connect(self, uri: URI, factory: IProtocolFactory) -> Deferred[IProtocol]:
        host, tls = uri.host.decode("ascii"), None
        endpoint = tcp_endpoint(self._reactor, host, uri.port)
        if uri.scheme == b"https":
            try:
                tls = self._tls.open(host)
            except BadCertificate as error:
                return fail(NotConnected(str(error)))
            endpoint = wrapClientTLS(tls, endpoint)
        connecting = endpoint.connect(_Factory(factory, self, tls))
        connecting.addTimeout(self.limits.connecting, self._clock, _timed_out)
        return connecting.addCallbacks(_wrapped, _not_connected)

    def abort(self) -> None:
        """Reset all connections."""
        for connection in tuple(self.live):
            connection.loseConnection()


def tcp_endpoint(reactor: Reactor, host: str, port: int) -> IStreamClientEndpoint:
    """Where to connect to a host.

    An address needs no resolver, which takes a thread, and 0.3 s to say that a connection was refused.
    """
    if not is_address(host):
        return HostnameEndpoint(reactor, host, port)
    return (TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint)(reactor, host, port)


@implementer(IStreamClientEndpoint)
class _Endpoint:
    """Connects when Twisted's client has no connection left; the files of TLS are not read before."""

    def __init__(self, uri: URI, connect: Callable[[URI, IProtocolFactory], Deferred[IProtocol]]) -> None:
        self._uri = uri
        self._connect = connect

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._connect(self._uri, protocolFactory)


def _timed_out(result: object, seconds: float) -> Any:
    raise NotConnected(f"no connection within {seconds:g} s")


def _not_connected(failure: Failure) -> Failure:
    if failure.check(AskingFailed, CancelledError):
        return failure
    return Failure(NotConnected(explain(failure)))


def _wrapped(connection: IProtocol) -> IProtocol:
    return cast("_Connection", connection).wrappedProtocol


class _Factory(WrappingFactory["_Connection"]):
    """Makes what stands between a connection and the HTTP client."""

    noisy = False

    def __init__(self, wrapped: IProtocolFactory, connections: Connections, tls: ServerTls | None) -> None:
        cast("Any", wrapped).noisy = False  # else there would be a line in the log for each connection
        super().__init__(wrapped)
        self.protocol = _Connection
        self.connections = connections
        self.tls = tls


class _Connection(ProtocolWrapper):
    """One connection.

    It is reset where Twisted would close it: all that is worth having has come by then, and the end of TLS, for which
    Twisted waits, may never come.
    """

    factory: _Factory
    #: Bytes of the answer that have come.
    _came = 0
    _problem: AskingFailed | None = None

    def makeConnection(self, transport: Any) -> None:
        self.factory.connections.live.add(self)
        super().makeConnection(transport)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send a request: another answer is to come."""
        self._came = 0
        super().writeSequence(data)

    def dataReceived(self, data: bytes) -> None:
        self._came += len(data)
        limit = self.factory.connections.limits.answer
        if self._came > limit:
            self._problem = TooLong(f"the answer has more than {limit / (1 << 20):g} MiB")
            self.loseConnection()
        else:
            super().dataReceived(data)

    def loseConnection(self) -> None:
        if self in self.factory.connections.live:  # else it is lost already, and TLS could not be ended twice
            self.disconnecting = 1
            cast("ITCPTransport", self.transport).abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.connections.live.discard(self)
        tls = self.factory.tls
        problem = self._problem or (AskingFailed(tls.problem) if tls and tls.problem else None)
        super().connectionLost(Failure(problem) if problem else reason)
