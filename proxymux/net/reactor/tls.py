"""TLS over one of Twisted's transports, by our own engine."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from proxymux.net.tls.engine import CLOSED, MOST_ANSWERS, RECORD, UNREAD_ANSWERS, TlsEngine, TlsError, pointer_to
from proxymux.net.wording import CUT_IN_HANDSHAKE

if TYPE_CHECKING:
    from proxymux.net.reactor.connection import TransportConnection

_plain: Final = bytearray(1 << 16)
_plain_pointer = pointer_to(_plain)


class TransportTls:
    """Encrypts what a connection sends on its transport, and decrypts what it receives there.

    The connection refers to this object.  It is an argument here, lest the two are a circle, which Python would find
    late: it does not count OpenSSL's memory.

    :param engine: of this connection alone.
    """

    def __init__(self, engine: TlsEngine) -> None:
        self.engine = engine
        self._is_shut = False
        #: The peer has sent FIN without close_notify.
        self.is_truncated = False
        #: Of the last write: its plain bytes, and those that they became.
        self._last = (0, 0)
        #: Encrypted bytes without plain ones in them, since the transport's buffer was empty.
        self._answers = 0

    def plain_of(self, encrypted: int) -> int:
        """About how many plain bytes are in the last ``encrypted`` ones, if every record is as long as those of the
        last write: the transport does not say which of its bytes begin one.
        """
        plain, size = self._last
        if not plain:
            return 0
        records = -(-plain // RECORD)
        waiting = -(-encrypted * records // size)  # records, of which the first may be sent in part
        return waiting * plain // records

    def received(self, connection: TransportConnection, data: bytes) -> None:
        """Go on with the handshake, or deliver what ``data`` holds.

        :param connection: is given the plain bytes, and told of the end of the handshake and of the peer's direction.
        :param data: what the peer has sent; may be empty, to begin the handshake.
        """
        engine = self.engine
        if connection.is_lost:
            return
        if data:
            engine.put_bytes(data)
        try:
            if not engine.is_secured and engine.handshake():
                self._flush(connection)
                connection.owner.secured()
            if engine.is_secured:
                self._deliver(connection)
            self._answer(connection)
        except TlsError as error:
            self._flush(connection)
            connection.break_off(error)

    def _deliver(self, connection: TransportConnection) -> None:
        pieces: list[bytes] = []
        while (count := self.engine.read_into(_plain_pointer, len(_plain))) > 0:
            pieces.append(bytes(_plain[:count]))
        if pieces and not connection.is_lost:
            connection.deliver(b"".join(pieces))
        if count == CLOSED:
            connection.note_finished()

    def fin_received(self, connection: TransportConnection) -> None:
        """Take note that the peer has sent FIN."""
        if not self.engine.is_secured:
            connection.break_off(ConnectionError(CUT_IN_HANDSHAKE))
        elif not connection.is_finished:
            self.is_truncated = True
            connection.note_finished()

    def send(self, connection: TransportConnection, data: bytes) -> None:
        """Send ``data``, encrypted."""
        try:
            self.engine.encrypt(data, functools.partial(self._flush, connection))
        except TlsError as error:
            connection.break_off(error)

    def shutdown(self, connection: TransportConnection) -> None:
        """Send close_notify."""
        if not self._is_shut:
            self._is_shut = True
            self.engine.shutdown()
            self._flush(connection)

    def _answer(self, connection: TransportConnection) -> None:
        """Send what the peer's bytes have called for.

        :raises TlsError: if it reads none of the answers.
        """
        while not connection.is_lost and (encrypted := bytes(self.engine.take())):
            self._answers = len(encrypted) + (self._answers if connection.waiting else 0)
            if self._answers > MOST_ANSWERS:
                raise TlsError(UNREAD_ANSWERS)
            connection.transport.write(encrypted)
        self.engine.shrink()

    def _flush(self, connection: TransportConnection, plain: int = 0) -> None:
        if not connection.is_lost:
            while encrypted := bytes(self.engine.take()):
                connection.transport.write(encrypted)
                if plain:
                    self._last = plain, len(encrypted)
                    plain = 0
        self.engine.shrink()
