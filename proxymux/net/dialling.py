"""Dialling: one attempt to connect to a target, through every address that its name has.

There are two diallers: one connects plain sockets, for the hub, the other has Twisted's endpoints connect.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, UNIXClientEndpoint
from twisted.python.failure import Failure

from proxymux.core.target import InetTarget, Target, UnixTarget
from proxymux.net.hub import ENDINGS, Hub
from proxymux.net.leg import EARLY
from proxymux.net.names import Attempt, Denied, Guard, Named, Waiting
from proxymux.net.socket_leg import SocketLeg
from proxymux.net.timers import Timers
from proxymux.net.tls import OneProtocol
from proxymux.net.transport_leg import TransportLeg
from proxymux.net.tuning import Tuning

_STREAM: Final = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)  # which every system with epoll has


class Dialler(Protocol):
    """Makes attempts."""

    guard: Guard | None

    def dial(self, target: Target, bind: str | None, waiting: Waiting) -> Attempt:
        """Connect to ``target``, from the local IP address ``bind`` where that is given."""


class _NamingDialler:
    """Looks names up, and tries their addresses beside each other."""

    def __init__(self, reactor: Any, timers: Timers, tuning: Tuning) -> None:
        self._reactor = reactor
        self._timers = timers
        self._tuning = tuning
        #: Looks at every IP address before it is connected to.
        self.guard: Guard | None = None

    def dial(self, target: Target, bind: str | None, waiting: Waiting) -> Attempt:
        if isinstance(target, InetTarget) and not target.is_address:

            def dial(address: InetTarget, racing: Waiting) -> Attempt:
                return self._dial(address, bind, racing)

            return Named(self._reactor, self._timers, target, waiting, dial, self.guard)
        if self.guard is not None and isinstance(target, InetTarget):
            problem = self.guard(target)
            if problem is not None:
                waiting.failed(Denied(problem))
                return _NO_ATTEMPT
        return self._dial(target, bind, waiting)

    def _dial(self, target: Target, bind: str | None, waiting: Waiting) -> Attempt:
        raise NotImplementedError


class _NoAttempt:
    """What is left of one that has failed before it began."""

    def cancel(self) -> None: ...


_NO_ATTEMPT: Final = _NoAttempt()


class SocketDialler(_NamingDialler):
    """Connects plain sockets.

    :param reactor: whose resolver looks names up.
    :param tuning: of every connection.
    """

    def __init__(self, reactor: Any, timers: Timers, tuning: Tuning, hub: Hub) -> None:
        super().__init__(reactor, timers, tuning)
        self._hub = hub

    def _dial(self, target: Target, bind: str | None, waiting: Waiting) -> Attempt:
        return _SocketAttempt(self._hub, self._tuning, target, bind, waiting)


class _SocketAttempt:
    """A socket that is being connected."""

    __slots__ = ("_fd", "_hub", "_peer", "_sock", "_waiting")

    def __init__(self, hub: Hub, tuning: Tuning, target: Target, bind: str | None, waiting: Waiting) -> None:
        self._hub = hub
        self._waiting: Waiting | None = waiting
        self._sock: socket.SocketType | None = None
        try:
            self._begin(target, bind, tuning)
        except OSError as problem:
            self._fail(problem)

    def _begin(self, target: Target, bind: str | None, tuning: Tuning) -> None:
        if isinstance(target, UnixTarget):
            address: Any = target.path
            self._sock = sock = socket.SocketType(socket.AF_UNIX, _STREAM)
            self._peer = (f"unix:{address}", 0)
        else:
            family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
            address = self._peer = (target.host, target.port)
            if "%" in target.host:  # a zone, which only getaddrinfo reads
                flags = socket.AI_NUMERICHOST
                address = socket.getaddrinfo(target.host, target.port, family, socket.SOCK_STREAM, 0, flags)[0][4]
            self._sock = sock = socket.SocketType(family, _STREAM)
            tuning.apply(sock)
            if bind is not None:
                sock.bind((bind, 0))
        number = sock.connect_ex(address)
        if number not in (0, errno.EINPROGRESS):
            raise OSError(number, os.strerror(number))
        self._fd = sock.fileno()
        self._hub.watch(self._fd, self)

    def ready(self, events: int) -> None:
        """It is connected, or has failed."""
        sock, waiting = self._sock, self._waiting
        assert sock is not None
        assert waiting is not None
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if events & ENDINGS else 0
        problem = OSError(number, os.strerror(number))
        if number not in (0, errno.ECONNRESET):
            self._hub.close(sock, self._fd)
            self._sock = None
            self._fail(problem)
            return
        self._sock = self._waiting = None
        leg = SocketLeg(self._hub, sock, EARLY, self._peer, is_patient=True, is_watched=True)
        leg.is_unread = bool(events & ~select.EPOLLOUT)
        leg.is_ending = bool(events & ENDINGS)
        waiting.connected(leg)
        if number:
            leg.fail(problem)  # it was connected, and reset at once

    def _fail(self, problem: OSError) -> None:
        waiting, self._waiting = self._waiting, None
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        if waiting is not None:
            waiting.failed(problem)

    def cancel(self) -> None:
        self._waiting = None
        if self._sock is not None:
            sock, self._sock = self._sock, None
            self._hub.close(sock, self._fd)

    abort = cancel


class TransportDialler(_NamingDialler):
    """Has Twisted's endpoints connect.

    :param reactor: to connect with.
    :param tuning: of every connection.
    """

    def _dial(self, target: Target, bind: str | None, waiting: Waiting) -> Attempt:
        tuning = self._tuning if isinstance(target, InetTarget) else None
        return _EndpointAttempt(self._endpoint(target, bind), self._timers, waiting, tuning)

    def _endpoint(self, target: Target, bind: str | None) -> Any:
        # The attempt's own limit is the only one: Twisted's, of 30 seconds, might come before it.
        unlimited: Any = None
        if isinstance(target, UnixTarget):
            return UNIXClientEndpoint(self._reactor, target.path, timeout=unlimited)
        kind = TCP6ClientEndpoint if ":" in target.host else TCP4ClientEndpoint
        local = (bind, 0) if bind is not None else None
        return kind(self._reactor, target.host, target.port, timeout=unlimited, bindAddress=local)


class _EndpointAttempt:
    """An endpoint that is connecting."""

    def __init__(self, endpoint: Any, timers: Timers, waiting: Waiting, tuning: Tuning | None) -> None:
        self._waiting: Waiting | None = waiting
        self._tuning = tuning
        self._connecting: Deferred[TransportLeg] = endpoint.connect(OneProtocol(TransportLeg(timers, EARLY)))
        self._connecting.addCallbacks(self._connected, self._failed)

    def _connected(self, leg: TransportLeg) -> None:
        if self._waiting is None:
            leg.abort()
            return
        if self._tuning is not None:
            self._tuning.apply(leg.transport.getHandle())
        leg.pause()
        # The endpoint has put a wrapper around the leg that claims only the last of the leg's interfaces: it would be
        # told of the peer's FIN as of a loss.
        leg.transport.protocol = leg
        self._waiting.connected(leg)

    def _failed(self, failure: Failure) -> None:
        if self._waiting is not None:
            problem = failure.value
            assert isinstance(problem, Exception)
            self._waiting.failed(problem)

    def cancel(self) -> None:
        self._waiting = None
        self._connecting.cancel()
