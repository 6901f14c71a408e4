"""TLS on a plain socket: an object with a socket's methods, which encrypts what it sends and decrypts what it receives.

An :class:`~proxymux.net.epoll.connection.EpollConnection` and the relay use it in the place of their socket, and need
not know the difference.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import Any, Final, Protocol

from proxymux.net.epoll.send_buffer import SendBuffer
from proxymux.net.tls.engine import CLOSED, PIECE, TAKE_SIZE, TlsEngine, TlsError, pointer_to
from proxymux.net.wording import CUT_IN_HANDSHAKE

#: Encrypted bytes of one read.
_READ_SIZE: Final = 1 << 16
_in: Final = bytearray(_READ_SIZE)
_in_pointer = pointer_to(_in)


class Secured(Protocol):
    """The connection whose socket a :class:`TlsSocket` is."""

    #: What is still to be sent; the socket puts what the kernel did not take there.
    send_buffer: SendBuffer | None
    #: The socket is to be read to its end, as no event will report the rest.
    is_ending: bool

    def note_secured(self) -> None:
        """Take note that the handshake is done, and read again."""

    def may_shake_hands(self) -> bool:
        """True if the handshake may take a step now; otherwise the socket will be read again in a later turn."""


class TlsSocket:
    """The methods of a non-blocking stream socket, over TLS.

    Reading does the handshake first.  The end of the peer's bytes is its close_notify, or a FIN without one.

    :param sock: connected and non-blocking.
    :param engine: of this connection alone.
    :param connection: is told when the handshake is done, and takes what the kernel did not take.
    """

    __slots__ = ("_connection", "_error", "_is_shut", "_sock", "engine", "fin_is_due", "has_input", "is_truncated")

    def __init__(self, sock: socket.SocketType, engine: TlsEngine, connection: Secured) -> None:
        self._sock = sock
        self.engine = engine
        self._connection = connection
        #: There are encrypted bytes that the kernel has given and that have not been read.
        self.has_input = False
        #: An error that reading has met after bytes that had to be delivered first.
        self._error: OSError | None = None
        self._is_shut = False
        #: FIN is to be sent as soon as everything before it has been.
        self.fin_is_due = False
        #: The peer has sent FIN without close_notify.
        self.is_truncated = False

    # Reading

    def shake_hands(self) -> bool:
        """Go on with the handshake, as far as the bytes that have come allow.

        :returns: True once it is done.
        :raises OSError: if it has failed, or the connection has.
        """
        engine = self.engine
        while True:
            try:
                is_done = engine.handshake()
            finally:
                self.flush()  # an alert, too
            if is_done:
                self.has_input = engine.has_input
                return True
            try:
                count = self._sock.recv_into(_in)
            except BlockingIOError:
                return False
            if not count:
                raise ConnectionError(CUT_IN_HANDSHAKE)
            engine.put(_in_pointer, count)

    def recv_into(self, buffer: memoryview) -> int:
        """Read plain bytes, as many as have come and fit into ``buffer``.

        :returns: their number; 0 at the peer's close_notify or FIN.  After fewer bytes than fit nothing is left to be
            read for now, unless the connection's ``is_ending`` is set.
        :raises BlockingIOError: if there are none for now.
        :raises OSError: if TLS or the connection has failed.
        """
        engine = self.engine
        if not engine.is_secured:
            if self._connection.may_shake_hands() and self.shake_hands():
                self._connection.note_secured()
            raise BlockingIOError
        if self._error is not None:
            raise self._error
        with pointer_to(buffer) as pointer:
            return self._read_into(pointer, len(buffer))

    def _read_into(self, pointer: Any, size: int) -> int:
        engine, total, is_drained = self.engine, 0, False
        while True:
            while self.has_input:
                try:
                    count = engine.read_into(pointer + total, size - total)
                except TlsError as error:
                    self._fail(error)
                    return self._delivered_before(error, total)
                if count == CLOSED:
                    self._connection.is_ending = True
                    return total
                if count > 0:
                    total += count
                    if total == size:
                        return total
                self.has_input = engine.has_input
            if is_drained:
                break
            try:
                count = self._sock.recv_into(_in)
            except BlockingIOError:
                break
            except OSError as error:
                return self._delivered_before(error, total)
            if not count:
                self.is_truncated = True
                self._connection.is_ending = True
                return total
            engine.put(_in_pointer, count)
            self.has_input = True
            # Where the peer has ended, no event will report the rest.
            is_drained = count < _READ_SIZE and not self._connection.is_ending
        if engine.has_output:
            self.flush()  # the answer to a KeyUpdate
        engine.shrink()
        if total:
            return total
        raise BlockingIOError

    def _delivered_before(self, error: OSError, total: int) -> int:
        """Have the bytes that have been read delivered before ``error``; raise it if there are none."""
        if not total:
            raise error
        self._error = error.with_traceback(None)  # its frames lead to this object
        self._connection.is_ending = True
        return total

    def _fail(self, error: TlsError) -> None:
        try:
            self.flush()  # the alert for the peer
        except OSError:
            raise error from None

    # Sending

    def send(self, data: bytes | memoryview) -> int:
        """Send plain bytes.  What the kernel does not take of them is in the connection's send buffer afterwards.

        Not called while there is a send buffer.

        :returns: the number of bytes that were encrypted.
        """
        size, done = len(data), 0
        with pointer_to(data) as pointer:
            while done < size and self._connection.send_buffer is None:
                piece = min(size - done, PIECE)
                self.engine.write(pointer + done, piece)
                self.flush()
                done += piece
        if done < PIECE and self._connection.send_buffer is None:
            self.engine.shrink()  # of more than that, as much again is likely to follow
        return done

    def flush(self) -> None:
        """Send the encrypted bytes of the engine, or add them to the connection's send buffer."""
        connection = self._connection
        encrypted = self.engine.take()
        while encrypted:
            if connection.send_buffer is None:
                try:
                    sent = self._sock.send(encrypted)
                except BlockingIOError:
                    sent = 0
                if sent < len(encrypted):
                    connection.send_buffer = buffer = TlsSendBuffer(self._sock, self)
                    buffer.add_encrypted(bytes(encrypted[sent:]))
            else:
                assert isinstance(connection.send_buffer, TlsSendBuffer)
                connection.send_buffer.add_encrypted(bytes(encrypted))
            if len(encrypted) < TAKE_SIZE:
                return
            encrypted = self.engine.take()

    def shutdown(self, how: int) -> None:
        """End our direction: close_notify, then FIN.

        :param how: SHUT_WR.
        """
        if self._is_shut:
            return
        self._is_shut = True
        self.engine.shutdown()
        self.flush()
        if self._connection.send_buffer is None:
            self._sock.shutdown(how)
        else:
            self.fin_is_due = True

    # The rest of a socket

    def fileno(self) -> int:
        return self._sock.fileno()

    def getsockname(self) -> Any:
        return self._sock.getsockname()

    def getsockopt(self, level: int, option: int) -> int:
        return self._sock.getsockopt(level, option)

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        self._sock.setsockopt(level, option, value)

    def close(self) -> None:
        self.engine.release()
        self._sock.close()
        # The connection refers to this object.  Without the circle OpenSSL's memory is released at once, not whenever
        # Python looks for circles, of which OpenSSL's share is not counted there.
        del self._connection


class TlsSendBuffer(SendBuffer):
    """The send buffer of a :class:`TlsSocket`: encrypted bytes, and behind them plain ones that are yet to be.

    :param sock: sends what is encrypted.
    :param secured: encrypts.
    """

    __slots__ = ("_plain", "_plain_size", "_secured")

    def __init__(self, sock: socket.SocketType, secured: TlsSocket) -> None:
        super().__init__(sock)
        self._secured = secured
        self._plain: deque[bytes] = deque()
        self._plain_size = 0

    def __len__(self) -> int:
        return super().__len__() + self._plain_size

    @property
    def unsent(self) -> int:
        return super().unsent + self._plain_size

    def add(self, data: bytes) -> None:
        self._plain.append(data)
        self._plain_size += len(data)

    def add_encrypted(self, data: bytes) -> None:
        """Append bytes that are encrypted already; they are sent before the plain ones."""
        super().add(data)

    def send(self) -> None:
        super().send()
        engine = self._secured.engine
        while self._plain:
            data = self._plain.popleft()
            self._plain_size -= len(data)
            engine.encrypt(data, self._secured.flush)
            super().send()
        engine.shrink()
        if self._secured.fin_is_due:
            self._sock.shutdown(socket.SHUT_WR)
