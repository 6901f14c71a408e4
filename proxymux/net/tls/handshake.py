"""The TLS handshake with an upstream, and the check that it is the one that was meant."""

from __future__ import annotations

from proxymux.core.upstream_tls import UpstreamTls
from proxymux.errors import BadCertificate
from proxymux.net.connect_fault import TlsFailed
from proxymux.net.connection import EARLY, Connection
from proxymux.net.happy_eyeballs import DialListener
from proxymux.net.tls.client import ClientContexts
from proxymux.net.tls.engine import TlsError
from proxymux.net.tls.expected import AnyExpected, Expected
from proxymux.net.tls.names import peer_certificate, without_root
from proxymux.net.wording import CUT_IN_HANDSHAKE, explain


class ClientHandshake:
    """Owns the connection to an upstream during its TLS handshake.

    :param connection: where the peer expects TLS from now on.
    :param tls: what the decision says of it.
    :param server_name: what the peer's certificate must name, unless it is pinned.
    :param listener: is given the connection, which is paused, or told why there is none.
    :param is_verified: the peer's certificate must be the upstream's; else any is good.
    """

    def __init__(
        self,
        contexts: ClientContexts,
        connection: Connection,
        tls: UpstreamTls,
        server_name: str,
        listener: DialListener,
        is_verified: bool = True,
    ) -> None:
        self._contexts = contexts
        self._listener: DialListener | None = listener
        self._connection = connection
        self._tls = tls
        name = without_root(server_name)
        self._expected = Expected(name, tls.pin) if is_verified else AnyExpected(name)

    def start(self) -> None:
        """Begin the handshake."""
        try:
            engine = self._contexts.engine(self._tls, self._expected)
        except BadCertificate as problem:
            self._fail(str(problem))
            return
        self._connection.owner = self
        self._connection.start_tls(engine)
        self._connection.resume()

    def cancel(self) -> None:
        if self._listener is not None:
            self._listener = None
            self._connection.owner = EARLY
            self._connection.abort()

    def made(self) -> None:
        """Never called: the connection was established before."""

    def secured(self) -> None:
        handle = self._connection.handle
        assert handle is not None
        self._connection.owner = EARLY
        if not self._expected.is_checked:
            self._expected.check(peer_certificate(handle))  # of the session that was resumed
        if self._expected.problem is not None:
            self._fail(self._expected.problem)
            return
        listener, self._listener = self._listener, None
        assert listener is not None
        self._connection.pause()
        listener.connected(self._connection)

    def _fail(self, problem: str) -> None:
        listener, self._listener = self._listener, None
        self._connection.owner = EARLY
        self._connection.abort()
        if listener is not None:
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
            problem = explain(reason) if isinstance(reason, TlsError) else CUT_IN_HANDSHAKE
            listener.failed(TlsFailed(f"TLS: {self._expected.problem or problem}"))
