"""Moving connections to another process: what a driver can do that allows it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Protocol

from proxymux.net.connection import Connection
from proxymux.net.exchange import Exchange, JoinOptions

#: What JSON can hold.
Packed = dict[str, Any]


class Frozen(Protocol):
    """Connections that are frozen: one, or the two of an exchange."""

    @property
    def descriptors(self) -> list[int]:
        """Of their sockets."""

    @property
    def backlog(self) -> bytes:
        """What was still to be sent on them, one after the other."""

    @property
    def state(self) -> Packed:
        """All else that another process needs to go on with them."""

    def thaw(self) -> None:
        """Go on here."""

    def release(self) -> None:
        """Close the descriptors: another process has taken them."""


class Mover(Protocol):
    """Freezes connections, and takes those that another process had frozen.  A driver is one."""

    def freeze(self, what: object) -> Frozen | None:
        """Freeze a connection or an exchange; None, with nothing changed, if that cannot be moved."""

    def take_connection(self, sock: socket.SocketType, state: Packed, backlog: bytes) -> Connection:
        """Go on with a connection.

        :raises OSError: if the system does not let us.
        """

    def take_exchange(
        self, socks: Sequence[socket.SocketType], state: Packed, backlog: bytes, options: JoinOptions
    ) -> Exchange:
        """Go on with an exchange, whose sockets are those of the client and of the upstream.

        :raises OSError: if the system does not let us.
        """
