"""The servers that demos lead to: each is a few lines, and says in its answer which one it is."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Final, cast

from twisted.internet.address import IPv4Address
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorTCP, IReactorTime
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.protocols.basic import LineReceiver

from proxymux.core.codecs import make_codec
from proxymux.errors import BadMessage

_HOST: Final = "127.0.0.1"
#: Seconds that the shared server takes for a request: so long that others come meanwhile.
_WORK: Final = 0.02


class DemoUpstream(ServerFactory):
    """A server of a demo, on a port of 127.0.0.1.

    :param make: makes what answers one connection.
    :param wanted: the port to listen on, unless it is taken; 0 is any.
    """

    noisy = False

    def __init__(self, make: Callable[[], Protocol], wanted: int = 0) -> None:
        self._make = make
        self._wanted = wanted
        #: Where it listens; the wanted one before :meth:`listen`.
        self.port = wanted

    def listen(self, reactor: IReactorTCP) -> IListeningPort:
        """Listen on the wanted port, or on a free one if somebody has it."""
        try:
            port = reactor.listenTCP(self._wanted, self, interface=_HOST)
        except CannotListenError:
            port = reactor.listenTCP(0, self, interface=_HOST)
        self.port = cast(IPv4Address, port.getHost()).port
        return port

    def buildProtocol(self, addr: object) -> Protocol:
        return self._make()


def _page(text: str, *fields: str) -> bytes:
    """An HTTP response with a text."""
    head = ["HTTP/1.1 200 OK", "Content-Type: text/plain", f"Content-Length: {len(text)}", *fields]
    return "\r\n".join([*head, "", text]).encode()


class _Coloured(LineReceiver):
    """Answers an HTTP request with its colour, and closes."""

    MAX_LENGTH = 8192

    def __init__(self, colour: str) -> None:
        self._answer = _page(f"this is the {colour} upstream\n", "Connection: close")

    def lineReceived(self, line: bytes) -> None:
        if not line:
            assert self.transport is not None
            self.transport.write(self._answer)
            self.transport.loseConnection()


class _Shared(Protocol):
    """Answers each HTTP request with the number of the connection that it came on, and keeps that open."""

    def __init__(self, clock: IReactorTime, numbers: Iterator[int]) -> None:
        self._clock = clock
        self._answer = _page(f"answered on connection {next(numbers)}\n")
        self._requests = make_codec("http").requests()

    def dataReceived(self, data: bytes) -> None:
        try:
            found = sum(request.count for request in self._requests.feed(data))
        except BadMessage:
            assert self.transport is not None
            self.transport.loseConnection()
            return
        if found:
            self._clock.callLater(_WORK, self._reply, found)

    def _reply(self, count: int) -> None:
        assert self.transport is not None
        self.transport.write(self._answer * count)  # of a connection that is lost nobody takes it


class _Hidden(Protocol):
    """Says who it is, and closes."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"this is the hidden server; the token has led you here\n")
        self.transport.loseConnection()


def coloured(colour: str, wanted: int) -> DemoUpstream:
    """An HTTP server that answers every request with its colour.

    :param wanted: its port, unless that is taken.
    """
    return DemoUpstream(lambda: _Coloured(colour), wanted)


def shared(clock: IReactorTime) -> DemoUpstream:
    """An HTTP server that answers every request with the number of its connection.

    :param clock: measures how long a request takes.
    """
    numbers = itertools.count(1)
    return DemoUpstream(lambda: _Shared(clock, numbers))


def hidden() -> DemoUpstream:
    """A server that greets whoever connects."""
    return DemoUpstream(_Hidden)
