"""TLS by Twisted's ``TLSMemoryBIO``: as the client of an upstream, and over a connection that already carries bytes."""

from __future__ import annotations

import functools
import weakref
from typing import Final

from cryptography import x509
from OpenSSL import SSL, crypto
from OpenSSL.SSL import NO_OVERLAPPING_PROTOCOLS
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IAddress, IOpenSSLClientConnectionCreator, IProtocol, IProtocolFactory
from twisted.internet.ssl import CertificateOptions, platformTrust
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from proxymux.net.connection import EARLY
from proxymux.net.happy_eyeballs import DialListener, TlsFailed
from proxymux.net.reactor.connection import TransportConnection
from proxymux.net.reactor.twisted_types import Transport
from proxymux.net.timers import Timers
from proxymux.net.wording import explain, explain_certificate
from proxymux.printable import printable

#: Of the names in a certificate that is refused: how many are logged, and how many characters of each.
_MAX_NAMES: Final = 3
_MAX_NAME: Final = 80
#: The numbers of why certificates are not accepted, while their connections are there.
_problems: Final[weakref.WeakKeyDictionary[SSL.Connection, int]] = weakref.WeakKeyDictionary()


@implementer(IProtocolFactory)
class OneProtocol:
    """A factory of one connection, whose protocol was made before."""

    def __init__(self, protocol: IProtocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: IAddress | None) -> IProtocol:
        return self._protocol

    def doStart(self) -> None:
        """Nothing is needed before the connection."""

    def doStop(self) -> None:
        """Nothing is left after the connection."""


@functools.cache
def client_context() -> SSL.Context:
    """The TLS context of all upstreams: the peer's chain is verified against OpenSSL's default trust store.

    Cached, because loading the trust store takes milliseconds.
    """
    context = CertificateOptions(trustRoot=platformTrust()).getContext()
    context.set_verify(context.get_verify_mode(), _note_problem)
    return context


def _note_problem(connection: SSL.Connection, certificate: crypto.X509, number: int, depth: int, is_good: int) -> bool:
    """Keep the number of why a certificate is not accepted: the error of the handshake does not have it."""
    if not is_good:
        _problems[connection] = number
    return bool(is_good)


@implementer(IOpenSSLClientConnectionCreator)
class _ClientConnectionCreator:
    """Makes the TLS connection to one upstream.  :class:`ClientHandshake` verifies the name, Twisted's own does not.

    :param server_name: sent to the peer (SNI), unless it is an IP address.
    """

    def __init__(self, server_name: str) -> None:
        self._server_name = server_name

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = SSL.Connection(client_context(), None)
        if not _is_ip_address(self._server_name):
            connection.set_tlsext_host_name(self._server_name.encode("ascii"))
        return connection


def admit_any_alpn(options: object) -> None:
    """Complete a TLS handshake without ALPN where a client offers protocols and the listener's ``options`` name none.

    Twisted answers such a client with an empty protocol name, at which OpenSSL ends the handshake.
    """
    # Tried with Twisted 24.11 and 26.10.
    if isinstance(options, CertificateOptions) and not options._acceptableProtocols:
        options.getContext().set_alpn_select_callback(lambda connection, offered: NO_OVERLAPPING_PROTOCOLS)


def start_client_tls(transport: Transport, protocol: IProtocol, server_name: str) -> None:
    """Begin TLS as the client on ``transport``; ``protocol`` gets the decrypted bytes from now on."""
    wrapper = TLSMemoryBIOFactory(_ClientConnectionCreator(server_name), True, OneProtocol(protocol))
    wrapper.noisy = False
    _replace_protocol(transport, wrapper.buildProtocol(None))


def pass_on(
    connection: TransportConnection, factory: IProtocolFactory, address: IAddress, received: bytes = b""
) -> None:
    """Put the protocol that ``factory`` builds in the place of ``connection`` on its transport.

    :param address: the peer's, for the factory.
    :param received: bytes that have been read and are the protocol's.
    :raises Exception: that the factory or the protocol raised; ``connection`` has its transport again.
    """
    transport = connection.transport
    try:
        _replace_protocol(transport, factory.buildProtocol(address), received)
    except Exception:
        transport.protocol = connection  # tried with Twisted 24.11 and 26.10
        raise


