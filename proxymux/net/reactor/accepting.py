"""Accepting on one of Twisted's listening ports, in batches and only while the accept gate is open.

Twisted's ``Port.doRead`` accepts one connection after another whatever room there is, and makes a transport of each.
Here ``doRead`` of the port is replaced, so that both drivers can take the sockets themselves.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Final

from twisted.internet import tcp
from twisted.internet.interfaces import IListeningPort, IProtocolFactory

from proxymux.core.identity import SocketAddress
from proxymux.net.accept_gate import EXHAUSTED, AcceptGate
from proxymux.net.listen_queue import turn_away
from proxymux.net.reactor.twisted_types import ListeningPort
from proxymux.net.reactor.unix_port import UnixPort
from proxymux.net.socket_address import RawAddress, address_of, with_zone

#: The most connections that are accepted in one turn of the reactor.
_BATCH: Final = 64
#: The most batches that are accepted of a port that is about to be closed: more than a listen queue holds.
_LAST_BATCHES: Final = 100


class Acceptor:
    """Accepts the connections of one listening port, in the place of the port's own ``doRead``.

    :param port: listens already.
    :param gate: accepting pauses while it is shut.
    :param accepted: called with each non-blocking socket, the peer's address, and the local address where all
        connections of the port have the same; None where the socket has to be asked.
    """

    def __init__(
        self,
        port: ListeningPort,
        gate: AcceptGate,
        accepted: Callable[[socket.SocketType, RawAddress, SocketAddress | None], None],
    ) -> None:
        self._port = port
        self._gate = gate
        self._accepted = accepted
        self._socket = port.socket
        self._family = int(self._socket.family)
        self._local = self._common_local_address()
        self._batch = 1
        port.doRead = self.accept  # tried with Twisted 24.11 and 26.10

    def accept(self) -> None:
        """Accept the connections that wait in the listen queue."""
        for count in range(self._batch):
            if self._gate.is_shut:
                self._pause()
                return
            try:
                fd, address = self._socket._accept()  # CPython's: a descriptor, without a second socket object
            except BlockingIOError:
                self._batch = max(1, count)
                return
            except OSError as problem:
                if problem.errno in EXHAUSTED:
                    if not self._gate.make_room():
                        self._gate.shut(problem)
                        self._pause()
                    return
                continue  # the client has closed or reset the connection before it was accepted
            sock = socket.SocketType(self._family, socket.SOCK_STREAM, 0, fd)
            sock.setblocking(False)
            self._accepted(sock, address, self._local)
        self._batch = min(2 * self._batch, _BATCH)

    def _pause(self) -> None:
        self._port.stopReading()
        self._gate.wait(self._resume)

    def _resume(self) -> None:
        if self._port.connected:
            self._port.startReading()

    def _common_local_address(self) -> SocketAddress | None:
        address = self._socket.getsockname()
        return None if address[0] in ("0.0.0.0", "::") else address_of(address)


def begin_closing(port: IListeningPort) -> float:
    """Let nobody new into the listen queue of a port that is about to be closed; its path, if it has one, is gone.

    :param port: one whose socket no other process accepts on, or will; nothing is done with a plug-in's own.
    :returns: seconds until the last who had begun to connect is in the queue.
    """
    if isinstance(port, UnixPort):
        port.give_up_path()
        return 0.0
    return turn_away(port.socket) if isinstance(port, tcp.Port) else 0.0


def accept_rest(port: IListeningPort) -> None:
    """Accept whoever waits in the listen queue of a port that is about to be closed: they would be reset.

    Where accepting pauses they are left to that.

    :param port: one that an :class:`Acceptor` has; nothing is done with a plug-in's own.
    """
    if not isinstance(port, tcp.Port):
        return
    waiting = select.poll()
    waiting.register(port.fileno(), select.POLLIN)
    for _ in range(_LAST_BATCHES):
        if port not in port.reactor.getReaders() or not waiting.poll(0):
            return
        port.doRead()


class TransportAccepting:
    """Makes a transport of every socket that a port accepts, as the port itself would.

    :param port: listens already.
    :param gate: accepting pauses while it is shut.
    :param factory: builds the protocol of each transport.
    """

    def __init__(self, port: ListeningPort, gate: AcceptGate, factory: IProtocolFactory) -> None:
        self._port = port
        self._factory = factory
        self._number = 0
        Acceptor(port, gate, self._accepted)

    def _accepted(self, sock: socket.SocketType, address: RawAddress, local: SocketAddress | None) -> None:
        whole = socket.socket(sock.family, sock.type, sock.proto, sock.detach())
        if isinstance(address, tuple) and len(address) == 4:
            address = (with_zone(address[0], address[3]), *address[1:])  # as Twisted's own ports have it
        # The port's own steps, tried with Twisted 24.11 and 26.10.
        protocol = self._factory.buildProtocol(self._port._buildAddr(address))
        if protocol is None:
            whole.close()
            return
        self._number += 1
        transport = self._port.transport(whole, protocol, address, self._port, self._number, self._port.reactor)
        protocol.makeConnection(transport)
