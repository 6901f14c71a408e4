"""The socket options of every TCP connection, of clients and of upstreams."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Final, Protocol

from proxymux.settings import Settings

#: Keep-alive probes that go unanswered before a connection is lost.
PROBES: Final = 3


class _Socket(Protocol):
    def setsockopt(self, level: int, optname: int, value: int, /) -> None: ...


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """Options of a TCP socket.  Set on a listening socket, they hold for the connections that it accepts.

    :param keepalive: seconds without a byte after which the peer is probed, and between probes; None is the system's.
    :param user_timeout: seconds for which sent bytes may go unacknowledged (RFC 5482); None is the system's.
    """

    keepalive: int | None = None
    user_timeout: float | None = None

    @classmethod
    def of(cls, settings: Settings) -> SocketOptions:
        """The options that the settings ask for."""
        return cls(settings.tcp_keepalive, settings.tcp_user_timeout)

    def apply(self, sock: _Socket) -> None:
        """Set the options on a TCP socket, with TCP_NODELAY and SO_KEEPALIVE."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self.keepalive is not None:
            _set(sock, "TCP_KEEPIDLE", self.keepalive)
            _set(sock, "TCP_KEEPINTVL", self.keepalive)
            _set(sock, "TCP_KEEPCNT", PROBES)
        if self.user_timeout is not None:
            _set(sock, "TCP_USER_TIMEOUT", int(self.user_timeout * 1000))


def _set(sock: _Socket, name: str, value: int) -> None:
    option = getattr(socket, name, None)
    if option is not None:  # macOS lacks some of them
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
