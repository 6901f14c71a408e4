"""Binding for others: the sockets of an endpoint, opened here and accepted on by the workers.

An endpoint is given a reactor whose methods that listen open the sockets, and accept nothing.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IProtocolFactory

from proxymux.net.listen_queue import turn_away
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.session.incoming_cpu import divide_by_cpu
from proxymux.session.kept import KeptSockets
from proxymux.session.opening import open_tcp, open_unix
from proxymux.session.unix_path import UnixPath


class SocketRules(Protocol):
    """What a listener says of its sockets."""

    @property
    def reuse(self) -> bool:
        """Other processes may listen on the same port."""

    @property
    def ipv6_only(self) -> bool:
        """Accept no IPv4 clients on an IPv6 address."""

    @property
    def by_cpu(self) -> bool:
        """Give each client to the socket of the CPU that its packets come in on."""

    def backlog_of(self, endpoint_backlog: int) -> int:
        """The length of the listen queue, where the endpoint asks for ``endpoint_backlog``."""

    def mode_of(self, endpoint_mode: int) -> int:
        """The permissions of a Unix socket, where the endpoint asks for ``endpoint_mode``."""


class BindingReactor:
    """The reactor, but its methods that listen open :attr:`sockets`: one for each worker, where the system divides
    clients among several sockets of one address (SO_REUSEPORT), or else one that all workers share.

    Endpoints call them with the arguments of Twisted's own methods; they raise :class:`CannotListenError`.

    :param rules: of the listener.
    :param count: the number of workers.
    """

    def __init__(self, reactor: Reactor, rules: SocketRules, count: int) -> None:
        self._reactor = reactor
        self._rules = rules
        self._count = count
        #: The sockets, which listen; they belong to the caller.
        self.sockets: list[socket.socket] = []
        #: Gives up what else was taken: a path and its lock.
        self.release: Callable[[], None] = _nothing
        #: The socket was passed by systemd, which goes on with it.
        self._is_passed = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._reactor, name)

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> None:
        self.sockets += open_tcp(
            KeptSockets.of_process(),
            interface,
            port,
            self._count,
            reuse=True,
            exclusive=not self._rules.reuse,
            ipv6_only=self._rules.ipv6_only,
            backlog=self._rules.backlog_of(backlog),
        )
        divide_by_cpu(self.sockets, self._rules.by_cpu)

    def listenSSL(
        self, port: int, factory: IProtocolFactory, contextFactory: object, backlog: int = 50, interface: str = ""
    ) -> None:
        self.listenTCP(port, factory, backlog, interface)

    def listenUNIX(
        self, address: str, factory: IProtocolFactory, backlog: int = 50, mode: int = 0o666, wantPID: bool = False
    ) -> None:
        name, kept = os.fsdecode(address), KeptSockets.of_process()
        mode, backlog = self._rules.mode_of(mode), self._rules.backlog_of(backlog)
        sock, self.release = open_unix(kept, UnixPath(name, wantPID), name, mode, backlog)
        self.sockets.append(sock)

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory) -> None:
        self._is_passed = True
        self.sockets.append(socket.socket(fileno=os.dup(fileDescriptor)))

    def close(self) -> float:
        """Close the sockets, and give up the rest.  Those that nobody else has for later let nobody new in.

        :returns: seconds until the last who had begun to connect is in a listen queue, for who has copies.
        """
        waits = [0.0]
        for sock in self.sockets:
            if sock.family != socket.AF_UNIX and not (self._is_passed or KeptSockets.of_process().is_on):
                waits.append(turn_away(sock))
            sock.close()
        self.release()
        return max(waits)


def _nothing() -> None:
    """There is nothing to give up."""
