"""Accepting on one of Twisted's listening ports, in batches and only while the accept gate is open."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final

from proxymux.core.identity import SocketAddress
from proxymux.net.accept_gate import EXHAUSTED, AcceptGate

#: Connections taken in one turn, at most.
_BATCH: Final = 64


class Acceptor:
    """Does the reading of one of Twisted's ports.

    :param port: it listens already.
    :param gate: shut while there is no room.
    :param arrived: called with each socket, where its other end is, and where this end is if that is the same for all.
    """

    def __init__(
        self,
        port: Any,
        gate: AcceptGate,
        arrived: Callable[[socket.SocketType, Any, SocketAddress | None], None],
    ) -> None:
        self._port = port
        self._gate = gate
        self._arrived = arrived
        self._listener: Any = port.socket
        self._family = int(self._listener.family)
        self._local = self._local_of_all()
        self._batch = 1
        port.doRead = self.accept

    def accept(self) -> None:
        """Take the connections that wait."""
        for count in range(self._batch):
            if self._gate.is_shut:
                self._wait()
                return
            try:
                fd, address = self._listener._accept()
            except BlockingIOError:
                self._batch = max(1, count)
                return
            except OSError as problem:
                if problem.errno in EXHAUSTED:
                    self._gate.shut(problem)
                    self._wait()
                    return
                continue  # that client has gone again
            sock = socket.SocketType(self._family, socket.SOCK_STREAM, 0, fd)
            sock.setblocking(False)
            self._arrived(sock, address, self._local)
        self._batch = min(2 * self._batch, _BATCH)

    def _wait(self) -> None:
        self._port.stopReading()
        self._gate.wait(self._go_on)

    def _go_on(self) -> None:
        if self._port.connected:
            self._port.startReading()

    def _local_of_all(self) -> SocketAddress | None:
        if self._family == socket.AF_UNIX:
            name = self._listener.getsockname()
            return f"unix:{name.decode('utf-8', 'backslashreplace') if isinstance(name, bytes) else name}", 0
        host, port = self._listener.getsockname()[:2]
        return None if host in ("0.0.0.0", "::") else (host, port)


def peer_of(address: Any) -> SocketAddress:
    """Where a client is, from what accept says of it."""
    if not isinstance(address, tuple):
        name = address.decode("utf-8", "backslashreplace") if isinstance(address, bytes) else address
        return f"unix:{name}", 0
    if len(address) == 4 and address[3]:
        return socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0], address[1]
    return address[0], address[1]


class TransportAccepting:
    """Makes Twisted's transports of the sockets that a port accepts, as the port itself would.

    :param port: one of Twisted's, which listens already.
    :param gate: shut while there is no room.
    :param factory: builds the protocol of each connection.
    """

    def __init__(self, port: Any, gate: AcceptGate, factory: Any) -> None:
        self._port = port
        self._factory = factory
        self._number = 0
        Acceptor(port, gate, self._arrived)

    def _arrived(self, sock: socket.SocketType, address: Any, local: SocketAddress | None) -> None:
        whole = socket.socket(sock.family, sock.type, sock.proto, sock.detach())
        host, *rest = address if isinstance(address, tuple) else (address,)
        if len(rest) == 3:
            host = peer_of(address)[0]
        where = (host, *rest) if isinstance(address, tuple) else address
        protocol = self._factory.buildProtocol(self._port._buildAddr(where))
        if protocol is None:
            whole.close()
            return
        self._number += 1
        transport = self._port.transport(whole, protocol, where, self._port, self._number, self._port.reactor)
        protocol.makeConnection(transport)
