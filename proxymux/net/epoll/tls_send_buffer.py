"""The send buffer of a connection that carries TLS."""

from __future__ import annotations

import socket
from collections import deque
from typing import TYPE_CHECKING

from proxymux.net.epoll.send_buffer import SendBuffer
from proxymux.net.tls.engine import MOST_ANSWERS, UNREAD_ANSWERS, TlsError, plain_bytes

if TYPE_CHECKING:
    from proxymux.net.epoll.tls import TlsSocket


class TlsSendBuffer(SendBuffer):
    """The send buffer of a :class:`~proxymux.net.epoll.tls.TlsSocket`: encrypted bytes, and behind them plain ones that
    are yet to be.

    :param sock: sends what is encrypted.
    :param secured: encrypts.
    """

    __slots__ = ("_answers", "_plain", "_plain_size", "_secured", "_writes")

    def __init__(self, sock: socket.SocketType, secured: TlsSocket) -> None:
        super().__init__(sock)
        self._secured = secured
        self._plain: deque[bytes] = deque()
        self._plain_size = 0
        #: Encrypted bytes without plain ones in them, since the buffer was empty.
        self._answers = 0
        #: For each of the encrypted pieces: the plain bytes in it, and its size before any of it was sent.  Those of
        #: pieces that have been sent may still stand before them.
        self._writes: deque[tuple[int, int]] = deque()

    def __len__(self) -> int:
        return super().__len__() + self._plain_size

    @property
    def unsent(self) -> int:
        """The number of plain bytes that the peer cannot read yet."""
        pieces = zip(reversed(self._pieces), reversed(self._writes), strict=False)
        return self._plain_size + sum(plain_bytes(*write, len(piece)) for piece, write in pieces)

    def add(self, data: bytes) -> None:
        self._plain.append(data)
        self._plain_size += len(data)

    def add_encrypted(self, data: bytes, plain: int, size: int) -> None:
        """Append bytes that are encrypted already; they are sent before the plain ones.

        :param data: the last of what was encrypted at once.
        :param plain: the number of plain bytes in all of that.
        :param size: the number of bytes that it became.
        :raises TlsError: if nothing but answers to the peer comes to wait there.
        """
        if not plain:
            self._answers += len(data)
            if self._answers > MOST_ANSWERS:
                raise TlsError(UNREAD_ANSWERS)
        super().add(data)
        self._writes.append((plain, size))

    def send(self) -> None:
        self._send_encrypted()
        engine = self._secured.engine
        while self._plain:
            data = self._plain.popleft()
            self._plain_size -= len(data)
            engine.encrypt(data, self._secured.flush)
            self._send_encrypted()
        engine.shrink()
        if self._secured.fin_is_due:
            self._sock.shutdown(socket.SHUT_WR)

    def _send_encrypted(self) -> None:
        super().send()
        self._writes.clear()
        self._answers = 0
