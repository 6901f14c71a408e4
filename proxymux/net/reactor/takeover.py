"""Takeover: a plain socket leaves its transport of Twisted's.

Clients that come through an endpoint which listens in its own way (a plug-in's, say) have a transport of Twisted's.
When they are joined, the epoll driver can carry them all the same.  What depends on the inside of those transports is
here; it was tried with Twisted 24.11 and 26.10.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet import tcp, unix

from proxymux.core.identity import SocketAddress
from proxymux.net.connection import UNOWNED, ConnectionOwner
from proxymux.net.reactor.connection import TransportConnection

_PLAIN: Final = (tcp.Server, unix.Server)


@dataclass(frozen=True, slots=True)
class TakenSocket:
    """What a transport had: its socket, which is non-blocking, and the bytes that it has still to send."""

    sock: socket.SocketType
    unsent: bytes
    owner: ConnectionOwner
    peer: SocketAddress
    local: SocketAddress
    is_finished: bool


def take_socket(connection: TransportConnection) -> TakenSocket | None:
    """Take the socket of a connection, which is lost then; its owner is not told.

    :returns: None if the connection is not a plain socket, or is being closed: it stays as it is.
    """
    if connection.is_lost:
        return None
    transport: Any = connection.transport
    if type(transport) not in _PLAIN or transport.TLS or transport.disconnected or transport.disconnecting:
        return None
    if transport._writeDisconnecting or transport._aborting:
        return None
    peer, local = connection.peer, connection.local
    unsent = transport.dataBuffer[transport.offset :] + b"".join(transport._tempDataBuffer)
    whole = _detach(transport)
    sock = socket.SocketType(whole.family, whole.type, whole.proto, whole.detach())
    sock.setblocking(False)
    owner, connection.owner, connection.is_lost = connection.owner, UNOWNED, True
    return TakenSocket(sock, unsent, owner, peer, local, connection.is_finished)


def _detach(transport: Any) -> socket.socket:
    """The transport's socket, which it forgets as it does when its connection is lost, but for closing it."""
    transport.stopReading()
    transport.stopWriting()
    transport.producer = None
    transport.connected, transport.disconnected = 0, 1
    sock: socket.socket = transport.socket
    del transport.protocol, transport.socket, transport.fileno
    return sock
