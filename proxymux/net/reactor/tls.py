"""TLS over one of Twisted's transports, by our own engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxymux.net.tls.engine import CLOSED, TAKE_SIZE, TlsEngine, TlsError, pointer_to

if TYPE_CHECKING:
    from proxymux.net.reactor.connection import TransportConnection

#: Plain bytes that are encrypted at once: with what TLS adds to each record, they fit into one take().
_PIECE: Final = TAKE_SIZE // 2
_plain: Final = memoryview(bytearray(1 << 16))
_plain_pointer = pointer_to(_plain)


class TransportTls:
    """Encrypts what a connection sends on its transport, and decrypts what it receives there.

    :param engine: of this connection alone.
    :param connection: is given the plain bytes, and told of the end of the handshake and of the peer's direction.
    """

    def __init__(self, engine: TlsEngine, connection: TransportConnection) -> None:
        self.engine = engine
        self._connection = connection
        self._is_shut = False
        #: The peer has sent FIN without close_notify.
        self.is_truncated = False

    def received(self, data: bytes) -> None:
        """Go on with the handshake, or deliver what ``data`` holds.

        :param data: what the peer has sent; may be empty, to begin the handshake.
        """
        engine, connection = self.engine, self._connection
        if connection.is_lost:
            return
        if data:
            engine.put_bytes(data)
        try:
            if not engine.is_secured and engine.handshake():
                self._flush()
                connection.owner.secured()
            if engine.is_secured:
                self._deliver()
            self._flush()
        except TlsError as error:
            self._flush()
            connection.break_off(error)

    def _deliver(self) -> None:
        pieces: list[bytes] = []
        while (count := self.engine.read_into(_plain_pointer, len(_plain))) > 0:
            pieces.append(bytes(_plain[:count]))
        if pieces and not self._connection.is_lost:
            self._connection.deliver(b"".join(pieces))
        if count == CLOSED:
            self._connection.note_finished()

    def fin_received(self) -> None:
        """Take note that the peer has sent FIN."""
        if not self.engine.is_secured:
            self._connection.break_off(ConnectionError("the peer closed the connection in the handshake"))
        elif not self._connection.is_finished:
            self.is_truncated = True
            self._connection.note_finished()

    def send(self, data: bytes) -> None:
        """Send ``data``, encrypted."""
        pointer = pointer_to(data)
        try:
            for start in range(0, len(data), _PIECE):
                self.engine.write(pointer + start, min(_PIECE, len(data) - start))
                self._flush()
        except TlsError as error:
            self._connection.break_off(error)

    def shutdown(self) -> None:
        """Send close_notify."""
        if not self._is_shut:
            self._is_shut = True
            self.engine.shutdown()
            self._flush()

    def _flush(self) -> None:
        if not self._connection.is_lost:
            while encrypted := bytes(self.engine.take()):
                self._connection.transport.write(encrypted)
        self.engine.shrink()
