"""The fd relay: bytes go from one plain socket to the other, with nothing of Twisted's and no object in between.

What is ready is read into one shared buffer and sent at once.  A flow that fills the buffer is bulk: it is spliced
through a pipe, never copied to our memory, until it is slow again.  While a socket does not take what it is sent,
nothing is read for it.
"""

from __future__ import annotations

import select
from typing import Final

from proxymux.net.epoll.connection import EpollConnection
from proxymux.net.epoll.hub import BUFFER_SIZE, ENDINGS, Hub
from proxymux.net.epoll.pipes import Pipe, Pipes
from proxymux.net.epoll.send_buffer import SendBuffer
from proxymux.net.exchange import Exchange, Flow, JoinOptions
from proxymux.net.timers import Timers

#: Rounds of reading and sending in one turn, before the other sockets have theirs.
_ROUNDS: Final = (1, 2, 3, 4)
#: Bytes spliced in one turn, give or take a pipe.
_BULK_TURN: Final = 1 << 20
#: A flow that has less than this at a time is not bulk any more.
_SLOW: Final = BUFFER_SIZE // 4
_OUT: Final = select.EPOLLOUT
#: What the events of a socket that has something to read are, unless it does not take what it is sent.
_USUAL: Final = select.EPOLLIN | select.EPOLLOUT


def join_sockets(
    timers: Timers, hub: Hub, pipes: Pipes, client: EpollConnection, upstream: EpollConnection, options: JoinOptions
) -> Exchange:
    """Join two plain sockets.

    :param timers: for the first-byte and the idle timeout.
    :param hub: watches both.
    :param pipes: for bulk.
    """
    return Exchange(timers, EpollFlow(client, hub, pipes), EpollFlow(upstream, hub, pipes), options).begin()


class EpollFlow(Flow):
    """One flow, and the flow from its socket to the other's."""

    __slots__ = ("_fd", "_hub", "_is_bulk", "_pipes", "_sink", "_source")

    connection: EpollConnection
    _sink: EpollConnection

    def __init__(self, connection: EpollConnection, hub: Hub, pipes: Pipes) -> None:
        super().__init__(connection)
        self._hub = hub
        self._pipes = pipes
        self._fd = connection.fd
        self._source = connection.sock
        self._is_bulk = False

    def join(self, exchange: Exchange, other: Flow) -> None:
        super().join(exchange, other)
        self._sink = other.connection
        self._sink.register_producer(self)

    def go(self) -> None:
        if not self.connection.is_lost:
            self._hub.hand_over(self._fd, self)
            if self.connection.is_unread:
                self._hub.again(self._fd)

    def leave(self) -> None:
        if not self.connection.is_lost:
            self._hub.hand_over(self._fd, self.connection)
            self.connection.leave_unread()
        super().leave()

    def pauseProducing(self) -> None:
        """What the other connection does not take is looked at before each read."""

    def resumeProducing(self) -> None:
        self.pull()

    def stopProducing(self) -> None:
        """The other connection is lost: the exchange is told so."""

    # For the hub

    def ready(self, events: int) -> None:
        """Something has happened on the socket."""
        if events & _OUT and self.connection.send_buffer is not None:
            self.connection.flush()
        if events == _USUAL:
            if self.exchange is not None:
                self.pull()
            return
        if events & ENDINGS and self.exchange is not None:
            self.connection.note_end(events, self._sink.send_buffer is not None)
        if events & ~_OUT and self.exchange is not None:
            self.pull()

    def abort(self) -> None:
        """Close it: there was an error in the relay."""
        self.connection.abort()

    def pull(self) -> None:
        """Read what has come and send it on, as far as the other flow takes it and others do not wait too long."""
        if self._is_bulk:
            self._splice(0)
            return
        buffer, sink = self._hub.buffer, self._sink
        for _ in _ROUNDS:
            if sink.send_buffer is not None or sink.is_broken or self.connection.is_finished:
                return
            try:
                count = self._source.recv_into(buffer)
            except BlockingIOError:
                return
            except OSError as error:
                self.connection.fail(error)
                return
            if not count:
                self.connection.end()
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
                sink.break_off(error)
                return
            if sent != count:
                sink.send_buffer = SendBuffer()
                sink.send_buffer.add(bytes(buffer[sent:count]))
                return
            if count == len(buffer) and self._pipes.are_usable:
                self._is_bulk = True
                self._splice(count)
                return
            if count < len(buffer) and not self.connection.is_ending:
                return
        self._hub.again(self._fd)

    def _splice(self, moved: int) -> None:
        """Move what has come through a pipe.

        :param moved: bytes that this turn has moved before.
        """
        pipe = self._pipes.lend()
        if pipe is None:
            self._is_bulk = False
            self._hub.again(self._fd)
            return
        self._splice_through(pipe, moved)
        pipe.let_go()

    def _splice_through(self, pipe: Pipe, moved: int) -> None:
        sink = self._sink
        while moved < _BULK_TURN:
            if sink.send_buffer is not None or sink.is_broken or self.connection.is_finished:
                return
            try:
                count = pipe.fill(self._fd)
            except BlockingIOError:
                return
            except OSError as error:
                self.connection.fail(error)
                return
            if not count:
                self.connection.end()
                return
            self.last_at = self._hub.now
            self.count += count  # it is not the first byte, which was copied
            moved += count
            self._is_bulk = count >= _SLOW
            try:
                pipe.drain(sink.fd)
            except BlockingIOError:
                sink.send_buffer = SendBuffer(pipe)
                return
            except OSError as error:
                sink.break_off(error)
                return
        self._hub.again(self._fd)
