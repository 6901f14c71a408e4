"""The transport relay: Twisted's producers and consumers, for every transport there is.

Each leg gets a :class:`_Side`, which sends what it reads to the other leg and is paused while that one does not take
it.  A FIN goes through as a FIN, a reset as a reset after everything that came before it.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.core.states import Cause, RelayEnd
from proxymux.interfaces import IExchange, ILegOwner, IRelay
from proxymux.net.leg import UNOWNED, Leg, explain
from proxymux.net.relay import Opening

#: Seconds between two looks for resets on legs that are not read.
_LOOK_FOR_RESETS: Final = 10.0


@implementer(IRelay)
class TransportRelay:
    """Joins legs through their Twisted transports.

    :param clock: for the first-byte and the idle timeout.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock

    def join(self, client: Leg, upstream: Leg, opening: Opening) -> Exchange:
        return Exchange(self._clock, client, upstream, opening)


@implementer(IExchange)
class Exchange:
    """Two legs, joined."""

    first_byte_at: float | None = None

    def __init__(self, clock: IReactorTime, client: Leg, upstream: Leg, opening: Opening) -> None:
        self._clock = clock
        self._opening = opening
        self._over = False
        self._first_byte_timer: IDelayedCall | None = None
        self._idle_timer: IDelayedCall | None = None
        self._reset_timer: IDelayedCall | None = None
        self._last_byte_at = clock.seconds()
        self._client = _Side(self, client)
        self._upstream = _Side(self, upstream)
        self._client.join(self._upstream)
        self._upstream.join(self._client)
        self._start_timers()
        client.resume()
        upstream.resume()
        if opening.data:
            upstream.send(opening.data)
        if opening.client_finished:
            self._client.finished()
        self._catch_up()

    @property
    def bytes_in(self) -> int:
        return self._client.count

    @property
    def bytes_out(self) -> int:
        return self._upstream.count

    def abort(self) -> None:
        if not self._over:
            self._stop()
            self._upstream.leg.abort()

    def _catch_up(self) -> None:
        """Take note of what the upstream did before it was ours."""
        leg = self._upstream.leg
        early, leg.early = leg.early, b""
        if early:
            self._upstream.received(early)
        if leg.is_lost:
            self._upstream.lost(Failure(ConnectionLost()))
        elif leg.is_finished:
            self._upstream.finished()

    # What the sides tell

    def moved(self, side: _Side) -> None:
        """A byte has come on ``side``."""
        self._last_byte_at = self._clock.seconds()
        if side is self._upstream and self.first_byte_at is None:
            self.first_byte_at = self._last_byte_at
            if self._first_byte_timer is not None:
                self._first_byte_timer.cancel()
                self._first_byte_timer = None

    def side_finished(self, side: _Side) -> None:
        """FIN has come on ``side``: pass it on, and see whether that was all."""
        if self._is_silent():
            self._end(Cause.SILENT, "closed before its first byte")
        elif side.other.leg.half_closes:
            side.other.leg.finish()
        elif side is self._upstream:
            self._client.leg.when_flushed(self._client.flushed)
        else:
            # A TLS upstream cannot be half-closed: it is left to answer, and to end by itself.
            self._upstream.is_flushed = True

    def side_flushed(self) -> None:
        """Our FIN has gone out on a side."""
        whole = self._upstream.is_finished and self._client.is_flushed
        if whole and (
            self._upstream.leg.is_lost
            or not self._client.leg.half_closes
            or (self._client.is_finished and self._upstream.is_flushed)
        ):
            self._end(Cause.COMPLETED)

    def side_lost(self, side: _Side, reason: Failure) -> None:
        """A side's connection is gone."""
        if side is self._client:
            self._client_lost(reason)
        else:
            self._upstream_lost(reason)

    def _client_lost(self, reason: Failure) -> None:
        if reason.check(ConnectionDone):
            self._end(Cause.COMPLETED)
            return
        # What the upstream has not been sent yet will not come: it is to know that this was no end in good order.
        self._upstream.leg.abort()
        if self._upstream.is_finished and self._client.is_flushed:
            self._end(Cause.COMPLETED)
        else:
            self._end(Cause.CLIENT_ABORTED, explain(reason))

    def _upstream_lost(self, reason: Failure) -> None:
        self._client.leg.pause()
        if self._upstream.is_finished or reason.check(ConnectionDone):
            # It has said all that it wanted to say; the client is to have it before the end.
            if not self._upstream.is_finished:
                self._upstream.finished()
            elif self._client.is_flushed:
                self._end(Cause.COMPLETED)
        elif self._upstream.count == 0:
            self._end(Cause.SILENT, explain(reason))
        else:
            text = explain(reason)
            self._client.leg.when_flushed(lambda: self._end(Cause.UPSTREAM_ABORTED, text))

    def _is_silent(self) -> bool:
        return self._upstream.is_finished and not self._upstream.count and not self._client.is_finished

    # Timers

    def _look_for_resets(self) -> None:
        """A leg that is not read, because it is paused or has sent FIN, does not notice a reset by itself."""
        self._reset_timer = self._clock.callLater(_LOOK_FOR_RESETS, self._look_for_resets)
        for side in (self._client, self._upstream):
            if not side.leg.is_lost and side.leg.is_reset:
                side.leg.abort()

    def _start_timers(self) -> None:
        self._reset_timer = self._clock.callLater(_LOOK_FOR_RESETS, self._look_for_resets)
        first_byte, idle = self._opening.first_byte_timeout, self._opening.idle_timeout
        if first_byte is not None:
            self._first_byte_timer = self._clock.callLater(first_byte, self._inactive, first_byte)
        if idle is not None:
            self._idle_timer = self._clock.callLater(idle, self._look_idle, idle)

    def _inactive(self, limit: float) -> None:
        self._first_byte_timer = None
        self._end(Cause.INACTIVE, f"no byte from the upstream within {limit:g} s")

    def _look_idle(self, limit: float) -> None:
        # One call for the whole time, moved on when it comes due, instead of one reset at every byte.
        self._idle_timer = None
        left = self._last_byte_at + limit - self._clock.seconds()
        if left > 0:
            self._idle_timer = self._clock.callLater(left, self._look_idle, limit)
        else:
            self._end(Cause.IDLE, f"no byte either way for {limit:g} s (--idle-timeout)")

    # The end

    def _end(self, cause: Cause, reason: str | None = None) -> None:
        if self._over:
            return
        self._stop()
        self._upstream.leg.close()
        self._opening.ended(RelayEnd(cause, self._client.is_finished, reason))

    def _stop(self) -> None:
        self._over = True
        for timer in (self._first_byte_timer, self._idle_timer, self._reset_timer):
            if timer is not None:
                timer.cancel()
        self._first_byte_timer = self._idle_timer = self._reset_timer = None
        for side in (self._client, self._upstream):
            side.leg.unguard()
            side.leg.owner = UNOWNED


@implementer(ILegOwner, IPushProducer)
class _Side:
    """One leg of an exchange, and what has come from it."""

    other: _Side

    def __init__(self, exchange: Exchange, leg: Leg) -> None:
        self.leg = leg
        self.count = 0
        self.is_finished = False
        self.is_flushed = False
        self._exchange = exchange

    def join(self, other: _Side) -> None:
        """Take the leg over; what it reads goes to ``other``."""
        self.other = other
        self.leg.owner = self
        self.leg.unguard()
        self.leg.guard(other)

    def made(self) -> None:
        """The leg was there before."""

    def secured(self) -> None:
        """The handshake was done before."""

    def received(self, data: bytes) -> None:
        self.count += len(data)
        self._exchange.moved(self)
        self.other.leg.send(data)

    def finished(self) -> None:
        self.is_finished = True
        self._exchange.side_finished(self)

    def flushed(self) -> None:
        self.is_flushed = True
        self._exchange.side_flushed()

    def lost(self, reason: Failure) -> None:
        self._exchange.side_lost(self, reason)

    def pauseProducing(self) -> None:
        self.leg.pause()

    def resumeProducing(self) -> None:
        self.leg.resume()

    def stopProducing(self) -> None:
        """The other leg is lost: the exchange is told so."""
