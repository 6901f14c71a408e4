"""Accepting plain sockets, which the hub watches from then on."""

from __future__ import annotations

import socket
from collections.abc import Callable

from proxymux.core.identity import SocketAddress
from proxymux.net.accept_gate import AcceptGate
from proxymux.net.connection import UNOWNED, Connection
from proxymux.net.epoll.connection import EpollConnection
from proxymux.net.epoll.hub import Hub
from proxymux.net.reactor.accepting import Acceptor
from proxymux.net.reactor.twisted_types import ListeningPort
from proxymux.net.socket_address import RawAddress, address_of


class EpollAccepting:
    """Makes an :class:`EpollConnection` of every socket that a port accepts.

    :param port: listens already; its transports and its factory are not used.
    :param gate: accepting pauses while it is shut.
    :param accepted: called with each connection, which has no owner yet.
    """

    def __init__(self, hub: Hub, port: ListeningPort, gate: AcceptGate, accepted: Callable[[Connection], None]) -> None:
        self._hub = hub
        self._new_connection = accepted
        Acceptor(port, gate, self._accepted)

    def _accepted(self, sock: socket.SocketType, address: RawAddress, local: SocketAddress | None) -> None:
        try:
            connection = EpollConnection(self._hub, sock, UNOWNED, address_of(address), local)
        except OSError:
            sock.close()  # the client has reset it already
            return
        self._new_connection(connection)
