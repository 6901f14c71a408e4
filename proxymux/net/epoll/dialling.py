"""Connecting plain sockets, which the hub watches from the start."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
from typing import Final

from proxymux.core.target import Address, UnixTarget
from proxymux.net.connection import EARLY
from proxymux.net.epoll.connection import EpollConnection
from proxymux.net.epoll.hub import ENDINGS, Hub
from proxymux.net.happy_eyeballs import DialListener
from proxymux.net.socket_options import SocketOptions

_STREAM: Final = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)  # every system with epoll has it
#: The local port is taken when the target is known, so one may serve for several targets.  Python has the name from
#: 3.12; the number is Linux's, as epoll is.
_BIND_ADDRESS_NO_PORT: Final = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)


class SocketAttempt:
    """An :class:`~proxymux.net.happy_eyeballs.Attempt` by a non-blocking connect.

    :param hub: watches the socket.
    :param target: a path or an IP address; a name has been looked up before.
    :param bind: the local IP address to connect from, or None.
    :param listener: is told how the attempt ends.
    """

    __slots__ = ("_fd", "_hub", "_listener", "_peer", "_sock")

    def __init__(
        self, hub: Hub, socket_options: SocketOptions, target: Address, bind: str | None, listener: DialListener
    ) -> None:
        self._hub = hub
        self._listener: DialListener | None = listener
        self._sock: socket.SocketType | None = None
        try:
            self._begin(target, bind, socket_options)
        except OSError as problem:
            self._fail(problem)

    def _begin(self, target: Address, bind: str | None, socket_options: SocketOptions) -> None:
        address: str | tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
        if isinstance(target, UnixTarget):
            address = target.path
            self._sock = sock = socket.SocketType(socket.AF_UNIX, _STREAM)
            self._peer = (f"unix:{target.path}", 0)
        else:
            family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
            address = self._peer = (target.host, target.port)
            if "%" in target.host:  # a zone, which only getaddrinfo() reads
                flags = socket.AI_NUMERICHOST
                address = socket.getaddrinfo(target.host, target.port, family, socket.SOCK_STREAM, 0, flags)[0][4]
            self._sock = sock = socket.SocketType(family, _STREAM)
            socket_options.apply(sock)
            if bind is not None:
                with contextlib.suppress(OSError):  # without it there are fewer ports
                    sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
                sock.bind((bind, 0))
        number = sock.connect_ex(address)
        if number not in (0, errno.EINPROGRESS):
            raise OSError(number, os.strerror(number))
        self._fd = sock.fileno()
        self._hub.watch(self._fd, self)

    # Called by the hub

    def ready(self, events: int) -> None:
        """Take note that the socket is connected or has failed."""
        sock, listener = self._sock, self._listener
        assert sock is not None
        assert listener is not None
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if events & ENDINGS else 0
        if number not in (0, errno.ECONNRESET):
            self._hub.close(sock, self._fd)
            self._sock = None
            self._fail(OSError(number, os.strerror(number)))
            return
        self._sock = self._listener = None
        connection = EpollConnection(self._hub, sock, EARLY, self._peer, is_patient=True, is_watched=True)
        connection.is_unread = bool(events & ~select.EPOLLOUT)
        connection.is_ending = bool(events & ENDINGS)
        listener.connected(connection)
        if number:
            # The peer has accepted the connection and reset it at once.
            connection.fail(OSError(number, os.strerror(number)))

    def _fail(self, problem: OSError) -> None:
        listener, self._listener = self._listener, None
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        if listener is not None:
            listener.failed(problem)

    def cancel(self) -> None:
        self._listener = None
        if self._sock is not None:
            sock, self._sock = self._sock, None
            self._hub.close(sock, self._fd)

    abort = cancel
