"""The hub: one edge-triggered epoll for all plain sockets, which is itself one reader in Twisted's reactor.

An epoll descriptor is readable while it has events, so one wake-up of the reactor serves every socket that has become
ready meanwhile, without the reactor's cost for each.  Registered once, for everything, a socket needs no further call
to the system to be read, paused or written.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from proxymux.net.timers import Timers

#: The peer has ended one direction or both, or the connection has failed.
ENDINGS: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
EDGE: Final = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
#: Events that are taken from the system at once.
_BATCH: Final = 256
#: How often in one turn the hub looks for more events before the reactor has its turn again.
_LOOKS: Final = 4
#: Bytes that are read at once, into one buffer that all sockets share, where nobody says.
BUFFER_SIZE: Final = 1 << 16


class Watcher(Protocol):
    """Waits for events on a socket."""

    def ready(self, events: int) -> None:
        """Something has happened: a set of epoll's flags.  It is said once; what is not done now must be remembered."""

    def abort(self) -> None:
        """Close: :meth:`ready` has raised."""


@implementer(IReadDescriptor)
class Hub:
    """Watches plain sockets.

    :param reactor: whose reader it is.
    :param timers: for whoever it watches.
    :param log: where a watcher that raises is reported; it costs that connection.
    :param buffer_size: bytes that are read at once.
    """

    def __init__(self, reactor: Any, timers: Timers, log: Logger, buffer_size: int = BUFFER_SIZE) -> None:
        self.timers = timers
        #: The time, in seconds of the clock, when the present turn began.
        self.now = timers.seconds()
        self.buffer = memoryview(bytearray(buffer_size))
        self._reactor = reactor
        self._log = log
        self._seconds: Callable[[], float] = timers.seconds
        self._watchers: dict[int, Watcher] = {}
        self._closed: list[socket.SocketType] = []
        self._later: list[Callable[[], None]] = []
        self._is_turning = False
        self._is_stopping = False
        self._epoll: select.epoll | None = None

    # For the reactor

    def fileno(self) -> int:
        return self._epoll.fileno() if self._epoll is not None else -1

    def logPrefix(self) -> str:
        return "hub"

    def connectionLost(self, reason: Any) -> None:
        """The reactor lets go of everything when it stops."""

    def doRead(self) -> None:
        assert self._epoll is not None
        watchers, poll = self._watchers, self._epoll.poll
        self._is_turning = True
        for _ in range(_LOOKS):
            events_of = poll(0, _BATCH)
            if not events_of:
                break
            self.now = self._seconds()
            for fd, events in events_of:
                watcher = watchers.get(fd)
                if watcher is not None:
                    try:
                        watcher.ready(events)
                    except Exception:
                        self._log.failure("a connection is closed because of an error in proxymux")
                        watcher.abort()
            while self._later:
                self._do_later()
            if self._closed:
                self._close_all()
        self._is_turning = False
        if self._is_stopping:
            self.stop()

    # For the watchers

    def start(self) -> None:
        """Begin to watch."""
        self._is_stopping = False
        if self._epoll is None:
            self._epoll = select.epoll()
            self._reactor.addReader(self)

    def stop(self) -> None:
        """Leave the reactor, from when the last socket is closed."""
        self._is_stopping = True
        if self._epoll is not None and not self._watchers and not self._is_turning:
            self._reactor.removeReader(self)
            self._epoll.close()
            self._epoll = None
            self.timers.stop()

    def watch(self, fd: int, watcher: Watcher) -> None:
        """Tell ``watcher`` what happens on a socket, from what it is ready for now."""
        assert self._epoll is not None
        self._epoll.register(fd, EDGE)
        self._watchers[fd] = watcher

    def hand_over(self, fd: int, watcher: Watcher) -> None:
        """Tell ``watcher`` instead of who was told so far, from what happens next."""
        self._watchers[fd] = watcher

    def again(self, fd: int) -> None:
        """Tell once more what a socket is ready for, after all others had their turn."""
        assert self._epoll is not None
        self._epoll.modify(fd, EDGE)

    def later(self, function: Callable[[], None]) -> None:
        """Call ``function`` when what is ready now has been looked at."""
        if self._is_turning:
            self._later.append(function)
        else:
            function()

    def _do_later(self) -> None:
        later, self._later = self._later, []
        for function in later:
            try:
                function()
            except Exception:
                self._log.failure("an error in proxymux")

    def close(self, sock: socket.SocketType, fd: int) -> None:
        """Close a socket that is watched.

        Within a turn it is closed when the turn is over: a new socket of the same number would be told what the events
        still to be handled say of the old one.
        """
        del self._watchers[fd]
        if self._is_turning:
            self._closed.append(sock)
        else:
            sock.close()
            if self._is_stopping:
                self.stop()

    def _close_all(self) -> None:
        closed, self._closed = self._closed, []
        for sock in closed:
            sock.close()
