"""Exchanges: two joined legs, what their ends mean, and how long they may be silent.

How the bytes go from one leg to the other is the relay's: it gives the exchange two sides of its own kind.
"""

from __future__ import annotations

from typing import Any, Final

from zope.interface import implementer

from proxymux.core.states import Cause, RelayEnd
from proxymux.core.wheel import ROUNDING, Timer
from proxymux.interfaces import IExchange, ILegOwner
from proxymux.net.leg import UNOWNED, Leg, explain
from proxymux.net.relay import Opening
from proxymux.net.timers import Timers

#: Seconds between two looks for resets on legs that do not notice them by themselves.
_LOOK_FOR_RESETS: Final = 10.0


@implementer(ILegOwner)
class Side:
    """One leg of an exchange, and what has come from it."""

    __slots__ = ("count", "exchange", "first_at", "is_flushed", "last_at", "leg", "other")

    other: Any

    def __init__(self, leg: Any) -> None:
        self.leg = leg
        self.exchange: Any = None
        #: Bytes that have come.
        self.count = 0
        self.first_at: float | None = None
        self.last_at: float | None = None
        #: Our FIN has gone out.
        self.is_flushed = False

    def join(self, exchange: Exchange, other: Side) -> None:
        """Own the leg; what it reads is for ``other``."""
        self.exchange, self.other = exchange, other
        self.leg.owner = self

    def go(self) -> None:
        """Begin to read."""
        self.leg.resume()

    def leave(self) -> None:
        """Let go of the leg."""
        self.leg.unguard()
        self.leg.owner = UNOWNED
        self.exchange = self.other = None

    # What the leg tells

    def made(self) -> None:
        """The leg was there before."""

    def secured(self) -> None:
        """The handshake was done before."""

    def received(self, data: bytes) -> None:
        self.count += len(data)
        self.last_at = self.exchange.seconds()
        if self.first_at is None:
            self.first_at = self.last_at
        self.other.leg.send(data)

    def finished(self) -> None:
        self.exchange.side_finished(self)

    def flushed(self) -> None:
        self.is_flushed = True
        if self.exchange is not None:
            self.exchange.side_flushed()

    def lost(self, reason: Exception | None) -> None:
        self.exchange.side_lost(self, reason)


