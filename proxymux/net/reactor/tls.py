"""TLS on a connection that already carries bytes, and what a handshake said."""

from __future__ import annotations

import functools
from typing import Any

from OpenSSL.SSL import NO_OVERLAPPING_PROTOCOLS
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions, optionsForClientTLS
from twisted.protocols.tls import TLSMemoryBIOFactory

from proxymux.net.connection import EARLY, explain
from proxymux.net.happy_eyeballs import DialListener, TlsFailed
from proxymux.net.reactor.connection import TransportConnection
from proxymux.net.timers import Timers


class OneProtocol(Factory):
    """Builds a protocol that is there already."""

    noisy = False

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: Any) -> Any:
        return self._protocol


@functools.lru_cache(maxsize=256)
def client_options(server_name: str) -> Any:
    """How to speak TLS to ``server_name``, verified against OpenSSL's default trust store.

    Kept, because to load the trust store takes milliseconds.
    """
    return optionsForClientTLS(server_name)


def admit_any_alpn(options: Any) -> None:
    """Let clients in that offer protocols by ALPN, where ``options`` of a listener name none: none is agreed on.

    Twisted answers them with no name at all, at which OpenSSL ends the handshake.
    """
    if isinstance(options, CertificateOptions) and not options._acceptableProtocols:
        options.getContext().set_alpn_select_callback(lambda connection, offered: NO_OVERLAPPING_PROTOCOLS)


def start_client_tls(transport: Any, protocol: IProtocol, server_name: str) -> None:
    """Begin TLS as the client on ``transport``; from now on ``protocol`` has the connection, decrypted."""
    factory = OneProtocol(protocol)
    wrapper = TLSMemoryBIOFactory(client_options(server_name), True, factory)
    wrapper.noisy = False
    hand_to(transport, wrapper.buildProtocol(None))


def hand_to(transport: Any, protocol: Any, received: bytes = b"") -> None:
    """Put ``protocol`` in the place of the one that ``transport`` has, and give it what was ``received``."""
    transport.protocol = protocol
    protocol.makeConnection(transport)
    if received and not transport.disconnected:
        protocol.dataReceived(received)


class ClientHandshake:
    """Owns a connection to an upstream during its TLS handshake.

    :param timers: for the encrypted connection.
    :param connection: where the peer expects TLS now.
    :param server_name: whom its certificate must name.
    :param listener: is given the encrypted connection, which nobody reads yet, or told why there is none.
    """

    def __init__(
        self, timers: Timers, connection: TransportConnection, server_name: str, listener: DialListener
    ) -> None:
        self._listener: DialListener | None = listener
        self._secured = TransportConnection(timers, self)
        start_client_tls(connection.transport, self._secured, server_name)
        self._secured.resume()

    def cancel(self) -> None:
        if self._listener is not None:
            self._listener = None
            self._secured.owner = EARLY
            self._secured.abort()

    def made(self) -> None:
        """The handshake begins by itself."""

    def secured(self) -> None:
        # Before Twisted 26.4 a peer whose name turns out wrong is said to be secured all the same, and then closed.
        if self._listener is not None and not self._secured.transport.disconnecting:
            listener, self._listener = self._listener, None
            self._secured.pause()
            self._secured.owner = EARLY
            listener.connected(self._secured)

    def received(self, data: bytes) -> None:
        """Nothing is delivered before the handshake is done."""

    def finished(self) -> None:
        """TLS does not half-close."""

    def flushed(self) -> None:
        """TLS does not half-close."""

    def lost(self, reason: Exception | None) -> None:
        if self._listener is not None:
            listener, self._listener = self._listener, None
            listener.failed(TlsFailed(f"TLS: {explain(reason)}"))
