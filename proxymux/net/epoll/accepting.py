"""Accepting plain sockets for the hub."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from proxymux.core.identity import SocketAddress
from proxymux.net.accept_gate import AcceptGate
from proxymux.net.connection import UNOWNED, Connection
from proxymux.net.epoll.connection import EpollConnection
from proxymux.net.epoll.hub import Hub
from proxymux.net.reactor.accepting import Acceptor, peer_of


class EpollAccepting:
    """Makes connections of the sockets that a port accepts.

    :param port: one of Twisted's, which listens already.
    :param gate: shut while there is no room.
    :param welcome: is given each connection.
    """

    def __init__(self, hub: Hub, port: Any, gate: AcceptGate, welcome: Callable[[Connection], None]) -> None:
        self._hub = hub
        self._welcome = welcome
        Acceptor(port, gate, self._arrived)

    def _arrived(self, sock: socket.SocketType, address: Any, local: SocketAddress | None) -> None:
        try:
            connection = EpollConnection(self._hub, sock, UNOWNED, peer_of(address), local)
        except OSError:
            sock.close()  # it has gone again
            return
        self._welcome(connection)
