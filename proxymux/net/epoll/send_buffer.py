"""The send_buffer of a socket: what its peer does not take yet, in our memory or in a pipe of the system's."""

from __future__ import annotations

import socket
from collections import deque
from itertools import islice
from typing import Final

from proxymux.net.epoll.pipes import Pipe

#: Pieces that are sent at once.
_AT_ONCE: Final = 64


class SendBuffer:
    """Bytes, and behind them what is in a pipe."""

    __slots__ = ("_pieces", "_pipe", "_size")

    def __init__(self, pipe: Pipe | None = None) -> None:
        self._pieces: deque[memoryview] = deque()
        self._size = 0
        self._pipe = pipe.have() if pipe is not None else None

    def __len__(self) -> int:
        """Bytes, those in the pipe not counted."""
        return self._size

    def add(self, data: bytes) -> None:
        """Have ``data`` wait behind what waits; nothing may be in a pipe then."""
        self._pieces.append(memoryview(data))
        self._size += len(data)

    def send(self, sock: socket.SocketType) -> None:
        """Send it all.

        :raises BlockingIOError: if the peer takes no more for now; what it has taken does not wait any more.
        :raises OSError: if it never will.
        """
        pieces = self._pieces
        while pieces:
            sent = sock.sendmsg(islice(pieces, _AT_ONCE))
            self._size -= sent
            while pieces and sent >= len(pieces[0]):
                sent -= len(pieces.popleft())
            if sent:
                pieces[0] = pieces[0][sent:]
        if self._pipe is not None:
            self._pipe.drain(sock.fileno())
            self.drop()

    def drop(self) -> None:
        """What still waits will not be sent."""
        if self._pipe is not None:
            self._pipe.let_go()
            self._pipe = None
