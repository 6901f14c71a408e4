"""The beginning of a TLS connection: the ClientHello is read first, to choose the context by the name in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from proxymux.core.decision import NeedData
from proxymux.net.connection import Connection
from proxymux.net.tls.engine import TlsEngine, TlsError
from proxymux.net.tls.server import ServerContexts
from proxymux.net.wording import CUT_IN_HANDSHAKE, explain
from proxymux.sniff.tls import tls_client_hello


class ServerTls(Protocol):
    """The TLS of a listener."""

    def start(self, connection: Connection, received: bytes) -> None:
        """Begin TLS as the server.  The connection's owner is told how the handshake ends, and nothing before.

        :param received: what the client has sent already.
        :raises Exception: if there can be no TLS; of an endpoint's own code, say.
        """


#: Makes the engine of one accepted connection.
MakeEngine = Callable[[], TlsEngine]


class GivenTls:
    """TLS by an endpoint that makes its contexts itself: one of Twisted's.

    :param make_engine: makes the engine of one connection.
    """

    def __init__(self, make_engine: MakeEngine) -> None:
        self.make_engine = make_engine

    def start(self, connection: Connection, received: bytes) -> None:
        connection.start_tls(self.make_engine(), received)
        connection.resume()


class NamedTls:
    """TLS by certificates of our own, chosen by the name that the client asks for."""

    def __init__(self, contexts: ServerContexts) -> None:
        self.contexts = contexts

    def start(self, connection: Connection, received: bytes) -> None:
        _HelloReader(connection, self.contexts).begin(received)


class _HelloReader:
    """Owns a connection until its ClientHello is whole."""

    def __init__(self, connection: Connection, contexts: ServerContexts) -> None:
        self._connection = connection
        self._contexts = contexts
        self._owner = connection.owner
        self._buffer = b""

    def begin(self, received: bytes) -> None:
        self._connection.owner = self
        if received:
            self.received(received)
        if self._connection.owner is self:
            self._connection.resume()

    def made(self) -> None:
        """Never called: the connection was established before."""

    def secured(self) -> None:
        """Never called: TLS has not begun."""

    def flushed(self) -> None:
        """Never called: nothing is sent before TLS has begun."""

    def received(self, data: bytes) -> None:
        self._buffer += data
        hello = tls_client_hello(self._buffer)
        if not isinstance(hello, NeedData):
            self._start(None if hello is None else hello.server_name)

    def finished(self) -> None:
        self._start(None)  # OpenSSL says what is wrong with it

    def lost(self, reason: Exception | None) -> None:
        self._owner.lost(TlsError(CUT_IN_HANDSHAKE if reason is None else explain(reason)))

    def _start(self, server_name: str | None) -> None:
        self._connection.owner = self._owner
        self._connection.start_tls(self._contexts.engine(server_name, self._buffer), self._buffer)
