"""The fd relay: bytes go from one plain socket to the other, with nothing of Twisted's and no object in between.

What is ready is read into one shared buffer and sent at once.  A flow that fills the buffer is bulk: it is spliced
through a pipe, never copied to our memory, until it is slow again.  While a socket does not take what it is sent,
nothing is read for it.
"""

from __future__ import annotations

import select
from typing import Final

from zope.interface import implementer

from proxymux.interfaces import IRelay
from proxymux.net.backlog import Backlog
from proxymux.net.handover import take_over
from proxymux.net.hub import BUFFER_SIZE, ENDINGS, Hub
from proxymux.net.leg import Leg
from proxymux.net.pipes import Pipe, Pipes
from proxymux.net.relay import Opening
from proxymux.net.relay.exchange import Exchange, Side
from proxymux.net.relay.transport import TransportRelay
from proxymux.net.socket_leg import SocketLeg
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


@implementer(IRelay)
class FdRelay:
    """Joins plain sockets; other legs are the transport relay's.

    :param timers: for the first-byte and the idle timeout.
    :param hub: that watches the sockets.
    :param pipes: for bulk.
    """

    def __init__(self, timers: Timers, hub: Hub, pipes: Pipes) -> None:
        self._timers = timers
        self._hub = hub
        self._pipes = pipes
        self._otherwise = TransportRelay(timers)

    def join(self, client: Leg, upstream: Leg, opening: Opening) -> Exchange:
        taken = take_over(client, self._hub) if isinstance(upstream, SocketLeg) else None
        if taken is None or not isinstance(upstream, SocketLeg):
            return self._otherwise.join(client, upstream, opening)
        sides = FdSide(taken, self._hub, self._pipes), FdSide(upstream, self._hub, self._pipes)
        return Exchange(self._timers, *sides, opening).begin()


class FdSide(Side):
    """One side, and the flow from its socket to the other's."""

    __slots__ = ("_fd", "_hub", "_is_bulk", "_pipes", "_sink", "_source")

    leg: SocketLeg
    _sink: SocketLeg

    def __init__(self, leg: SocketLeg, hub: Hub, pipes: Pipes) -> None:
        super().__init__(leg)
        self._hub = hub
        self._pipes = pipes
        self._fd = leg.fd
        self._source = leg.sock
        self._is_bulk = False

    def join(self, exchange: Exchange, other: Side) -> None:
        super().join(exchange, other)
        self._sink = other.leg
        self._sink.guard(self)

    def go(self) -> None:
        if not self.leg.is_lost:
            self._hub.hand_over(self._fd, self)
            if self.leg.is_unread:
                self._hub.again(self._fd)

    def leave(self) -> None:
        if not self.leg.is_lost:
            self._hub.hand_over(self._fd, self.leg)
            self.leg.leave_unread()
        super().leave()

    def pauseProducing(self) -> None:
        """What the other leg does not take is looked at before each read."""

    def resumeProducing(self) -> None:
        self.pull()

    # For the hub

    def ready(self, events: int) -> None:
        """Something has happened on the socket."""
        if events & _OUT and self.leg.backlog is not None:
            self.leg.flush()
        if events == _USUAL:
            if self.exchange is not None:
                self.pull()
            return
        if events & ENDINGS and self.exchange is not None:
            self.leg.note_end(events, self._sink.backlog is not None)
        if events & ~_OUT and self.exchange is not None:
            self.pull()

    def abort(self) -> None:
        """Close it: there was an error in the relay."""
        self.leg.abort()

    def pull(self) -> None:
        """Read what has come and send it on, as far as the other side takes it and others do not wait too long."""
        if self._is_bulk:
            self._splice(0)
            return
        buffer, sink = self._hub.buffer, self._sink
        for _ in _ROUNDS:
            if sink.backlog is not None or sink.is_broken or self.leg.is_finished:
                return
            try:
                count = self._source.recv_into(buffer)
            except BlockingIOError:
                return
            except OSError as error:
                self.leg.fail(error)
                return
            if not count:
                self.leg.end()
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
                sink.backlog = Backlog()
                sink.backlog.add(bytes(buffer[sent:count]))
                return
            if count == len(buffer) and self._pipes.are_usable:
                self._is_bulk = True
                self._splice(count)
                return
            if count < len(buffer) and not self.leg.is_ending:
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
            if sink.backlog is not None or sink.is_broken or self.leg.is_finished:
                return
            try:
                count = pipe.fill(self._fd)
            except BlockingIOError:
                return
            except OSError as error:
                self.leg.fail(error)
                return
            if not count:
                self.leg.end()
                return
            self.last_at = self._hub.now
            self.count += count  # it is not the first byte, which was copied
            moved += count
            self._is_bulk = count >= _SLOW
            try:
                pipe.drain(sink.fd)
            except BlockingIOError:
                sink.backlog = Backlog(pipe)
                return
            except OSError as error:
                sink.break_off(error)
                return
        self._hub.again(self._fd)
