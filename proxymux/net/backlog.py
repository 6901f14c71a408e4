"""The backlog of a socket: what its peer does not take yet, in our memory or in a pipe of the system's."""

from __future__ import annotations

import socket

from proxymux.net.pipes import Pipe


class Backlog:
    """Bytes, and behind them what is in a pipe."""

    __slots__ = ("_data", "_pipe")

    def __init__(self, pipe: Pipe | None = None) -> None:
        self._data = b""
        self._pipe = pipe.have() if pipe is not None else None

    def __len__(self) -> int:
        """Bytes, those in the pipe not counted."""
        return len(self._data)

    def add(self, data: bytes) -> None:
        """Have ``data`` wait behind what waits; nothing may be in a pipe then."""
        self._data += data

    def send(self, sock: socket.SocketType) -> None:
        """Send it all.

        :raises BlockingIOError: if the peer takes no more for now; what it has taken does not wait any more.
        :raises OSError: if it never will.
        """
        while self._data:
            self._data = self._data[sock.send(self._data) :]
        if self._pipe is not None:
            self._pipe.drain(sock.fileno())
            self.drop()

    def drop(self) -> None:
        """What still waits will not be sent."""
        if self._pipe is not None:
            self._pipe.let_go()
            self._pipe = None
