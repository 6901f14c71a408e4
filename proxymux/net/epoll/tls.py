"""TLS on a plain socket: an object with a socket's methods, which encrypts what it sends and decrypts what it receives.

An :class:`~proxymux.net.epoll.connection.EpollConnection` and the relay use it in the place of their socket, and need
not know the difference.
"""

from __future__ import annotations

import socket
from typing import Any, Final, Protocol

from proxymux.net.epoll.send_buffer import SendBuffer
from proxymux.net.epoll.tls_send_buffer import TlsSendBuffer
from proxymux.net.tls.engine import CLOSED, PIECE, TAKE_SIZE, TlsEngine, TlsError, pointer_to
from proxymux.net.wording import CUT_IN_HANDSHAKE

#: Encrypted bytes of one read; and of one from a peer whose bytes hold hardly any plain ones.  Requests for new keys,
#: of 27 bytes, cost as much as large records, and there is no way to stop between them.
_READ_SIZE: Final = 1 << 16
_SMALL_READ: Final = 1 << 12
#: Reads of one :meth:`TlsSocket.recv_into`.  Two fill a buffer.
_ROUNDS: Final = (1, 2, 3)
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

    def read_again(self) -> None:
        """Read again in a later turn."""


class TlsSocket:
    """The methods of a non-blocking stream socket, over TLS.

    Reading does the handshake first.  The end of the peer's bytes is its close_notify, or a FIN without one.

    :param sock: connected and non-blocking.
    :param engine: of this connection alone.
    :param connection: is told when the handshake is done, and takes what the kernel did not take.
    """

    __slots__ = (
        "_connection",
        "_error",
        "_is_shut",
        "_read_size",
        "_sock",
        "engine",
        "fin_is_due",
        "has_input",
        "is_truncated",
    )
    __deletable__ = ("_connection",)  # mypyc wants to be told

    def __init__(self, sock: socket.SocketType, engine: TlsEngine, connection: Secured) -> None:
        self._sock = sock
        self.engine = engine
        self._connection = connection
        #: There are encrypted bytes that the kernel has given and that have not been read.
        self.has_input = False
        #: An error that reading has met after bytes that had to be delivered first.
        self._error: OSError | None = None
        self._is_shut = False
        #: The most encrypted bytes of the next read.
        self._read_size = _READ_SIZE
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
        engine, total, is_drained, read_size = self.engine, 0, False, self._read_size
        for _ in _ROUNDS:
            while self.has_input:
                try:
                    count = engine.read_into(pointer + total if total else pointer, size - total)
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
                count = self._sock.recv_into(_in, read_size)
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
            is_drained = count < read_size and not self._connection.is_ending
        else:
            self._read_size = _READ_SIZE if total > read_size else _SMALL_READ
            self._connection.read_again()
        try:
            if engine.has_output:
                self.flush()  # the answer to a KeyUpdate
        except OSError as error:
            return self._delivered_before(error, total)
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
                self.engine.write(pointer + done if done else pointer, piece)
                self.flush(piece)
                done += piece
        if done < PIECE and self._connection.send_buffer is None:
            self.engine.shrink()  # of more than that, as much again is likely to follow
        return done

    def flush(self, plain: int = 0) -> None:
        """Send the encrypted bytes of the engine, or add them to the connection's send buffer.

        :param plain: the number of plain bytes in them.
        """
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
                    buffer.add_encrypted(bytes(encrypted[sent:]), plain, len(encrypted))
            else:
                assert isinstance(connection.send_buffer, TlsSendBuffer)
                connection.send_buffer.add_encrypted(bytes(encrypted), plain, len(encrypted))
            if len(encrypted) < TAKE_SIZE:
                return
            encrypted, plain = self.engine.take(), 0  # a piece fits into one take

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