def _replace_protocol(transport: Transport, protocol: IProtocol | None, received: bytes = b"") -> None:
    assert protocol is not None
    transport.protocol = protocol  # tried with Twisted 24.11 and 26.10
    protocol.makeConnection(transport)
    if received and not transport.disconnected:
        protocol.dataReceived(received)


def name_problem(connection: TransportConnection, server_name: str) -> str | None:
    """Why the peer's certificate is not one for ``server_name``; None if it is.

    Twisted's own check takes only one kind of error for a refusal: 26.10 lets a certificate pass that has no
    subjectAltName at all.  Here whatever goes wrong is a refusal.

    :param server_name: a host name (RFC 6125) or an IP address.
    """
    handle = connection.transport.getHandle()
    try:
        if _is_ip_address(server_name):
            verify_ip_address(handle, server_name.partition("%")[0])
        else:
            verify_hostname(handle, server_name)
    except Exception:
        return f"the certificate is not one for {server_name}; {_names_in(handle.get_peer_certificate())}"
    return None


def _names_in(certificate: crypto.X509 | None) -> str:
    """What a certificate names, in words for the operator."""
    try:
        assert certificate is not None
        extension = certificate.to_cryptography().extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = [
            *extension.value.get_values_for_type(x509.DNSName),
            *map(str, extension.value.get_values_for_type(x509.IPAddress)),
        ]
    except Exception:  # whatever the peer has put into it
        names = []
    shown = [printable(name, _MAX_NAME) for name in names[:_MAX_NAMES]]
    if not shown:
        return "it names no host (subjectAltName)"
    return f"it names {', '.join(shown)}{' and others' if len(names) > len(shown) else ''}"


def _is_ip_address(server_name: str) -> bool:
    return isIPAddress(server_name) or isIPv6Address(server_name)


class ClientHandshake:
    """Owns the connection to an upstream during its TLS handshake.

    :param timers: for the encrypted connection.
    :param connection: where the peer expects TLS from now on.
    :param server_name: what the peer's certificate must name.
    :param listener: is given the encrypted connection, which is paused, or told why there is none.
    """

    def __init__(
        self, timers: Timers, connection: TransportConnection, server_name: str, listener: DialListener
    ) -> None:
        self._listener: DialListener | None = listener
        # A name may be written with the dot of the root; certificates and SNI (RFC 6066 section 3) are without it.
        self._server_name = server_name.removesuffix(".")
        self._secured = TransportConnection(timers, self)
        start_client_tls(connection.transport, self._secured, self._server_name)
        self._secured.resume()

    def cancel(self) -> None:
        if self._listener is not None:
            self._listener = None
            self._secured.owner = EARLY
            self._secured.abort()

    def made(self) -> None:
        """Ignore the start of the handshake, which needs nothing done."""

    def secured(self) -> None:
        # Twisted before 26.4 says this of a peer whose certificate names another too, and closes the connection then.
        if self._listener is None or self._secured.transport.disconnecting:
            return
        listener, self._listener = self._listener, None
        self._secured.owner = EARLY
        problem = name_problem(self._secured, self._server_name)
        if problem is None:
            self._secured.pause()
            listener.connected(self._secured)
        else:
            self._secured.abort()
            listener.failed(TlsFailed(f"TLS: {problem}"))

    def received(self, data: bytes) -> None:
        """Ignore data: none is delivered before the handshake is done."""

    def finished(self) -> None:
        """Ignore a FIN: Twisted reports a TLS peer's as the loss of the connection."""

    def flushed(self) -> None:
        """Ignore our own FIN: none is sent on a TLS connection."""

    def lost(self, reason: Exception | None) -> None:
        if self._listener is not None:
            listener, self._listener = self._listener, None
            listener.failed(TlsFailed(f"TLS: {self._problem(reason)}"))

    def _problem(self, reason: Exception | None) -> str:
        if reason is None or isinstance(reason, ConnectionLost):
            return "the peer closed the connection in the handshake"
        number = _problems.get(self._secured.transport.getHandle())
        return explain(reason) if number is None else f"{explain(reason)}: {explain_certificate(number)}"