@implementer(IExchange)
class Exchange:
    """Two legs, joined.

    :param client: the side of the client.
    :param upstream: that of the upstream.
    """

    __slots__ = (
        "_client",
        "_first_byte_timer",
        "_idle_timer",
        "_joined_at",
        "_opening",
        "_over",
        "_reset_timer",
        "_timers",
        "_upstream",
        "seconds",
    )

    def __init__(self, timers: Timers, client: Side, upstream: Side, opening: Opening) -> None:
        self.seconds = timers.seconds
        self._timers = timers
        self._opening: Opening | None = opening
        self._over = False
        self._client = client
        self._upstream = upstream
        self._joined_at = timers.seconds()
        self._first_byte_timer: Timer | None = None
        self._idle_timer: Timer | None = None
        self._reset_timer: Timer | None = None
        client.join(self, upstream)
        upstream.join(self, client)
        self._start_timers(opening)

    def begin(self) -> Exchange:
        """Send what was read before, take note of what has happened meanwhile, and go on from there."""
        opening = self._opening
        assert opening is not None
        if opening.data:
            self._upstream.leg.send(opening.data)
        if opening.client_finished:
            self._client.finished()
        self._catch_up()
        for side in (self._client, self._upstream):
            if not self._over:
                side.go()
        return self

    @property
    def client(self) -> Leg:
        leg: Leg = self._client.leg
        return leg

    @property
    def bytes_in(self) -> int:
        return self._client.count

    @property
    def bytes_out(self) -> int:
        return self._upstream.count

    @property
    def first_byte_at(self) -> float | None:
        return self._upstream.first_at

    def abort(self) -> None:
        if not self._over:
            self._stop()
            self._upstream.leg.abort()

    def _catch_up(self) -> None:
        """Take note of what the upstream did before it was ours."""
        leg = self._upstream.leg
        early = leg.take_early()
        if early:
            self._upstream.received(early)
        if leg.is_lost:
            self._upstream_lost(ConnectionError("lost"))
        elif leg.is_finished:
            self._upstream.finished()

    # What the sides tell

    def side_finished(self, side: Side) -> None:
        """FIN has come on ``side``: pass it on, and see whether that was all."""
        if self._over:
            return
        if self._is_silent():
            self._end(Cause.SILENT, "closed before its first byte")
        elif side.is_flushed and side.other.leg.is_finished and side.other.leg.is_flushed:
            self._end(Cause.COMPLETED)  # the close says what a FIN would
        elif side.other.leg.half_closes:
            side.other.leg.finish()
        elif side is self._upstream:
            self._client.leg.when_flushed(self._client.flushed)
        else:
            # A TLS upstream cannot be half-closed: it is left to answer, and to end by itself.
            self._upstream.is_flushed = True

    def side_flushed(self) -> None:
        """Our FIN has gone out on a side."""
        client, upstream = self._client, self._upstream
        whole = upstream.leg.is_finished and client.is_flushed
        if whole and (
            upstream.leg.is_lost or not client.leg.half_closes or (client.leg.is_finished and upstream.is_flushed)
        ):
            self._end(Cause.COMPLETED)

    def side_lost(self, side: Side, reason: Exception | None) -> None:
        """A side's connection is gone; without a reason, in good order."""
        if self._over:
            return
        if side is self._client:
            self._client_lost(reason)
        else:
            self._upstream_lost(reason)

    def _client_lost(self, reason: Exception | None) -> None:
        if reason is None:
            self._end(Cause.COMPLETED)
            return
        whole = self._upstream.leg.is_finished and self._client.is_flushed
        # What the upstream has not been sent yet will not come: it is to know that this was no end in good order.  But
        # of a client that had finished before its connection broke, all has come.
        abort = not isinstance(reason, BrokenPipeError)
        self._end(Cause.COMPLETED if whole else Cause.CLIENT_ABORTED, None if whole else explain(reason), abort)

    def _upstream_lost(self, reason: Exception | None) -> None:
        self._client.leg.pause()
        finished = self._upstream.leg.is_finished
        if finished or reason is None:
            # It has said all that it wanted to say; the client is to have it before the end.
            if not finished:
                self._upstream.leg.is_finished = True
                self._upstream.finished()
            elif self._client.is_flushed:
                self._end(Cause.COMPLETED)
        elif self._upstream.count == 0:
            self._end(Cause.SILENT, explain(reason))
        else:
            text = explain(reason)
            self._client.leg.when_flushed(lambda: self._end(Cause.UPSTREAM_ABORTED, text))

    def _is_silent(self) -> bool:
        return self._upstream.leg.is_finished and not self._upstream.count and not self._client.leg.is_finished

    # Timers

    def _start_timers(self, opening: Opening) -> None:
        if not (self._client.leg.notices_resets and self._upstream.leg.notices_resets):
            self._reset_timer = self._timers.after(_LOOK_FOR_RESETS, self._look_for_resets)
        first_byte, idle = opening.first_byte_timeout, opening.idle_timeout
        if first_byte is not None:
            self._first_byte_timer = self._timers.after(first_byte, self._look_for_first_byte, first_byte)
        if idle is not None:
            self._idle_timer = self._timers.after(idle, self._look_idle, idle)

    def _look_for_resets(self) -> None:
        """A leg that is not read, because it is paused or has sent FIN, does not notice a reset by itself."""
        self._reset_timer = self._timers.after(_LOOK_FOR_RESETS, self._look_for_resets)
        for side in (self._client, self._upstream):
            if not side.leg.is_lost and side.leg.is_reset:
                side.leg.abort()

    def _look_for_first_byte(self, limit: float) -> None:
        self._first_byte_timer = None
        if not self._upstream.count:
            self._end(Cause.INACTIVE, f"no byte from the upstream within {limit:g} s")

    def _look_idle(self, limit: float) -> None:
        # One timer for the whole time, set anew when it comes due, instead of one moved at every byte.
        self._idle_timer = None
        last = max(self._client.last_at or 0.0, self._upstream.last_at or 0.0, self._joined_at)
        left = last + limit - self.seconds()
        if left > ROUNDING:
            self._idle_timer = self._timers.after(left, self._look_idle, limit)
        else:
            self._end(Cause.IDLE, f"no byte either way for {limit:g} s (--idle-timeout)")

    # The end

    def _end(self, cause: Cause, reason: str | None = None, abort: bool = False) -> None:
        if self._over:
            return
        assert self._opening is not None
        ended = self._opening.ended
        client_finished = self._client.leg.is_finished
        self._stop()
        if abort:
            self._upstream.leg.abort()
        else:
            self._upstream.leg.close()
        ended(RelayEnd(cause, client_finished, reason), self._client.leg)

    def _stop(self) -> None:
        self._over = True
        self._opening = None
        for timer in (self._first_byte_timer, self._idle_timer, self._reset_timer):
            if timer is not None:
                timer.cancel()
        self._first_byte_timer = self._idle_timer = self._reset_timer = None
        self._client.leave()
        self._upstream.leave()
