"""TLS as the client of an upstream: the context, the handshake, and the check of the peer's name."""

from __future__ import annotations

import functools

from OpenSSL import SSL

from proxymux.net.connection import EARLY, Connection, explain
from proxymux.net.happy_eyeballs import DialListener, TlsFailed
from proxymux.net.tls.engine import TlsEngine
from proxymux.net.tls.names import is_address, name_problem, without_root


@functools.cache
def client_context() -> SSL.Context:
    """The TLS context of all upstreams: the peer's chain is verified against OpenSSL's default trust store.

    Cached, because loading the trust store takes milliseconds.
    """
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_default_verify_paths()
    context.set_verify(SSL.VERIFY_PEER)
    return context


class ClientHandshake:
    """Owns the connection to an upstream during its TLS handshake.

    :param connection: where the peer expects TLS from now on.
    :param server_name: what the peer's certificate must name.
    :param listener: is given the connection, which is paused, or told why there is none.
    """

    def __init__(self, connection: Connection, server_name: str, listener: DialListener) -> None:
        self._listener: DialListener | None = listener
        self._connection = connection
        self._server_name = without_root(server_name)

    def start(self) -> None:
        """Begin the handshake."""
        handle = SSL.Connection(client_context(), None)
        if not is_address(self._server_name):
            handle.set_tlsext_host_name(self._server_name.encode("ascii"))
        handle.set_connect_state()
        self._connection.owner = self
        self._connection.start_tls(TlsEngine(handle))
        self._connection.resume()

    def cancel(self) -> None:
        if self._listener is not None:
            self._listener = None
            self._connection.owner = EARLY
            self._connection.abort()

    def made(self) -> None:
        """Never called: the connection was established before."""

    def secured(self) -> None:
        listener, self._listener = self._listener, None
        handle = self._connection.handle
        assert listener is not None
        assert handle is not None
        self._connection.owner = EARLY
        problem = name_problem(handle, self._server_name)
        if problem is None:
            self._connection.pause()
            listener.connected(self._connection)
        else:
            self._connection.abort()
            listener.failed(TlsFailed(f"TLS: {problem}"))

    def received(self, data: bytes) -> None:
        """Never called: no data is delivered before the handshake is done."""

    def finished(self) -> None:
        """Never called: an end within the handshake is reported as the loss of the connection."""

    def flushed(self) -> None:
        """Never called: no FIN is sent in the handshake."""

    def lost(self, reason: Exception | None) -> None:
        if self._listener is not None:
            listener, self._listener = self._listener, None
            listener.failed(TlsFailed(f"TLS: {explain(reason)}"))
