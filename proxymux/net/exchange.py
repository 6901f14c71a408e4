"""Exchanges: two joined connections, what their ends mean, and how long they may be silent.

How the bytes go from one connection to the other is the relay's: it gives the exchange two flows of its own kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from proxymux.core.commands import Cause, RelayEnd
from proxymux.core.wheel import ROUNDING, Timer
from proxymux.net.connection import UNOWNED, Connection, explain
from proxymux.net.timers import Timers

#: Seconds between two looks for resets on connections that do not notice them by themselves.
_LOOK_FOR_RESETS: Final = 10.0


@dataclass(slots=True)
class JoinOptions:
    """How an exchange begins, and its limits.

    :param data: sent upstream first.
    :param client_finished: the client has already sent FIN.
    :param first_byte_timeout: seconds from now to the upstream's first byte, or None.
    :param idle_timeout: seconds without a byte either way, or None.
    :param ended: called once, when the exchange is over, with the client's connection, which nobody owns then.
    """

    data: bytes
    client_finished: bool
    first_byte_timeout: float | None
    idle_timeout: float | None
    ended: Callable[[RelayEnd, Connection], None]


class Flow:
    """One connection of an exchange, and what has come from it."""

    __slots__ = ("connection", "count", "exchange", "first_at", "is_flushed", "last_at", "other")

    other: Any

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.exchange: Any = None
        #: Bytes that have come.
        self.count = 0
        self.first_at: float | None = None
        self.last_at: float | None = None
        #: Our FIN has gone out.
        self.is_flushed = False

    def join(self, exchange: Exchange, other: Flow) -> None:
        """Own the connection; what it reads is for ``other``."""
        self.exchange, self.other = exchange, other
        self.connection.owner = self

    def go(self) -> None:
        """Begin to read."""
        self.connection.resume()

    def leave(self) -> None:
        """Let go of the connection."""
        self.connection.unregister_producer()
        self.connection.owner = UNOWNED
        self.exchange = self.other = None

    # What the connection tells

    def made(self) -> None:
        """The connection was there before."""

    def secured(self) -> None:
        """The handshake was done before."""

    def received(self, data: bytes) -> None:
        self.count += len(data)
        self.last_at = self.exchange.seconds()
        if self.first_at is None:
            self.first_at = self.last_at
        self.other.connection.send(data)

    def finished(self) -> None:
        self.exchange.flow_finished(self)

    def flushed(self) -> None:
        self.is_flushed = True
        if self.exchange is not None:
            self.exchange.flow_flushed()

    def lost(self, reason: Exception | None) -> None:
        self.exchange.flow_lost(self, reason)


class Exchange:
    """Two connections, joined.

    :param client: the flow of the client.
    :param upstream: that of the upstream.
    """

    __slots__ = (
        "_client",
        "_first_byte_timer",
        "_idle_timer",
        "_joined_at",
        "_options",
        "_over",
        "_reset_timer",
        "_timers",
        "_upstream",
        "seconds",
    )

    def __init__(self, timers: Timers, client: Flow, upstream: Flow, options: JoinOptions) -> None:
        self.seconds = timers.seconds
        self._timers = timers
        self._options: JoinOptions | None = options
        self._over = False
        self._client = client
        self._upstream = upstream
        self._joined_at = timers.seconds()
        self._first_byte_timer: Timer | None = None
        self._idle_timer: Timer | None = None
        self._reset_timer: Timer | None = None
        client.join(self, upstream)
        upstream.join(self, client)
        self._start_timers(options)

    def begin(self) -> Exchange:
        """Send what was read before, take note of what has happened meanwhile, and go on from there."""
        options = self._options
        assert options is not None
        if options.data:
            self._upstream.connection.send(options.data)
        if options.client_finished:
            self._client.finished()
        self._catch_up()
        for flow in (self._client, self._upstream):
            if not self._over:
                flow.go()
        return self

    @property
    def client(self) -> Connection:
        connection: Connection = self._client.connection
        return connection

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
            self._upstream.connection.abort()

    def _catch_up(self) -> None:
        """Take note of what the upstream did before it was ours."""
        connection = self._upstream.connection
        early = connection.take_early()
        if early:
            self._upstream.received(early)
        if connection.is_lost:
            self._upstream_lost(ConnectionError("lost"))
        elif connection.is_finished:
            self._upstream.finished()

    # What the flows tell

    def flow_finished(self, flow: Flow) -> None:
        """FIN has come on ``flow``: pass it on, and see whether that was all."""
        if self._over:
            return
        if self._is_silent():
            self._end(Cause.SILENT, "closed before its first byte")
        elif flow.is_flushed and flow.other.connection.is_finished and flow.other.connection.is_flushed:
            self._end(Cause.COMPLETED)  # the close says what a FIN would
        elif flow.other.connection.half_closes:
            flow.other.connection.finish()
        elif flow is self._upstream:
            self._client.connection.when_flushed(self._client.flushed)
        else:
            # A TLS upstream cannot be half-closed: it is left to answer, and to end by itself.
            self._upstream.is_flushed = True

    def flow_flushed(self) -> None:
        """Our FIN has gone out on a flow."""
        client, upstream = self._client, self._upstream
        whole = upstream.connection.is_finished and client.is_flushed
        if whole and (
            upstream.connection.is_lost
            or not client.connection.half_closes
            or (client.connection.is_finished and upstream.is_flushed)
        ):
            self._end(Cause.COMPLETED)

    def flow_lost(self, flow: Flow, reason: Exception | None) -> None:
        """A flow's connection is gone; without a reason, in good order."""
        if self._over:
            return
        if flow is self._client:
            self._client_lost(reason)
        else:
            self._upstream_lost(reason)

    def _client_lost(self, reason: Exception | None) -> None:
        if reason is None:
            self._end(Cause.COMPLETED)
            return
        whole = self._upstream.connection.is_finished and self._client.is_flushed
        # What the upstream has not been sent yet will not come: it is to know that this was no end in good order.  But
        # of a client that had finished before its connection broke, all has come.
        abort = not isinstance(reason, BrokenPipeError)
        self._end(Cause.COMPLETED if whole else Cause.CLIENT_ABORTED, None if whole else explain(reason), abort)

    def _upstream_lost(self, reason: Exception | None) -> None:
        self._client.connection.pause()
        finished = self._upstream.connection.is_finished
        if finished or reason is None:
            # It has said all that it wanted to say; the client is to have it before the end.
            if not finished:
                self._upstream.connection.is_finished = True
                self._upstream.finished()
            elif self._client.is_flushed:
                self._end(Cause.COMPLETED)
        elif self._upstream.count == 0:
            self._end(Cause.SILENT, explain(reason))
        else:
            text = explain(reason)
            self._client.connection.when_flushed(lambda: self._end(Cause.UPSTREAM_ABORTED, text))

    def _is_silent(self) -> bool:
        return (
            self._upstream.connection.is_finished
            and not self._upstream.count
            and not self._client.connection.is_finished
        )

    # Timers

    def _start_timers(self, options: JoinOptions) -> None:
        if not (self._client.connection.notices_resets and self._upstream.connection.notices_resets):
            self._reset_timer = self._timers.after(_LOOK_FOR_RESETS, self._look_for_resets)
        first_byte, idle = options.first_byte_timeout, options.idle_timeout
        if first_byte is not None:
            self._first_byte_timer = self._timers.after(first_byte, self._look_for_first_byte, first_byte)
        if idle is not None:
            self._idle_timer = self._timers.after(idle, self._look_idle, idle)

    def _look_for_resets(self) -> None:
        """A connection that is not read, because it is paused or has sent FIN, does not notice a reset by itself."""
        self._reset_timer = self._timers.after(_LOOK_FOR_RESETS, self._look_for_resets)
        for flow in (self._client, self._upstream):
            if not flow.connection.is_lost and flow.connection.is_reset:
                flow.connection.abort()

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
        assert self._options is not None
        ended = self._options.ended
        client_finished = self._client.connection.is_finished
        self._stop()
        if abort:
            self._upstream.connection.abort()
        else:
            self._upstream.connection.close()
        ended(RelayEnd(cause, client_finished, reason), self._client.connection)

    def _stop(self) -> None:
        self._over = True
        self._options = None
        for timer in (self._first_byte_timer, self._idle_timer, self._reset_timer):
            if timer is not None:
                timer.cancel()
        self._first_byte_timer = self._idle_timer = self._reset_timer = None
        self._client.leave()
        self._upstream.leave()
