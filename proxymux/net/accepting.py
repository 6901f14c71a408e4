"""Accepting: connections are taken in batches, and only while there is room for them.

A port that finds no descriptor free would be told of its waiting clients again and again, and Twisted's closes them to
have peace.  Here they wait in the listen queue until there is room.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any, Final

from proxymux.core.client import Address
from proxymux.core.wheel import Timer
from proxymux.net.timers import Timers

#: Connections taken in one turn, at most.
_BATCH: Final = 64
#: Seconds until a port looks whether the system has resources again.
_PAUSE: Final = 0.2
_EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class Gate:
    """Shut while there are as many sessions as the process has descriptors for, or none is free.

    :param timers: for the pause when the system has none.
    :param report: called with one line when it shuts.
    """

    def __init__(self, timers: Timers, report: Callable[[str], None]) -> None:
        self._timers = timers
        self._report = report
        #: Sessions at once.
        self.capacity: int | None = None
        self._inside = 0
        self._waiting: list[Callable[[], None]] = []
        self._timer: Timer | None = None

    @property
    def is_shut(self) -> bool:
        """There is no room."""
        return self._timer is not None or (self.capacity is not None and self._inside >= self.capacity)

    def enter(self) -> None:
        """One more session."""
        self._inside += 1

    def leave(self) -> None:
        """One less."""
        self._inside -= 1
        self._open()

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call ``go_on`` once when there is room."""
        if not self._waiting and self._timer is None:
            self._report(
                f"accepting pauses: {self._inside} sessions are as many as the limit of descriptors has room for;"
                " raise it (LimitNOFILE, ulimit -n)"
            )
        self._waiting.append(go_on)

    def shut(self, problem: OSError) -> None:
        """The system has no resources for more."""
        if self._timer is None:
            self._report(f"accepting pauses with {self._inside} sessions: {problem.strerror}")
            self._timer = self._timers.after(_PAUSE, self._look_again)

    def close(self) -> None:
        """Nobody waits any more."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_again(self) -> None:
        self._timer = None
        self._open()

    def _open(self) -> None:
        if self._waiting and not self.is_shut:
            waiting, self._waiting = self._waiting, []
            for go_on in waiting:
                go_on()


class Acceptor:
    """Does the reading of one of Twisted's ports.

    :param port: it listens already.
    :param gate: shut while there is no room.
    :param arrived: called with each socket, where its other end is, and where this end is if that is the same for all.
    """

    def __init__(
        self,
        port: Any,
        gate: Gate,
        arrived: Callable[[socket.SocketType, Any, Address | None], None],
    ) -> None:
        self._port = port
        self._gate = gate
        self._arrived = arrived
        self._listener: Any = port.socket
        self._family = int(self._listener.family)
        self._local = self._local_of_all()
        self._batch = 1
        port.doRead = self.accept

    def accept(self) -> None:
        """Take the connections that wait."""
        for count in range(self._batch):
            if self._gate.is_shut:
                self._wait()
                return
            try:
                fd, address = self._listener._accept()
            except BlockingIOError:
                self._batch = max(1, count)
                return
            except OSError as problem:
                if problem.errno in _EXHAUSTED:
                    self._gate.shut(problem)
                    self._wait()
                    return
                continue  # that client has gone again
            sock = socket.SocketType(self._family, socket.SOCK_STREAM, 0, fd)
            sock.setblocking(False)
            self._arrived(sock, address, self._local)
        self._batch = min(2 * self._batch, _BATCH)

    def _wait(self) -> None:
        self._port.stopReading()
        self._gate.wait(self._go_on)

    def _go_on(self) -> None:
        if self._port.connected:
            self._port.startReading()

    def _local_of_all(self) -> Address | None:
        if self._family == socket.AF_UNIX:
            name = self._listener.getsockname()
            return f"unix:{name.decode('utf-8', 'backslashreplace') if isinstance(name, bytes) else name}", 0
        host, port = self._listener.getsockname()[:2]
        return None if host in ("0.0.0.0", "::") else (host, port)


def peer_of(address: Any) -> Address:
    """Where a client is, from what accept says of it."""
    if not isinstance(address, tuple):
        name = address.decode("utf-8", "backslashreplace") if isinstance(address, bytes) else address
        return f"unix:{name}", 0
    if len(address) == 4 and address[3]:
        return socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0], address[1]
    return address[0], address[1]
