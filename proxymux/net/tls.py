"""TLS on a connection that already carries bytes, and what a handshake said."""

from __future__ import annotations

import functools
from typing import Any

from OpenSSL.SSL import NO_OVERLAPPING_PROTOCOLS
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions, optionsForClientTLS
from twisted.protocols.tls import TLSMemoryBIOFactory


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
