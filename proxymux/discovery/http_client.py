"""The HTTP client of sources: it asks one server, over connections that are kept.

It is made of Twisted's agent and not of treq's client, because that one also keeps cookies and unpacks what is
compressed, both without a limit, and takes an answer that was cut for a whole one if it did not say how long it is.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, Final, NamedTuple, NoReturn, TypeVar, cast

from OpenSSL import SSL
from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IConsumer, IReactorTime, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    HTTPConnectionPool,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
)
from twisted.web.http import OK, PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IResponse
from zope.interface import implementer

from proxymux.core.target import InetTarget
from proxymux.discovery.http_connections import USUAL, AskingFailed, Connections, Limits
from proxymux.discovery.http_tls import TlsFiles
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.net.wording import explain

#: Seconds that a connection is kept without a request.
KEPT_FOR: Final = 90
#: Errors that only say what has been disturbed, with those that have done it as ``reasons``.
_DISTURBED: Final = (ResponseFailed, RequestGenerationFailed, RequestTransmissionFailed)
#: Errors of a connection; any other is of what has come over it.
_OF_CONNECTIONS: Final = (OSError, SSL.Error, ConnectionClosed, CancelledError)
_T = TypeVar("_T")


class Answer(NamedTuple):
    """What a server has answered."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: str) -> str | None:
        """The last value of a header, or None."""
        values = self.headers.getRawHeaders(name.encode("ascii"))
        return values[-1].decode("latin-1") if values else None


class HttpClient:
    """Asks one server.  It follows no redirection, and accepts nothing compressed.

    :param reactor: makes the connections.
    :param clock: measures the limits.
    :param server: may be a name.
    :param tls: None speaks plain HTTP.
    :param limits: of each connection.
    :param kept: the most connections that are kept without a request, each for :data:`KEPT_FOR`.
    """

    def __init__(
        self,
        reactor: Reactor,
        clock: IReactorTime,
        server: InetTarget,
        tls: TlsFiles | None = None,
        limits: Limits = USUAL,
        kept: int = 1,
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._base = f"{'http' if tls is None else 'https'}://{server}"
        self._connections = Connections(reactor, clock, tls or TlsFiles(), limits)
        self._pool = HTTPConnectionPool(clock)
        self._pool.maxPersistentPerHost = kept
        self._pool.cachedConnectionTimeout = KEPT_FOR
        # A query that waits would begin to wait anew; who asks is told, and knows better.
        self._pool.retryAutomatically = False
        self._agent = Agent.usingEndpointFactory(reactor, self._connections, self._pool)

    def get(self, path: str, headers: Mapping[str, str], seconds: float) -> Deferred[Answer]:
        """Ask for ``path``.

        :param path: with its query, as it is sent.
        :param seconds: in which the whole answer must have come.
        :returns: the answer, whatever its status is; or fails with AskingFailed.  When it is cancelled, the
            connection is reset.
        """
        return self._limited(self._ask(b"GET", path, headers, None), seconds)

    def post(self, path: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Deferred[Answer]:
        """Send ``body`` to ``path``; all else is as of :meth:`get`."""
        return self._limited(self._ask(b"POST", path, headers, body), seconds)

    def stream(
        self, path: str, headers: Mapping[str, str], body: bytes, seconds: float, protocol: Protocol
    ) -> Deferred[Answer | None]:
        """Send ``body`` to ``path`` for an answer without an end, over a connection of its own.

        :param seconds: in which the answer must begin.
        :param protocol: is given the answer's body as it comes, if the status is 200, and told when it has ended all
            the same.  Its transport's ``loseConnection()`` resets the connection.
        :returns: None when the answer begins; the answer if its status is another; or fails with AskingFailed.
        """
        return self._limited(self._stream(path, headers, body, protocol), seconds)

    def close(self) -> None:
        """Reset all connections.  Requests that are under way have to be cancelled before."""
        self._pool.closeCachedConnections()
        self._connections.abort()

    async def _ask(self, method: bytes, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        return await _whole(await self._send(self._agent, method, path, headers, body))

    async def _stream(self, path: str, headers: Mapping[str, str], body: bytes, protocol: Protocol) -> Answer | None:
        connections = self._connections.apart()
        agent = Agent.usingEndpointFactory(self._reactor, connections)
        response = await self._send(agent, b"POST", path, headers, body)
        if response.code != OK:
            return await _whole(response)
        connections.lift_limit()
        response.deliverBody(protocol)
        return None

    def _send(
        self, agent: Agent, method: bytes, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> Deferred[IResponse]:
        fields = Headers({name: [value] for name, value in headers.items()})
        producer = None if body is None else _Producer(body)
        return agent.request(method, (self._base + path).encode("ascii"), fields, producer)

    def _limited(self, asking: Coroutine[Deferred[Any], Any, _T], seconds: float) -> Deferred[_T]:
        asked = Deferred.fromCoroutine(asking)
        return asked.addTimeout(seconds, self._clock, _timed_out).addErrback(_failed)


async def _whole(response: IResponse) -> Answer:
    body = _Body()
    response.deliverBody(body)
    return Answer(response.code, response.headers, await body.whole)


def _failed(failure: Failure) -> NoReturn:
    error: Any = failure.value
    while isinstance(error, _DISTURBED) and error.reasons:
        error = error.reasons[0].value
    if isinstance(error, AskingFailed):
        raise error
    what = "" if isinstance(error, _OF_CONNECTIONS) else "what the server sends is not HTTP: "
    raise AskingFailed(what + explain(error))


def _timed_out(result: object, seconds: float) -> NoReturn:
    raise AskingFailed(f"no answer within {seconds:g} s")


class _Body(Protocol):
    """Takes the body of an answer.  Its size is limited by the connection."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        #: Fires with the body, or fails with what has come between.  To cancel it resets the connection.
        self.whole: Deferred[bytes] = Deferred(lambda _: cast("ITransport", self.transport).loseConnection())

    def dataReceived(self, data: bytes) -> None:
        self._parts.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.whole.called:  # it was cancelled
            return
        if reason.check(ResponseDone):
            self.whole.callback(b"".join(self._parts))
        elif reason.check(PotentialDataLoss):
            self.whole.errback(AskingFailed("the answer does not say how long it is"))
        else:
            self.whole.errback(reason)


@implementer(IBodyProducer)
class _Producer:
    """Gives the body of a request to Twisted's client, at once."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._body)
        return defer.succeed(None)

    def pauseProducing(self) -> None:
        """Nothing is left to produce."""

    def resumeProducing(self) -> None:
        """Nothing is left to produce."""

    def stopProducing(self) -> None:
        """Nothing is left to produce."""
