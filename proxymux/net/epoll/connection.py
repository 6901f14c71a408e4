"""Connections on plain sockets, which the hub watches: reading, sending through a send buffer, and closing."""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections.abc import Callable
from typing import Final

from OpenSSL import SSL

from proxymux.core.identity import SocketAddress
from proxymux.core.wheel import Timer
from proxymux.net.connection import CLOSE_LIMIT, LOOK_AGAIN, PLENTY, UNOWNED, ConnectionOwner, Producer, bytes_to_send
from proxymux.net.epoll.hub import ENDINGS, Hub
from proxymux.net.epoll.send_buffer import SendBuffer
from proxymux.net.epoll.tls import TlsSocket
from proxymux.net.socket_address import address_of
from proxymux.net.tls.engine import TlsEngine

#: The most reads of one connection in one turn of the hub.
_READS: Final = 4
#: The value of SO_LINGER with which closing sends a reset: on, for 0 seconds.
_RESET: Final = struct.pack("ii", 1, 0)
_OUT: Final = select.EPOLLOUT
_ERROR: Final = select.EPOLLERR


class EpollConnection:
    """A :class:`~proxymux.net.connection.Connection` on a plain socket.  Reading is paused at first.

    :param hub: watches the socket.
    :param sock: connected and non-blocking.
    :param owner: is told what happens on the connection.
    :param peer: the address of the other end.
    :param local: the address of this end; None to ask the socket when it is needed.
    :param is_patient: report a reset by the peer only after what it had sent before has been read.
    :param is_watched: the hub watches the socket already, for another watcher.
    :raises OSError: if the hub cannot watch more sockets.
    """

    __slots__ = (
        "_dropped",
        "_error",
        "_flushed",
        "_hub",
        "_is_failing",
        "_is_paused",
        "_local",
        "_plenty",
        "_producer",
        "_timer",
        "fd",
        "handle",
        "is_broken",
        "is_ending",
        "is_finished",
        "is_lost",
        "is_patient",
        "is_unread",
        "owner",
        "peer",
        "send_buffer",
        "sock",
        "when_lost",
    )

    half_closes = True
    notices_resets = True

    def __init__(
        self,
        hub: Hub,
        sock: socket.SocketType,
        owner: ConnectionOwner,
        peer: SocketAddress,
        local: SocketAddress | None = None,
        is_patient: bool = False,
        is_watched: bool = False,
    ) -> None:
        self.sock: socket.SocketType | TlsSocket = sock
        self.fd = sock.fileno()
        self.owner = owner
        self.peer = peer
        self.is_patient = is_patient
        self.handle: SSL.Connection | None = None
        self.is_lost = False
        self.is_finished = False
        #: What the kernel does not take yet; None if there is nothing.
        self.send_buffer: SendBuffer | None = None
        self._local = local
        self._hub = hub
        self._is_paused = True
        #: Bytes or a FIN may have come that no further event will report.
        self.is_unread = False
        #: The peer has ended: no event will report what is still to be read, so it is read to its end.
        self.is_ending = False
        #: Sending has failed, and fails from now on.
        self.is_broken = False
        #: The hub has reported an error that reading has not met yet.
        self._is_failing = False
        self.when_lost: Callable[[], None] | None = None
        #: Bytes that were to be sent and never will be.
        self._dropped = 0
        self._error: OSError | None = None
        self._flushed: Callable[[], None] | None = None
        self._producer: Producer | None = None
        self._plenty = PLENTY
        self._timer: Timer | None = None
        if is_watched:
            hub.set_watcher(self.fd, self)
        else:
            hub.watch(self.fd, self)

    @property
    def local(self) -> SocketAddress:
        if self._local is None:
            self._local = address_of(self.sock.getsockname())
        return self._local

    @property
    def is_truncated(self) -> bool:
        return isinstance(self.sock, TlsSocket) and self.sock.is_truncated

    @property
    def is_reset(self) -> bool:
        return self.is_lost

    @property
    def is_flushed(self) -> bool:
        return self.send_buffer is None

    @property
    def can_move(self) -> bool:
        """Whether another process may take the connection: a plain one that neither fails nor is being closed."""
        is_ending = self.is_broken or self._is_failing or self._timer or self._dropped or self.when_lost
        return self.handle is None and not is_ending

    @property
    def unsent(self) -> int:
        return self._dropped + (self.send_buffer.unsent if self.send_buffer is not None else 0)

    # Reading

    def ready(self, events: int) -> None:
        """Take note of the socket's events; called by the hub."""
        if events & _OUT and self.send_buffer is not None:
            self.flush()
        if events & ~_OUT and not self.is_lost:
            if events & ENDINGS:
                self.note_end(events, self._is_paused)
            if self._is_paused:
                self.is_unread = True
            else:
                self._read()

    def note_end(self, events: int, is_waiting: bool) -> None:
        """Take note that the peer has sent FIN or has reset the connection.

        :param events: at least one of :data:`~proxymux.net.epoll.hub.ENDINGS`.
        :param is_waiting: reading is paused.
        """
        self.is_ending = True
        if events & _ERROR:
            if self.is_finished or (is_waiting and not self.is_patient):
                self.break_off(self._pending_error())
            else:
                self._is_failing = True  # reading meets the error, or the FIN that came before it

    def _pending_error(self) -> OSError:
        number = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return OSError(number, "")

    def _read(self) -> None:
        buffer = self._hub.buffer
        for _ in range(_READS):
            if self.is_lost or self.is_finished:
                return
            if self._is_paused:
                self.is_unread = True
                return
            try:
                count = self.sock.recv_into(buffer)
            except BlockingIOError:
                return
            except OSError as error:
                self.fail(error)
                return
            if not count:
                self.end()
                return
            self.owner.received(bytes(buffer[:count]))
            if count < len(buffer) and not self.is_ending:
                return
        if not self.is_lost:
            self.read_again()

    def end(self) -> None:
        """Take note that everything up to the peer's FIN or reset has been read."""
        if self._error is not None and self._error.errno != errno.EPIPE:
            self.fail(self._error)  # the end was a reset, which sending has met before
            return
        self.is_finished = True
        self.owner.finished()
        if self.is_broken:
            self.fail(self._error)
        elif self._is_failing and not self.is_lost:
            self.break_off(self._pending_error())

    def leave_unread(self) -> None:
        """Pause on behalf of a relay that has read past the last event: :meth:`resume` has to read again."""
        self._is_paused = self.is_unread = True
        self.is_patient = False

    def take_early(self) -> bytes:
        return b""

    def pause(self) -> None:
        self._is_paused = True

    def resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            if self.is_unread and not self.is_lost:
                # In the hub's next turn, not within this call: the caller is not ready for received().
                self.is_unread = False
                self.read_again()

    def read_again(self) -> None:
        """Have what is left to be read reported once more, after the events of the other sockets."""
        if isinstance(self.sock, TlsSocket) and self.sock.has_input:
            self._hub.read_again(self.fd)
        else:
            self._hub.rearm(self.fd)

    # TLS

    def start_tls(self, engine: TlsEngine, received: bytes = b"") -> None:
        assert isinstance(self.sock, socket.SocketType)
        self.sock = secured = TlsSocket(self.sock, engine, self)
        self.handle = engine.connection
        if received:
            engine.put_bytes(received)
        try:
            if not self._hub.may_shake_hands(self.fd):
                self.is_unread = self._is_paused
            elif secured.shake_hands():
                self.note_secured()
        except OSError as error:
            self.fail(error)

    def may_shake_hands(self) -> bool:
        """True if the handshake may take a step now; otherwise the hub tells of the socket again."""
        return self._hub.may_shake_hands(self.fd)

    def note_secured(self) -> None:
        """Take note that the handshake is done; what has come after it is read in the hub's next turn."""
        self.owner.secured()
        if not self.is_lost:
            self.is_unread = self._is_paused
            if not self._is_paused:
                self.read_again()

    # Sending

    def send(self, data: bytes) -> None:
        if self.is_lost or self.is_broken:
            self._dropped += len(data)
            return
        if self.send_buffer is None:
            try:
                sent = self.sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self.break_off(error, len(data))
                return
            if sent == len(data):
                return
            data = data[sent:]
            if self.send_buffer is None:
                assert isinstance(self.sock, socket.SocketType)  # TLS makes its send buffer itself
                self.send_buffer = SendBuffer(self.sock)
        self.send_buffer.add(data)
        if self._producer is not None and len(self.send_buffer) > self._plenty:
            self._producer.pauseProducing()

    def flush(self) -> None:
        """Send what is in the send buffer; called when the socket is writable."""
        send_buffer = self.send_buffer
        assert send_buffer is not None
        try:
            send_buffer.send()
        except BlockingIOError:
            return
        except OSError as error:
            self.break_off(error)
            return
        self.send_buffer = None
        if self._producer is not None:
            self._producer.resumeProducing()
        if self._flushed is not None and self.is_flushed and not self.is_lost:
            flushed, self._flushed = self._flushed, None
            flushed()

    def break_off(self, error: OSError, dropped: int = 0) -> None:
        """Take note that sending has failed with ``error``, and read what the peer had sent before.

        :param dropped: the number of bytes that were to be sent and are not in the send buffer.
        """
        self.is_broken = True
        self._dropped += dropped
        self._error = error.with_traceback(None)  # its frames lead to this connection
        self._drop_send_buffer()
        self._flushed = None
        # EPIPE is the reset by a peer that had sent FIN: the bytes before the FIN are still delivered.
        if self.is_finished or not (self.is_patient or error.errno == errno.EPIPE):
            self.fail(error)
        elif not self.is_ending:
            self.is_ending = True
            self.read_again()  # so that what the peer has sent is read to its end

    def register_producer(self, producer: Producer, plenty: int = PLENTY) -> None:
        self._producer = producer
        self._plenty = plenty

    def unregister_producer(self) -> None:
        self._producer = None

    def when_flushed(self, flushed: Callable[[], None]) -> None:
        self._producer = None
        if self.send_buffer is None:
            flushed()
        else:
            self._flushed = flushed

    # Closing

    def finish(self) -> None:
        self._producer = None
        if not self.is_lost and not self.is_broken:
            self.when_flushed(self._send_fin)

    def _send_fin(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the connection is lost; the hub will report it
        self.owner.flushed()

    def close(self) -> None:
        if self.is_lost:
            return
        if self.send_buffer is None and self.handle is None:
            self.close_now()
            return
        self.when_flushed(self._close)
        if not self.is_lost and self._timer is None:
            self._timer = self._hub.timers.after(CLOSE_LIMIT, self._expired)

    def _close(self) -> None:
        if isinstance(self.sock, TlsSocket):
            self._shut()
        if self.send_buffer is None:
            self.close_now()
        else:
            self._flushed = self.close_now  # the kernel has not taken close_notify yet

    def close_now(self) -> None:
        if self.is_lost:
            return
        if not self.is_finished or self.handle is not None:
            # The kernel answers a close with unread bytes by a reset; so FIN is sent first.
            self._shut()
        self.fail(None)

    def _shut(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the connection is lost already

    def abort(self) -> None:
        if not self.is_lost:
            try:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            except OSError:
                pass  # the connection is reset already
            self.fail(ConnectionAbortedError("aborted"))

    def reset(self) -> None:
        if self.is_lost:
            return
        if bytes_to_send(self.fd):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._hub.timers.after(LOOK_AGAIN, self._reset_again)
        else:
            self.abort()

    def _reset_again(self) -> None:
        self._timer = None
        self.reset()

    def _expired(self) -> None:
        self._timer = None
        self.abort()

    def fail(self, reason: Exception | None) -> None:
        """Close the socket and tell the owner.

        :param reason: None if the connection ends in good order.
        """
        if self.is_lost:
            return
        self.is_lost = self.is_broken = True
        self._drop_send_buffer()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._flushed = self._producer = None
        self._hub.close(self.sock, self.fd)
        owner, self.owner = self.owner, UNOWNED
        owner.lost(reason)
        if self.when_lost is not None:
            self.when_lost()

    def let_go(self) -> None:
        """Close the descriptor of a connection that another process has taken, and tell nobody."""
        self.is_lost = self.is_broken = True
        self.owner = UNOWNED
        self._flushed = self._producer = None
        self.sock.close()

    def _drop_send_buffer(self) -> None:
        if self.send_buffer is not None:
            self._dropped += self.send_buffer.unsent
            self.send_buffer.drop()
            self.send_buffer = None
