"""The loop: one edge-triggered epoll for the plain sockets of all hubs of a reactor.

Where the reactor is Twisted's epoll reactor, the loop waits, and the reactor's epoll is one descriptor in it: Twisted's
turn is made only when the reactor has something to do.  In every other reactor the loop's epoll is one reader: one
wake-up serves every socket that has become ready meanwhile, without the reactor's cost for each.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import classImplements

from proxymux.net.reactor.reactor_wait import BATCH, ReactorWait, kept_with, wait_in_place_of
from proxymux.net.reactor.twisted_types import Reactor

if TYPE_CHECKING:
    from proxymux.net.epoll.hub import Closable, Hub

#: The most polls in one turn of a reactor that the loop is a reader of.
_POLLS: Final = 4
#: The most TLS handshakes that take a step in one poll: each costs as much as hundreds of reads.
_HANDSHAKES: Final = 8


class Loop:
    """Polls the sockets of the hubs of one reactor, and tells the hubs' watchers.  :func:`loop_of` makes it.

    It is in the reactor from the start of its first hub to the end of its last.
    """

    def __init__(self, reactor: Reactor) -> None:
        #: Whether the events of a poll are being served.
        self.is_turning = False
        #: Descriptors whose watchers have more to read than the kernel knows of.
        self.again: list[int] = []
        #: What is called after the events of this poll, each with the log where an exception is reported.
        self.soon: list[tuple[Callable[[], None], Logger]] = []
        #: What is closed after them.
        self.closed: list[Closable] = []
        self._reactor = reactor
        self._hubs: list[Hub] = []
        self._epoll: select.epoll | None = None
        #: None where the loop is a reader of the reactor's.
        self._wait: ReactorWait | None = None
        #: The descriptor of the reactor's epoll, in ours; -1 if it is not there.
        self._reactor_fd = -1
        self._handshakes = 0
        self._leaving: list[Hub] = []

    # Called by the hubs

    def join(self, hub: Hub) -> select.epoll:
        """Tell the watchers of ``hub`` from now on.

        :returns: what the hub registers its sockets with.
        """
        self._hubs.append(hub)
        if self._epoll is None:
            self._epoll = select.epoll()
            self._wait = wait_in_place_of(self._reactor, self._epoll, self)
            if self._wait is None:
                self._reactor.addReader(self)
            else:
                self._reactor_fd = self._wait.fd
        return self._epoll

    def leave(self, hub: Hub) -> bool:
        """Forget ``hub``, which watches nothing any more.

        :returns: False if that is not possible now: it is asked for its end again after this turn.
        """
        if self.is_turning:
            self._leaving.append(hub)
            return False
        self._hubs.remove(hub)
        if not self._hubs:
            self._end()
        return True

    def read_again(self, fd: int) -> None:
        """Tell the watcher of ``fd`` in the next poll that there is something to read, whatever the kernel says."""
        if fd not in self.again:
            self.again.append(fd)
        if not self.is_turning and self._wait is None:
            self._reactor.callFromThread(self._go_on)

    def may_shake_hands(self, fd: int) -> bool:
        """True if a TLS handshake may take a step now; otherwise the watcher of ``fd`` is told to in a later poll."""
        self._handshakes += 1
        if self._handshakes <= _HANDSHAKES or not self.is_turning:
            return True
        self.read_again(fd)
        return False

    def forget(self, fd: int) -> None:
        """Do not have ``fd`` read again: nobody watches it, or a new socket may get the number."""
        if fd in self.again:
            self.again.remove(fd)

    # Called by the reactor, where the loop waits in its place

    def serve(self, events_of: list[tuple[int, int]]) -> bool:
        """Tell the watchers of the events of one poll.

        :returns: True if the reactor is to go on.
        """
        if self.again:
            events_of += [(fd, select.EPOLLIN) for fd in self.again]
            self.again = []
        self._handshakes = 0
        is_due = False
        reactor_fd = self._reactor_fd
        # A watcher may have the reactor make a turn within this one.  Sockets are closed after the outermost.
        was_turning, self.is_turning = self.is_turning, True
        try:
            for hub in self._hubs:
                hub.now = hub.seconds()
                watchers = hub.watchers
                for fd, events in events_of:
                    watcher = watchers.get(fd)
                    if watcher is not None:
                        try:
                            watcher.ready(events)
                        except Exception:
                            hub.log.failure("a connection is closed because of an error in proxymux")
                            watcher.abort()
                    elif fd == reactor_fd:
                        is_due = True
            while self.soon:
                self._call_all()
            if self.closed and not was_turning:
                self._close_all()
        finally:
            self.is_turning = was_turning
        if self._leaving and not was_turning:
            self._let_leave()
            return True
        return is_due

    def logPrefix(self) -> str:
        return "hub"

    # Called by the reactor, where the loop is one of its readers

    def fileno(self) -> int:
        return self._epoll.fileno() if self._epoll is not None else -1

    def connectionLost(self, reason: Failure) -> None:
        """Ignore the end of the reactor, which says this to every reader when it stops."""

    def doRead(self) -> None:
        assert self._epoll is not None
        poll = self._epoll.poll
        for _ in range(_POLLS):
            events_of = poll(0, BATCH)
            if not events_of and not self.again:
                return
            if self.serve(events_of):
                break  # it may have been for the last hub
        if self.again:
            self._reactor.callFromThread(self._go_on)

    def _go_on(self) -> None:
        if self._epoll is not None:
            self.doRead()

    def _end(self) -> None:
        assert self._epoll is not None
        if self._wait is None:
            self._reactor.removeReader(self)
        else:
            self._wait.restore()
        self._wait, self._reactor_fd = None, -1
        self._epoll.close()
        self._epoll = None

    def _call_all(self) -> None:
        calls, self.soon = self.soon, []
        for function, log in calls:
            try:
                function()
            except Exception:
                log.failure("an error in proxymux")

    def _close_all(self) -> None:
        closed, self.closed = self.closed, []
        for sock in closed:
            sock.close()

    def _let_leave(self) -> None:
        leaving, self._leaving = self._leaving, []
        for hub in leaving:
            hub.leave_if_idle()


classImplements(Loop, IReadDescriptor)


def loop_of(reactor: Reactor) -> Loop:
    """The one loop of a reactor."""
    return kept_with(reactor, Loop)
