"""A client endpoint that connects through a gateway, for programs that use Twisted.

For other programs there are clients of some thirty lines to copy, in ``docs/examples/gateway_clients``.
"""

from __future__ import annotations

from typing import Final, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.core.token import explain_status
from proxymux.net.clock import monotonic

_OPEN: Final = b"200"


class GatewayRefused(ConnectError):
    """The gateway did not connect to the target.

    :param status: the three digits that the gateway sent, or fewer bytes if it closed before.
    """

    def __init__(self, status: bytes) -> None:
        self.status = status
        super().__init__(string=explain_status(status))


@implementer(IStreamClientEndpoint)
class GatewayClientEndpoint:
    """Connects to the target of a token through a gateway.

    :param reactor: has the time for the timeout; of Twisted's reactors that is the monotonic clock's.
    :param gateway: a client endpoint that connects to the gateway.
    :param token: is sent to the gateway.
    :param timeout: seconds from the connection to the gateway until its status.
    """

    def __init__(
        self, reactor: IReactorTime, gateway: IStreamClientEndpoint, token: str | bytes, timeout: float = 30.0
    ) -> None:
        self._clock = monotonic(reactor)
        self._gateway = gateway
        self._token = token.encode("ascii") if isinstance(token, str) else token
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<GatewayClientEndpoint {self._gateway!r}>"  # without the token, which is secret

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect to the target; the protocol is built when the gateway has connected to it.

        :returns: a Deferred of the protocol, which may be cancelled.  It fails with :class:`GatewayRefused`, with
            TimeoutError, or as the gateway's endpoint does.
        """
        handshake = _GatewayHandshake(self._clock, self._token, protocolFactory, self._timeout)
        handshake.connecting = self._gateway.connect(_HandshakeFactory(handshake))
        handshake.connecting.addErrback(handshake.not_connected)
        return handshake.done


class _HandshakeFactory(Factory):
    noisy = False

    def __init__(self, handshake: _GatewayHandshake) -> None:
        self._handshake = handshake

    def buildProtocol(self, addr: IAddress | None) -> _GatewayHandshake:
        return self._handshake


@implementer(IHalfCloseableProtocol)
class _GatewayHandshake(Protocol):
    """Sends the token and reads the status; afterwards passes everything to the user's protocol.

    :param clock: measures ``timeout``.
    :param token: without its line end.
    :param factory: builds the user's protocol.
    :param timeout: seconds from the connection until the status.
    """

    transport: ITCPTransport
    #: The connect to the gateway.
    connecting: Deferred[IProtocol]

    def __init__(self, clock: IReactorTime, token: bytes, factory: IProtocolFactory, timeout: float) -> None:
        self.done: Deferred[IProtocol] = Deferred(self._cancelled)
        self._clock = clock
        self._token = token
        self._factory = factory
        self._timeout = timeout
        self._timer: IDelayedCall | None = None
        self._status = b""
        self._inner: IProtocol | None = None

    def connectionMade(self) -> None:
        self._timer = self._clock.callLater(self._timeout, self._expired)
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
            cast("IHalfCloseableProtocol", self._inner).readConnectionLost()
        elif self._inner is not None:
            self.transport.loseConnection()
        else:
            self._fail(GatewayRefused(self._status))

    def writeConnectionLost(self) -> None:
        if IHalfCloseableProtocol.providedBy(self._inner):
            cast("IHalfCloseableProtocol", self._inner).writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._inner is not None:
            self._inner.connectionLost(reason)
        else:
            in_order = reason.check(ConnectionClosed) is not None
            self._fail(GatewayRefused(self._status) if in_order else reason.value)

    def not_connected(self, failure: Failure) -> None:
        """Fail, as the gateway could not be connected to."""
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
        self.connecting.cancel()
        if self.transport is not None:
            self.transport.abortConnection()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
