"""A listening port on a Unix socket that was bound outside of Twisted, by proxymux or by systemd.

Twisted's own one changes the permissions of such a socket's path and its backlog, shuts the socket down for everybody
who has it, and removes the path.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import cast

from twisted.internet import tcp, unix
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.python.failure import Failure

from proxymux.net.reactor.twisted_types import Reactor


class UnixPort(unix.Port):
    """A port on a Unix socket that listens already.

    The names beside ``connectionLost`` are tried with Twisted 24.11 and 26.10.

    :param sock: the socket, which the port owns from now on.
    :param release: gives up the path.
    """

    _shouldShutdown = False

    def __init__(
        self, reactor: Reactor, sock: socket.socket, factory: IProtocolFactory, release: Callable[[], None]
    ) -> None:
        super().__init__(os.fsencode(sock.getsockname()), factory, reactor=reactor)
        factory.doStart()
        self._given = sock
        self._release: Callable[[], None] | None = release

    def startListening(self) -> None:
        """Accept on the socket, without changing it."""
        self.connected = True
        self.socket = self._given
        self.numberAccepts = 100  # for where Twisted's own code accepts; as it sets it
        vars(self)["fileno"] = self.socket.fileno  # Twisted's code deletes it as the port is closed
        self.startReading()

    def connectionLost(self, reason: Failure) -> None:
        """Close the socket, and give up its path."""
        self.give_up_path()
        tcp.Port.connectionLost(self, reason)

    def give_up_path(self) -> None:
        """Give up the path, so that nobody new connects."""
        release, self._release = self._release, None
        if release is not None:
            release()


def adopt_unix(
    reactor: Reactor, sock: socket.socket, factory: IProtocolFactory, release: Callable[[], None] = lambda: None
) -> IListeningPort:
    """Accept connections on a Unix socket that listens already.

    :param sock: belongs to the port from now on.
    :param release: gives up its path; called as the port is closed, or shortly before.
    """
    port = UnixPort(reactor, sock, factory, release)
    port.startListening()
    return cast("IListeningPort", port)
