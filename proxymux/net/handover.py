"""The hand-over: a plain socket leaves its transport of Twisted's and becomes the hub's.

Clients that come through an endpoint which listens in its own way (a plug-in's, say) have a transport of Twisted's.
When they are joined, the fd relay can carry them all the same.  Whatever depends on the inside of those transports is
here.
"""

from __future__ import annotations

import socket
from typing import Any, Final

from twisted.internet import tcp, unix

from proxymux.net.backlog import Backlog
from proxymux.net.hub import Hub
from proxymux.net.leg import UNOWNED, Leg
from proxymux.net.socket_leg import SocketLeg
from proxymux.net.transport_leg import TransportLeg

_PLAIN: Final = (tcp.Server, unix.Server)


def take_over(leg: Leg, hub: Hub) -> SocketLeg | None:
    """A leg on the same socket, with all that still waits to be sent on it; the old leg is then lost.

    :returns: None if the connection is not a plain socket, or is being closed: it stays as it is.
    """
    if isinstance(leg, SocketLeg):
        return leg
    if not isinstance(leg, TransportLeg) or leg.is_lost:
        return None
    transport: Any = leg.transport
    if type(transport) not in _PLAIN or transport.TLS or transport.disconnected or transport.disconnecting:
        return None
    if transport._writeDisconnecting or transport._aborting:
        return None
    peer, local = leg.peer, leg.local
    unsent = transport.dataBuffer[transport.offset :] + b"".join(transport._tempDataBuffer)
    whole = _detach(transport)
    sock = socket.SocketType(whole.family, whole.type, whole.proto, whole.detach())
    sock.setblocking(False)
    taken = SocketLeg(hub, sock, leg.owner, peer, local)
    taken.is_finished = leg.is_finished
    taken.is_unread = True
    if unsent:
        taken.backlog = Backlog()
        taken.backlog.add(unsent)
    leg.owner, leg.is_lost = UNOWNED, True
    return taken


def _detach(transport: Any) -> socket.socket:
    """The transport's socket, which it forgets as it does when its connection is lost, but for closing it."""
    transport.stopReading()
    transport.stopWriting()
    transport.producer = None
    transport.connected, transport.disconnected = 0, 1
    sock: socket.socket = transport.socket
    del transport.protocol, transport.socket, transport.fileno
    return sock
