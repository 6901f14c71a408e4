"""TLS listeners of Twisted's making: their contexts go to our own engine, in the place of Twisted's transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from OpenSSL import SSL
from OpenSSL.SSL import NO_OVERLAPPING_PROTOCOLS
from twisted.internet.interfaces import IAddress, IOpenSSLServerConnectionCreator, IProtocol, IProtocolFactory
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from proxymux.net.reactor.connection import TransportConnection
from proxymux.net.reactor.twisted_types import Transport
from proxymux.net.tls.engine import TlsEngine
from proxymux.net.tls.hello import MakeEngine


class _StandIn:
    """Stands for the TLS protocol of Twisted's that a context's maker is given.

    :param factory: the factory of that protocol.
    """

    def __init__(self, factory: TLSMemoryBIOFactory) -> None:
        self.factory = factory

    def failVerification(self, reason: Failure) -> None:
        """Ignore a refusal by a callback: OpenSSL is told of it by the callback's result."""

    def abortConnection(self) -> None:
        """Ignore it, as above."""


def unwrap(factory: IProtocolFactory) -> tuple[IProtocolFactory, MakeEngine | None]:
    """The factory within one of Twisted's for TLS, and what makes the engines of its connections.

    :returns: ``factory`` itself and None if it is not one for TLS.
    """
    if not isinstance(factory, TLSMemoryBIOFactory):
        return factory, None
    # Twisted 26.10 has the first name, 24.11 the second.
    make = getattr(factory, "_creatorCallable", None) or getattr(factory, "_createConnection")  # noqa: B009
    create = cast("Callable[[object], SSL.Connection]", make)
    stand_in = _StandIn(factory)

    def make_engine() -> TlsEngine:
        handle = create(stand_in)
        handle.set_app_data(stand_in)
        handle.set_accept_state()
        return TlsEngine(handle)

    return factory.wrappedFactory, make_engine


def wrap(contexts: IOpenSSLServerConnectionCreator, factory: IProtocolFactory) -> TLSMemoryBIOFactory:
    """A factory of Twisted's that does TLS, for :func:`unwrap`.

    :param contexts: those of a listening endpoint.
    """
    _allow_resumption(contexts)
    _admit_any_alpn(contexts)
    secure = TLSMemoryBIOFactory(contexts, False, factory)
    secure.noisy = False
    return secure


def _allow_resumption(options: object) -> None:
    """Give clients tickets to resume their sessions, which Twisted's string ``ssl:`` has no word for.

    :param options: those of the endpoint, before their first use.
    """
    if isinstance(options, CertificateOptions) and not options.verify:
        options._options &= ~SSL.OP_NO_TICKET  # tried with Twisted 24.11 and 26.10


def _admit_any_alpn(options: object) -> None:
    """Complete a TLS handshake without ALPN where a client offers protocols and the listener's ``options`` name none.

    Twisted answers such a client with an empty protocol name, at which OpenSSL ends the handshake.
    """
    # Tried with Twisted 24.11 and 26.10.
    if isinstance(options, CertificateOptions) and not options._acceptableProtocols:
        options.getContext().set_alpn_select_callback(lambda connection, offered: NO_OVERLAPPING_PROTOCOLS)


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
