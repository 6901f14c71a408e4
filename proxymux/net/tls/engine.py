"""The TLS engine: one side of one TLS connection between two memory buffers, without a socket.

Bytes from the peer are put in, plain bytes are read out; plain bytes are written in, bytes for the peer are taken out.
The connection object is pyOpenSSL's, with its memory BIOs.  The functions that carry bytes are called in OpenSSL
directly, as pyOpenSSL's own methods cost as much again for every record.  The private names of pyOpenSSL that are used
here were tried with 24.3 to 26.4.

OpenSSL keeps errors in a queue of the thread, where one that is left behind is taken for the next connection's: every
path that fails clears the queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from OpenSSL import SSL
from OpenSSL._util import ffi, lib

from proxymux.net.wording import explain_certificate, explain_tls

#: The results of :meth:`TlsEngine.read_into` beside a number of bytes: nothing before more is put in; close_notify.
WANT: Final = -1
CLOSED: Final = 0
#: Bytes of one take().
TAKE_SIZE: Final = 1 << 17
#: Plain bytes that are written at once: with what TLS adds to each record, they fit into one take().
PIECE: Final = TAKE_SIZE // 2
#: Plain bytes of a full record (RFC 8446 section 5.1); OpenSSL fills all but the last of a write.
RECORD: Final = 1 << 14
#: The most encrypted bytes that wait to be sent as answers to the peer, to its requests for new keys, say: for one that
#: reads them there are few.
MOST_ANSWERS: Final = 1 << 16
UNREAD_ANSWERS: Final = "the peer demands answers and reads none"
#: Bytes that one memory BIO may have grown to before it is worth a new one: it never shrinks by itself.
_SMALL: Final = 1 << 12

#: OpenSSL's name of the error that is explained by the result of the verification.
_UNVERIFIED: Final = "certificate verify failed"
_WANT_READ: Final[int] = lib.SSL_ERROR_WANT_READ
_ZERO_RETURN: Final[int] = lib.SSL_ERROR_ZERO_RETURN
_SENT_AND_RECEIVED: Final[int] = lib.SSL_SENT_SHUTDOWN | lib.SSL_RECEIVED_SHUTDOWN
# Looked up once: each is called for every record.
_read = lib.SSL_read
_write = lib.SSL_write
_get_error = lib.SSL_get_error
_bio_read = lib.BIO_read
_bio_write = lib.BIO_write
_bio_size = lib.BIO_get_mem_data
_out: Final = bytearray(TAKE_SIZE)
_out_view: Final = memoryview(_out)
_out_pointer = ffi.from_buffer(_out)
_ignored_pointer = ffi.new("char **")


def pointer_to(buffer: bytes | bytearray | memoryview) -> Any:
    """A pointer of cffi's to the memory of ``buffer``, which must outlive it.

    That to a memoryview is a context manager, and has to be used as one: Python crashes where it finds a circle with a
    memoryview to which there is still a pointer, such as the traceback of an exception that is kept.
    """
    return ffi.from_buffer(buffer)


def plain_bytes(plain: int, encrypted: int, unsent: int) -> int:
    """Of one write, the plain bytes in those records of which not all is sent: the peer can read none of these.

    :param plain: the bytes that were written, at most :data:`PIECE`; 0 for what holds none, such as an alert.
    :param encrypted: the bytes that they became.
    :param unsent: the last of these that are not sent.
    """
    if not plain or not unsent:
        return 0
    records = -(-plain // RECORD)
    whole = (encrypted - unsent) // (RECORD + (encrypted - plain) // records)
    return plain - whole * RECORD


class TlsError(ConnectionError):
    """TLS has failed; the text says why in one line."""


class TlsEngine:
    """One side of one TLS connection.

    :param connection: pyOpenSSL's, with memory BIOs, and in its accept or connect state.
    """

    __slots__ = ("_into", "_is_large", "_out", "_ssl", "connection", "is_secured", "when_released")

    # Any: cffi's pointers have no type.
    _ssl: Any
    _into: Any
    _out: Any

    def __init__(self, connection: SSL.Connection) -> None:
        self.connection = connection
        #: The handshake is done.
        self.is_secured = False
        #: Called with the connection when it is over, to take its session.
        self.when_released: Callable[[SSL.Connection], None] | None = None
        self._ssl = connection._ssl
        self._into = connection._into_ssl
        self._out = connection._from_ssl
        #: A BIO has held much; the handshake's certificates already are.
        self._is_large = True

    def put(self, pointer: Any, size: int) -> None:
        """Put in ``size`` bytes from the peer that begin at ``pointer`` (cffi's)."""
        _bio_write(self._into, pointer, size)
        if size > _SMALL:
            self._is_large = True

    def put_bytes(self, data: bytes) -> None:
        """Put in bytes from the peer."""
        self.put(pointer_to(data), len(data))

    def handshake(self) -> bool:
        """Do the next step of the handshake; afterwards there may be bytes to :meth:`take`, of an alert even.

        :returns: True once it is done, False if it needs more from the peer.
        :raises TlsError: if it has failed.
        """
        result = lib.SSL_do_handshake(self._ssl)
        if result == 1:
            self.is_secured = True
            return True
        if _get_error(self._ssl, result) != _WANT_READ:
            raise self._error()
        return False

    def read_into(self, pointer: Any, size: int) -> int:
        """Read the next plain bytes.

        :param pointer: where they are written to (cffi's).
        :param size: the most bytes.
        :returns: their number; :data:`WANT` or :data:`CLOSED`.
        :raises TlsError: if the peer's bytes are not TLS, or are an alert.
        """
        count: int = _read(self._ssl, pointer, size)
        if count > 0:
            return count
        error = _get_error(self._ssl, count)
        if error == _WANT_READ:
            return WANT
        if error == _ZERO_RETURN:
            return CLOSED
        raise self._error()

    def write(self, pointer: Any, size: int) -> None:
        """Write plain bytes, which can be taken encrypted at once.

        :raises TlsError: if the connection has failed.
        """
        count = done = _write(self._ssl, pointer, size)
        while count > 0 and done < size:  # pyOpenSSL's contexts take one record at a time
            count = _write(self._ssl, pointer + done, size - done)
            done += count
        if count <= 0:
            raise self._error()
        if size > _SMALL:
            self._is_large = True

    def encrypt(self, data: bytes, flush: Callable[[int], None]) -> None:
        """Write all of ``data`` in pieces.

        :param flush: called after each piece with its size, to take it out.
        :raises TlsError: if the connection has failed.
        """
        pointer = pointer_to(data)
        for start in range(0, len(data), PIECE):
            piece = min(PIECE, len(data) - start)
            self.write(pointer + start, piece)
            flush(piece)

    def take(self) -> memoryview:
        """Take out bytes for the peer, at most :data:`TAKE_SIZE`; the view is valid until the next call."""
        count = _bio_read(self._out, _out_pointer, TAKE_SIZE)
        return _out_view[:count] if count > 0 else _out_view[:0]

    @property
    def has_input(self) -> bool:
        """True if some of what was put in has not been read."""
        return bool(_bio_size(self._into, _ignored_pointer))

    @property
    def has_output(self) -> bool:
        """True if there are bytes to take."""
        return bool(_bio_size(self._out, _ignored_pointer))

    def shutdown(self) -> None:
        """End our direction by close_notify, which can be taken then."""
        if self.is_secured and lib.SSL_shutdown(self._ssl) < 0:
            lib.ERR_clear_error()

    def shrink(self) -> None:
        """Release the memory of the BIOs, which never shrink by themselves, if both are empty and have held much."""
        if self._is_large and not self.has_input and not self.has_output:
            self._into, self._out = lib.BIO_new(lib.BIO_s_mem()), lib.BIO_new(lib.BIO_s_mem())
            lib.SSL_set_bio(self._ssl, self._into, self._out)
            self.connection._into_ssl, self.connection._from_ssl = self._into, self._out
            self._is_large = False

    def release(self) -> None:
        """Take note that the connection is over.  Without this its session could not be resumed (RFC 5246 7.2.1)."""
        lib.SSL_set_shutdown(self._ssl, _SENT_AND_RECEIVED)
        if self.when_released is not None and self.is_secured:
            self.when_released(self.connection)

    def _error(self) -> TlsError:
        """Make the error of what has just failed, and clear OpenSSL's queue."""
        names: list[str] = []
        while number := lib.ERR_get_error():
            text = lib.ERR_reason_error_string(number)
            names.append(ffi.string(text).decode("ascii", "replace") if text else f"error {number}")
        problem = explain_tls(names)
        if _UNVERIFIED in names:
            problem += f": {explain_certificate(lib.SSL_get_verify_result(self._ssl))}"
        return TlsError(problem)
