"""The hub: the plain sockets of one service, in the loop that polls those of all services.

A socket is registered once, for all events and edge-triggered; reading, pausing and writing need no further epoll call.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Final, Protocol

from twisted.logger import Logger

from proxymux.net.epoll.loop import loop_of
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.net.timers import Timers

#: Events that say that the peer has ended one direction or both, or that the connection has failed.
ENDINGS: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_EDGE: Final = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
#: Bytes of one read, where no option says otherwise.
BUFFER_SIZE: Final = 1 << 16


class Closable(Protocol):
    """A socket, or what stands in its place."""

    def close(self) -> None:
        """Close the socket."""


class Watcher(Protocol):
    """Is told of the events of one socket."""

    def ready(self, events: int) -> None:
        """Take note of ``events``, a set of epoll's flags.  Each event is reported only once."""

    def abort(self) -> None:
        """Close the connection, as :meth:`ready` has raised."""


class Hub:
    """Has the plain sockets of a service polled, and their watchers told.

    :param reactor: the loop of this one polls.
    :param timers: for the watchers.
    :param log: where an exception of a watcher is reported; the watcher is aborted.
    :param buffer_size: bytes of one read.
    """

    def __init__(self, reactor: Reactor, timers: Timers, log: Logger, buffer_size: int = BUFFER_SIZE) -> None:
        self.timers = timers
        self.log = log
        self.seconds: Callable[[], float] = timers.seconds
        #: The time in seconds of the last poll, for watchers that need no better.
        self.now = timers.seconds()
        #: What is read goes here first; all sockets share it.
        self.buffer = memoryview(bytearray(buffer_size))
        #: By the descriptors of their sockets.
        self.watchers: dict[int, Watcher] = {}
        self._loop = loop_of(reactor)
        self._epoll: select.epoll | None = None
        self._is_stopping = False

    # Called by the driver

    def start(self) -> None:
        """Join the loop."""
        self._is_stopping = False
        if self._epoll is None:
            self._epoll = self._loop.join(self)

    def stop(self) -> None:
        """Leave the loop, as soon as the last socket is closed."""
        self._is_stopping = True
        self.leave_if_idle()

    # Called by the loop

    def leave_if_idle(self) -> None:
        """Leave the loop if the hub is to stop and watches nothing any more."""
        if self._is_stopping and self._epoll is not None and not self.watchers and self._loop.leave(self):
            self._epoll = None
            self.timers.stop()

    # Called by the watchers

    def watch(self, fd: int, watcher: Watcher) -> None:
        """Tell ``watcher`` of a socket's events, from what the socket is ready for now."""
        assert self._epoll is not None
        self._epoll.register(fd, _EDGE)
        self.watchers[fd] = watcher

    def set_watcher(self, fd: int, watcher: Watcher) -> None:
        """Tell ``watcher`` of a socket's next events, in the place of its watcher so far."""
        self.watchers[fd] = watcher

    def unwatch(self, fd: int) -> None:
        """Tell nobody of a socket's events any more, also of those that this turn has fetched.  It stays open."""
        assert self._epoll is not None
        self._epoll.unregister(fd)
        del self.watchers[fd]
        self._loop.forget(fd)

    def rearm(self, fd: int) -> None:
        """Have what a socket is ready for reported once more, after the events of the other sockets."""
        assert self._epoll is not None
        self._epoll.modify(fd, _EDGE)

    def read_again(self, fd: int) -> None:
        """Tell the watcher of ``fd`` in the next poll that there is something to read, whatever the kernel says."""
        self._loop.read_again(fd)

    def may_shake_hands(self, fd: int) -> bool:
        """True if a TLS handshake may take a step now; otherwise the watcher of ``fd`` is told to in a later poll."""
        return self._loop.may_shake_hands(fd)

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call ``function`` after the events of this poll; at once outside of the loop's turns."""
        if self._loop.is_turning:
            self._loop.soon.append((function, self.log))
        else:
            function()

    def close(self, sock: Closable, fd: int) -> None:
        """Close a watched socket.

        During a turn the socket is closed after the events of the poll: its number could be given to a new socket,
        whose watcher would then be told of the old one's events.
        """
        del self.watchers[fd]
        loop = self._loop
        if loop.again:
            loop.forget(fd)
        if loop.is_turning:
            loop.closed.append(sock)
        else:
            sock.close()
        if self._is_stopping:
            self.leave_if_idle()
