"""TLS to the HTTP servers of sources: whom they are verified by, and the certificate that they are shown."""

from __future__ import annotations

from dataclasses import dataclass

from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from proxymux.errors import BadAddress, BadCertificate
from proxymux.net.tls.certificates import read_certificates, read_key_pair
from proxymux.net.tls.context import new_context, trust, use_pair
from proxymux.net.tls.expected import Expected
from proxymux.net.tls.names import is_address, without_root
from proxymux.net.wording import explain_certificate


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The PEM files of a source.  They are read for each connection, so that new ones need no reload.

    :param ca: the authorities to verify the server by; None is OpenSSL's trust store.
    :param cert: the key and the certificate chain to show; None shows nothing.
    """

    ca: str | None = None
    cert: str | None = None

    def check(self) -> None:
        """Read the files.

        :raises BadAddress: if one of them cannot be used, as the source that names it cannot then.
        """
        try:
            self._context()
        except BadCertificate as problem:
            raise BadAddress(str(problem)) from None

    def open(self, host: str) -> ServerTls:
        """Make the TLS of one connection.

        :param host: the name, or the IP address, that the server's certificate has to be for.
        :raises BadCertificate: if a file cannot be used.
        """
        return ServerTls(self._context(), without_root(host))

    def _context(self) -> SSL.Context:
        context = new_context(SSL.TLS_CLIENT_METHOD, SSL.TLS1_2_VERSION)
        if self.ca is None:
            context.set_default_verify_paths()
        else:
            trust(context, read_certificates(self.ca))
        if self.cert is not None:
            use_pair(context, read_key_pair(self.cert))
        return context


@implementer(IOpenSSLClientConnectionCreator)
class ServerTls:
    """The TLS of one connection to a server, as Twisted takes it.

    Twisted's own (``optionsForClientTLS``) is not used, as it lets certificates pass that name no server.

    :param context: of this connection alone.
    :param host: what the server's certificate has to be for.
    """

    def __init__(self, context: SSL.Context, host: str) -> None:
        self._context = context
        self._expected = Expected(host, None)
        #: Why the server's certificate is not accepted, in words; None if it is, or none has been shown.
        self.problem: str | None = None
        context.set_verify(SSL.VERIFY_PEER, self._verify)

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Make OpenSSL's connection; called by Twisted."""
        name = self._expected.server_name
        handle = SSL.Connection(self._context, None)
        if not is_address(name):
            handle.set_tlsext_host_name(name.encode("ascii"))
        handle.set_connect_state()
        return handle

    def _verify(self, _: SSL.Connection, shown: X509, number: int, depth: int, is_valid: int) -> bool:
        """Answer OpenSSL, within the handshake: nobody else is to have our request, or our own certificate."""
        if not is_valid:
            self.problem = f"the peer's certificate is not accepted: {explain_certificate(number)}"
        elif depth == 0:
            self._expected.look_at(shown)
            self.problem = self._expected.problem
        return self.problem is None
