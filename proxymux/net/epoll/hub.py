"""The hub: one edge-triggered epoll for all plain sockets, which is itself one reader in Twisted's reactor.

An epoll descriptor is readable while it has events, so one wake-up of the reactor serves every socket that has become
ready meanwhile, without the reactor's cost for each.  A socket is registered once, for all events; reading, pausing and
writing need no further epoll call.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.net.reactor.twisted_types import Reactor
from proxymux.net.timers import Timers

#: Events that say that the peer has ended one direction or both, or that the connection has failed.
ENDINGS: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_EDGE: Final = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
#: The most events of one poll.
_BATCH: Final = 256
#: The most polls in one turn, before the reactor goes on.
_POLLS: Final = 4
#: The most TLS handshakes that take a step in one poll: each costs as much as hundreds of reads.
_HANDSHAKES: Final = 8
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


@implementer(IReadDescriptor)
class Hub:
    """Polls the plain sockets of a service and tells their watchers.

    :param reactor: polls the hub's own descriptor.
    :param timers: for the watchers.
    :param log: where an exception of a watcher is reported; the watcher is aborted.
    :param buffer_size: bytes of one read.
    """

    def __init__(self, reactor: Reactor, timers: Timers, log: Logger, buffer_size: int = BUFFER_SIZE) -> None:
        self.timers = timers
        #: The time in seconds of the last poll, for watchers that need no better.
        self.now = timers.seconds()
        #: What is read goes here first; all sockets share it.
        self.buffer = memoryview(bytearray(buffer_size))
        self._reactor = reactor
        self._log = log
        self._seconds: Callable[[], float] = timers.seconds
        self._watchers: dict[int, Watcher] = {}
        self._closed: list[Closable] = []
        #: Descriptors whose watchers have more to read than the kernel knows of.
        self._again: list[int] = []
        self._handshakes = 0
        self._soon: list[Callable[[], None]] = []
        self._is_turning = False
        self._is_stopping = False
        self._epoll: select.epoll | None = None

    # Called by the reactor

    def fileno(self) -> int:
        return self._epoll.fileno() if self._epoll is not None else -1

    def logPrefix(self) -> str:
        return "hub"

    def connectionLost(self, reason: Failure) -> None:
        """Ignore the end of the reactor, which says this to every reader when it stops."""

    def doRead(self) -> None:
        assert self._epoll is not None
        watchers, poll = self._watchers, self._epoll.poll
        self._is_turning = True
        for _ in range(_POLLS):
            events_of = poll(0, _BATCH)
            if self._again:
                events_of += [(fd, select.EPOLLIN) for fd in self._again]
                self._again = []
            if not events_of:
                break
            self.now = self._seconds()
            self._handshakes = 0
            for fd, events in events_of:
                watcher = watchers.get(fd)
                if watcher is not None:
                    try:
                        watcher.ready(events)
                    except Exception:
                        self._log.failure("a connection is closed because of an error in proxymux")
                        watcher.abort()
            while self._soon:
                self._call_all()
            if self._closed:
                self._close_all()
        self._is_turning = False
        if self._again:
            self._reactor.callFromThread(self._turn)
        if self._is_stopping:
            self.stop()

    def _turn(self) -> None:
        if self._epoll is not None:
            self.doRead()

    # Called by the driver

    def start(self) -> None:
        """Add the hub to the reactor."""
        self._is_stopping = False
        if self._epoll is None:
            self._epoll = select.epoll()
            self._reactor.addReader(self)

    def stop(self) -> None:
        """Remove the hub from the reactor, as soon as the last socket is closed."""
        self._is_stopping = True
        if self._epoll is not None and not self._watchers and not self._is_turning:
            self._reactor.removeReader(self)
            self._epoll.close()
            self._epoll = None
            self.timers.stop()

    # Called by the watchers

    def watch(self, fd: int, watcher: Watcher) -> None:
        """Tell ``watcher`` of a socket's events, from what the socket is ready for now."""
        assert self._epoll is not None
        self._epoll.register(fd, _EDGE)
        self._watchers[fd] = watcher

    def set_watcher(self, fd: int, watcher: Watcher) -> None:
        """Tell ``watcher`` of a socket's next events, in the place of its watcher so far."""
        self._watchers[fd] = watcher

    def rearm(self, fd: int) -> None:
        """Have what a socket is ready for reported once more, after the events of the other sockets."""
        assert self._epoll is not None
        self._epoll.modify(fd, _EDGE)

    def read_again(self, fd: int) -> None:
        """Tell the watcher of ``fd`` in the next poll that there is something to read, whatever the kernel says."""
        if fd not in self._again:
            self._again.append(fd)
        if not self._is_turning:
            self._reactor.callFromThread(self._turn)

    def may_shake_hands(self, fd: int) -> bool:
        """True if a TLS handshake may take a step now; otherwise the watcher of ``fd`` is told to in a later poll."""
        self._handshakes += 1
        if self._handshakes <= _HANDSHAKES or not self._is_turning:
            return True
        self.read_again(fd)
        return False

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call ``function`` after the events of this poll; at once outside of the hub's turns."""
        if self._is_turning:
            self._soon.append(function)
        else:
            function()

    def _call_all(self) -> None:
        functions, self._soon = self._soon, []
        for function in functions:
            try:
                function()
            except Exception:
                self._log.failure("an error in proxymux")

    def close(self, sock: Closable, fd: int) -> None:
        """Close a watched socket.

        During a turn the socket is closed after the events of the poll: its number could be given to a new socket,
        whose watcher would then be told of the old one's events.
        """
        del self._watchers[fd]
        if fd in self._again:
            self._again.remove(fd)  # a new socket may get the number
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
