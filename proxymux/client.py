"""Connecting through a gateway, for programs that use Twisted.

For others there are programs of some thirty lines to copy from, in ``docs/examples/gateway_clients``.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

_OPEN: Final = b"200"
_MEANINGS: Final = {
    b"400": "it did not get the token's line whole",
    b"401": "the token opens nothing here",
    b"502": "the target cannot be connected to",
    b"504": "the target does not answer",
}


class GatewayRefused(ConnectError):
    """The gateway did not connect us.

    :param status: the three digits that it sent, or fewer bytes if it closed before.
    """

    def __init__(self, status: bytes) -> None:
        self.status = status
        shown = status.decode("ascii", "backslashreplace")
        meaning = _MEANINGS.get(status, "which is no status of a gateway" if status else "it closed without a status")
        super().__init__(string=f"the gateway answers {shown}: {meaning}" if status else meaning)


@implementer(IStreamClientEndpoint)
class GatewayClientEndpoint:
    """Connects to the target of a token.

    :param reactor: measures the time.
    :param gateway: a client endpoint that connects to the gateway.
    :param token: what the gateway is shown.
    :param timeout: seconds from the connection to the gateway until its status.
    """

    def __init__(self, reactor: IReactorTime, gateway: Any, token: str | bytes, timeout: float = 30.0) -> None:
        self._reactor = reactor
        self._gateway = gateway
        self._token = token.encode("ascii") if isinstance(token, str) else token
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<GatewayClientEndpoint {self._gateway!r}>"  # without the token, which opens

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; the protocol is made and connected when the gateway has said that the target is there.

        The Deferred fails with :class:`GatewayRefused`, with TimeoutError, or with what the gateway's endpoint fails
        with.  It may be cancelled.
        """
        handshake = _GatewayHandshake(self._reactor, self._token, protocolFactory, self._timeout)
        factory = Factory.forProtocol(lambda: handshake)
        factory.noisy = False
        handshake.reaching = self._gateway.connect(factory)
        handshake.reaching.addErrback(handshake.unreached)
        return handshake.done


@implementer(IHalfCloseableProtocol)
class _GatewayHandshake(Protocol):
    """Shows the token, and stands between the transport and the protocol from then on."""

    transport: Any
    reaching: Deferred[Any]

    def __init__(self, reactor: Any, token: bytes, factory: Any, timeout: float) -> None:
        self.done: Deferred[Any] = Deferred(self._cancelled)
        self._reactor = reactor
        self._token = token
        self._factory = factory
        self._timeout = timeout
        self._timer: IDelayedCall | None = None
        self._status = b""
        self._inner: Any = None

    def connectionMade(self) -> None:
        self._timer = self._reactor.callLater(self._timeout, self._expired)
        self.transport.write(self._token + b"\n")

    def dataReceived(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.dataReceived(data)
            return
        missing = len(_OPEN) - len(self._status)
        self._status += data[:missing]
        if self._status == _OPEN:
            self._open(data[missing:])
        elif len(self._status) == len(_OPEN):
            self._fail(GatewayRefused(self._status))

    def readConnectionLost(self) -> None:
        if IHalfCloseableProtocol.providedBy(self._inner):
            self._inner.readConnectionLost()
        elif self._inner is not None:
            self.transport.loseConnection()
        else:
            self._fail(GatewayRefused(self._status))

    def writeConnectionLost(self) -> None:
        if IHalfCloseableProtocol.providedBy(self._inner):
            self._inner.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._inner is not None:
            self._inner.connectionLost(reason)
        else:
            in_order = reason.check(ConnectionClosed) is not None
            self._fail(GatewayRefused(self._status) if in_order else reason.value)

    def unreached(self, failure: Failure) -> None:
        """There is no connection to the gateway."""
        self._fail(failure.value)

    def _open(self, rest: bytes) -> None:
        self._stop_timer()
        done, self.done = self.done, Deferred()
        self._inner = self._factory.buildProtocol(self.transport.getPeer())
        if self._inner is None:
            self.transport.abortConnection()
            done.errback(ConnectError(string="the factory built no protocol"))
            return
        self._inner.makeConnection(self.transport)
        done.callback(self._inner)
        if rest:
            self._inner.dataReceived(rest)

    def _fail(self, problem: BaseException | None) -> None:
        self._stop_timer()
        if self.transport is not None:
            self.transport.abortConnection()
        if not self.done.called:
            self.done.errback(problem or GatewayRefused(self._status))

    def _expired(self) -> None:
        self._timer = None
        self._fail(TimeoutError(f"no status from the gateway within {self._timeout:g} s"))

    def _cancelled(self, _: object) -> None:
        self._stop_timer()
        self.reaching.cancel()
        if self.transport is not None:
            self.transport.abortConnection()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
