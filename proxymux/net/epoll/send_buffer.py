"""The send buffer of a plain socket: what the kernel does not take yet, in our memory or in a pipe."""

from __future__ import annotations

import socket
from collections import deque
from itertools import islice
from typing import Final

from proxymux.net.epoll.pipes import Pipe

#: The most pieces in one ``sendmsg()``.
_AT_ONCE: Final = 64


class SendBuffer:
    """Bytes to send, and after them what is in a pipe.

    :param sock: the socket that they are sent on.
    :param pipe: holds bytes that have been spliced and not sent, or None.
    :param data: the first bytes to send.
    """

    __slots__ = ("_pieces", "_pipe", "_size", "_sock")

    def __init__(self, sock: socket.SocketType, pipe: Pipe | None = None, data: bytes = b"") -> None:
        self._sock = sock
        self._pieces: deque[memoryview] = deque()
        self._size = 0
        self._pipe = pipe.acquire() if pipe is not None else None
        if data:
            self.add(data)

    def __len__(self) -> int:
        """The number of bytes to send, without those in the pipe."""
        return self._size

    @property
    def unsent(self) -> int:
        """The number of bytes to send, with those in the pipe."""
        return self._size + (self._pipe.held if self._pipe is not None else 0)

    def add(self, data: bytes) -> None:
        """Append ``data``; not allowed with a pipe, whose bytes would come after it."""
        self._pieces.append(memoryview(data))
        self._size += len(data)

    def send(self) -> None:
        """Send everything.

        :raises BlockingIOError: if the kernel takes no more for now; what it has taken is removed from the buffer.
        :raises OSError: if the connection has failed.
        """
        pieces = self._pieces
        while pieces:
            sent = self._sock.sendmsg(islice(pieces, _AT_ONCE))
            self._size -= sent
            while pieces and sent >= len(pieces[0]):
                sent -= len(pieces.popleft())
            if sent:
                pieces[0] = pieces[0][sent:]
        if self._pipe is not None:
            self._pipe.drain(self._sock.fileno())
            self.drop()

    def take(self) -> bytes:
        """Remove and return everything, with what is in the pipe."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if self._pipe is not None:
            data += self._pipe.empty()
            self.drop()
        return data

    def drop(self) -> None:
        """Release the pipe: what is still to be sent will not be."""
        if self._pipe is not None:
            self._pipe.release()
            self._pipe = None
