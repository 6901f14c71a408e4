"""Takeover: a plain socket leaves its transport, so that the epoll driver can carry it.

Clients that come through an endpoint which listens in its own way (a plug-in's, say) have a transport of Twisted's.
When such a client is joined to an upstream on a plain socket, the socket is taken out of the transport.  The attributes
that are read and deleted for it were tried with Twisted 24.11 and 26.10.
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
    """What is taken out of a transport.

    :param sock: non-blocking.
    :param unsent: bytes that the transport had still to send.
    :param owner: the connection's owner.
    :param is_finished: the peer has sent FIN.
    """

    sock: socket.SocketType
    unsent: bytes
    owner: ConnectionOwner
    peer: SocketAddress
    local: SocketAddress
    is_finished: bool


def take_socket(connection: TransportConnection) -> TakenSocket | None:
    """Take the socket of a connection.  The connection is lost then, without its owner being told.

    :returns: None, with nothing changed, if the connection is not a plain socket or is being closed.
    """
    if connection.is_lost:
        return None
    transport: Any = connection.transport  # the attributes used from here on are tcp.Connection's own
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
    """The transport's socket.  The transport drops it as at the loss of its connection, but without closing it."""
    transport.stopReading()
    transport.stopWriting()
    transport.producer = None
    transport.connected, transport.disconnected = 0, 1
    sock: socket.socket = transport.socket
    del transport.protocol, transport.socket, transport.fileno
    return sock
