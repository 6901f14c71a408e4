"""The fd relay: bytes go from one plain socket to the other without Twisted's transports.

Received bytes are read into the hub's shared buffer and sent at once.  A flow that fills the buffer is bulk: it is
spliced through a pipe, without a copy in our memory, until it is slow again.  While a socket has a send buffer, nothing
is read for it.
"""

from __future__ import annotations

import select
from socket import SocketType
from typing import Final

from proxymux.net.epoll.connection import EpollConnection
from proxymux.net.epoll.hub import BUFFER_SIZE, ENDINGS, Hub
from proxymux.net.epoll.pipes import Pipe, Pipes
from proxymux.net.epoll.send_buffer import SendBuffer
from proxymux.net.exchange import Exchange, Flow, JoinOptions
from proxymux.net.timers import Timers

#: Rounds of reading and sending of one flow in one turn of the hub.
_ROUNDS: Final = (1, 2, 3, 4)
#: Bytes of one flow that are spliced in one turn; the last pipe may exceed them.
_BULK_TURN: Final = 1 << 20
#: Bytes of one splice() below which a flow is no longer bulk.
_SLOW: Final = BUFFER_SIZE // 4
_OUT: Final = select.EPOLLOUT
#: The events of a socket that can be read and written, by far the most frequent ones.
_USUAL: Final = select.EPOLLIN | select.EPOLLOUT


def join_sockets(
    timers: Timers,
    hub: Hub,
    pipes: Pipes | None,
    client: EpollConnection,
    upstream: EpollConnection,
    options: JoinOptions,
) -> Exchange:
    """Join two plain sockets, which may carry TLS.

    :param timers: for the first-byte and the idle timeout.
    :param hub: watches both sockets.
    :param pipes: for bulk; not used where one of the two carries TLS.
    """
    if client.handle is not None or upstream.handle is not None:
        pipes = None
    from_client, from_upstream = EpollFlow(client, upstream, hub, pipes), EpollFlow(upstream, client, hub, pipes)
    upstream.register_producer(from_client)
    client.register_producer(from_upstream)
    return Exchange(timers, from_client, from_upstream, options).begin()


class EpollFlow(Flow):
    """The flow of bytes from one plain socket to another.  The hub tells it of its socket's events."""

    __slots__ = ("_fd", "_hub", "_is_bulk", "_pipes", "_source", "plain", "plain_sink")

    def __init__(self, connection: EpollConnection, sink: EpollConnection, hub: Hub, pipes: Pipes | None) -> None:
        super().__init__(connection, sink)
        #: The connection and the sink, as what they are here.
        self.plain = connection
        self.plain_sink = sink
        self._hub = hub
        self._pipes = pipes
        self._fd = connection.fd
        self._source = connection.sock
        self._is_bulk = False

    def go(self) -> None:
        if not self.plain.is_lost:
            self._hub.set_watcher(self._fd, self)
            if self.plain.is_unread:
                self.plain.read_again()

    def leave(self) -> None:
        if not self.plain.is_lost:
            self._hub.set_watcher(self._fd, self.plain)
            self.plain.leave_unread()
        super().leave()

    # Called by the sink, whose producer the flow is

    def pauseProducing(self) -> None:
        """Do nothing: :meth:`pull` looks at the other connection's send buffer before each read."""

    def resumeProducing(self) -> None:
        self.pull()

    # Called by the hub

    def ready(self, events: int) -> None:
        """Take note of the socket's events."""
        if events & _OUT and self.plain.send_buffer is not None:
            self.plain.flush()
        if events == _USUAL:
            if self.exchange is not None:
                self.pull()
            return
        if events & ENDINGS and self.exchange is not None:
            self.plain.note_end(events, self.plain_sink.send_buffer is not None)
        if events & ~_OUT and self.exchange is not None:
            self.pull()

    def abort(self) -> None:
        """Reset the connection, as :meth:`ready` has raised."""
        self.plain.abort()

    def pull(self) -> None:
        """Read what has come and send it on the other connection, while that takes it and within :data:`_ROUNDS`."""
        if self._is_bulk:
            self._splice(0)
            return
        buffer, sink = self._hub.buffer, self.plain_sink
        for _ in _ROUNDS:
            if sink.send_buffer is not None or sink.is_broken or self.plain.is_finished:
                return
            try:
                count = self._source.recv_into(buffer)
            except BlockingIOError:
                return
            except OSError as error:
                self.plain.fail(error)
                return
            if not count:
                self.plain.end()
                return
            self.last_at = self._hub.now
            if not self.count:
                self.first_at = self.last_at
            self.count += count
            try:
                sent = sink.sock.send(buffer[:count])
            except BlockingIOError:
                sent = 0
            except OSError as error:
                sink.break_off(error, count)
                return
            if sent != count:
                if sink.send_buffer is None:
                    assert isinstance(sink.sock, SocketType)  # TLS makes its send buffer itself
                    sink.send_buffer = SendBuffer(sink.sock)
                sink.send_buffer.add(bytes(buffer[sent:count]))
                return
            if count == len(buffer) and self._pipes is not None and self._pipes.are_usable:
                self._is_bulk = True
                self._splice(count)
                return
            if count < len(buffer) and not self.plain.is_ending:
                return
        self.plain.read_again()

    def _splice(self, moved: int) -> None:
        """Move what has come to the other socket through a pipe.

        :param moved: bytes that this turn has moved already.
        """
        assert self._pipes is not None
        pipe = self._pipes.lend()
        if pipe is None:
            self._is_bulk = False
            self._hub.rearm(self._fd)
            return
        self._splice_through(pipe, moved)
        pipe.release()

    def _splice_through(self, pipe: Pipe, moved: int) -> None:
        sink = self.plain_sink
        while moved < _BULK_TURN:
            if sink.send_buffer is not None or sink.is_broken or self.plain.is_finished:
                return
            try:
                count = pipe.fill(self._fd)
            except BlockingIOError:
                return
            except OSError as error:
                self.plain.fail(error)
                return
            if not count:
                self.plain.end()
                return
            self.last_at = self._hub.now
            self.count += count  # first_at is set already: a flow begins with a copied byte
            moved += count
            self._is_bulk = count >= _SLOW
            try:
                pipe.drain(sink.fd)
            except BlockingIOError:
                assert isinstance(sink.sock, SocketType)
                sink.send_buffer = SendBuffer(sink.sock, pipe)
                return
            except OSError as error:
                sink.break_off(error, pipe.held)
                return
        self._hub.rearm(self._fd)
