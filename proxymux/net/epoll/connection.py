"""A connection on a plain socket that the hub watches."""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

from proxymux.core.identity import SocketAddress
from proxymux.core.wheel import Timer
from proxymux.net.connection import LINGER, LOOK_AGAIN, UNOWNED, Producer, bytes_to_send
from proxymux.net.epoll.hub import ENDINGS, Hub
from proxymux.net.epoll.send_buffer import SendBuffer

#: Bytes that may wait to be sent before whoever produces them is paused.
_PLENTY: Final = 1 << 16
#: Reads in one turn before the other sockets have theirs.
_READS: Final = 4
#: SO_LINGER on, of no seconds: closing sends a reset.
_RESET: Final = struct.pack("ii", 1, 0)
_OUT: Final = select.EPOLLOUT
_ERROR: Final = select.EPOLLERR


class EpollConnection:
    """A :class:`~proxymux.net.connection.Connection`.  Nothing is read before it is resumed.

    :param hub: that watches its socket from now on, if it does not do so already.
    :param sock: connected and non-blocking.
    :param owner: an :class:`~proxymux.interfaces.IConnectionOwner`.
    :param peer: where the other end is.
    :param is_patient: if the peer resets, what it had sent before is still to be read, and the reset told after it.
    :raises OSError: if the hub cannot watch more sockets.
    """

    __slots__ = (
        "_after",
        "_error",
        "_hub",
        "_is_failing",
        "_is_paused",
        "_local",
        "_producer",
        "_timer",
        "fd",
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

    is_tls = False
    half_closes = True
    notices_resets = True
    transport = None

    def __init__(
        self,
        hub: Hub,
        sock: socket.SocketType,
        owner: Any,
        peer: SocketAddress,
        local: SocketAddress | None = None,
        is_patient: bool = False,
        is_watched: bool = False,
    ) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.owner = owner
        self.peer = peer
        self.is_patient = is_patient
        self.is_lost = False
        self.is_finished = False
        #: What waits to be sent, or None.
        self.send_buffer: SendBuffer | None = None
        self._local = local
        self._hub = hub
        self._is_paused = True
        #: Something may have come that no event will tell of again.
        self.is_unread = False
        #: The peer has ended; what it sent before is read to its end, as no event will tell of more.
        self.is_ending = False
        #: Nothing can be sent any more.
        self.is_broken = False
        #: The system has said that there is an error, and reading has not come to it.
        self._is_failing = False
        self.when_lost: Callable[[], None] | None = None
        self._error: OSError | None = None
        self._after: Callable[[], None] | None = None
        self._producer: Any = None
        self._timer: Timer | None = None
        if is_watched:
            hub.hand_over(self.fd, self)
        else:
            hub.watch(self.fd, self)

    @property
    def local(self) -> SocketAddress:
        if self._local is None:
            name = self.sock.getsockname()
            self._local = (f"unix:{name}", 0) if isinstance(name, str) else (name[0], name[1])
        return self._local

    @property
    def is_reset(self) -> bool:
        return self.is_lost

    @property
    def is_flushed(self) -> bool:
        return self.send_buffer is None

    # Reading

    def ready(self, events: int) -> None:
        """Take note of what has happened on the socket."""
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
        """The peer has ended.

        :param is_waiting: nothing is being read from it now.
        """
        self.is_ending = True
        if events & _ERROR:
            if self.is_finished or (is_waiting and not self.is_patient):
                self.break_off(self._pending_error())
            else:
                self._is_failing = True  # reading comes to the error, or to the FIN that came before it

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
            self._hub.again(self.fd)

    def end(self) -> None:
        """What the peer has sent was read to its end."""
        if self._error is not None and self._error.errno != errno.EPIPE:
            self.fail(self._error)  # the end of a reset, which was told to whoever was sending
            return
        self.is_finished = True
        self.owner.finished()
        if self.is_broken:
            self.fail(self._error)
        elif self._is_failing and not self.is_lost:
            self.break_off(self._pending_error())

    def leave_unread(self) -> None:
        """Nobody reads any more, until it is resumed."""
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
                # Not now: whoever resumes has not ended what it is doing.
                self.is_unread = False
                self._hub.again(self.fd)

    # Sending

    def send(self, data: bytes) -> None:
        if self.is_lost or self.is_broken:
            return
        if self.send_buffer is None:
            try:
                sent = self.sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self.break_off(error)
                return
            if sent == len(data):
                return
            self.send_buffer = SendBuffer()
            data = data[sent:]
        self.send_buffer.add(data)
        if self._producer is not None and len(self.send_buffer) > _PLENTY:
            self._producer.pauseProducing()

    def flush(self) -> None:
        """Send what waits."""
        send_buffer = self.send_buffer
        assert send_buffer is not None
        try:
            send_buffer.send(self.sock)
        except BlockingIOError:
            return
        except OSError as error:
            self.break_off(error)
            return
        self.send_buffer = None
        if self._producer is not None:
            self._producer.resumeProducing()
        if self._after is not None and self.send_buffer is None and not self.is_lost:
            after, self._after = self._after, None
            after()

    def break_off(self, error: OSError) -> None:
        """Sending has failed."""
        self.is_broken = True
        self._error = error
        self._drop_send_buffer()
        self._after = None
        # EPIPE is the reset by a peer that had sent FIN: what it sent was meant to arrive.
        if self.is_finished or not (self.is_patient or error.errno == errno.EPIPE):
            self.fail(error)
        elif not self.is_ending:
            self.is_ending = True
            self._hub.again(self.fd)  # what it has sent is read to its end

    def register_producer(self, producer: Producer) -> None:
        self._producer = producer

    def unregister_producer(self) -> None:
        self._producer = None

    def when_flushed(self, flushed: Callable[[], None]) -> None:
        self._producer = None
        if self.send_buffer is None:
            flushed()
        else:
            self._after = flushed

    # Closing

    def finish(self) -> None:
        self._producer = None
        if not self.is_lost and not self.is_broken:
            self.when_flushed(self._send_fin)

    def _send_fin(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return  # it is lost, and we shall be told
        self.owner.flushed()

    def close(self) -> None:
        if self.is_lost:
            return
        self.when_flushed(self._close)
        if not self.is_lost and self._timer is None:
            self._timer = self._hub.timers.after(LINGER, self._expired)

    def _close(self) -> None:
        if not self.is_finished:
            # Or else bytes that nobody has read would make a reset of it, without a FIN before.
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it has gone already
        self.fail(None)

    def abort(self) -> None:
        if not self.is_lost:
            try:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            except OSError:
                pass  # it is reset already
            self.fail(ConnectionAbortedError("aborted"))

    def reset(self) -> None:
        if self.is_lost:
            return
        if bytes_to_send(self.fd):
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
        """The connection is gone; None is in good order."""
        if self.is_lost:
            return
        self.is_lost = self.is_broken = True
        self._drop_send_buffer()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._after = self._producer = None
        self._hub.close(self.sock, self.fd)
        owner, self.owner = self.owner, UNOWNED
        owner.lost(reason)
        if self.when_lost is not None:
            self.when_lost()

    def _drop_send_buffer(self) -> None:
        if self.send_buffer is not None:
            self.send_buffer.drop()
            self.send_buffer = None
