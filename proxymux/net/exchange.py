"""Exchanges: two joined connections, what their ends mean, and how long they may be idle.

How the bytes get from one connection to the other is not decided here but by the relay, which makes the two flows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from proxymux.core.commands import Cause, RelayEnd
from proxymux.core.wheel import ROUNDING, Timer
from proxymux.net.connection import UNOWNED, Connection
from proxymux.net.timers import Timers
from proxymux.net.wording import explain

#: Seconds between two polls for resets, of connections that do not notice them by themselves.
_RESET_POLL: Final = 10.0


@dataclass(slots=True)
class JoinOptions:
    """How an exchange begins, and its limits.

    :param data: sent to the upstream first.
    :param client_finished: the client has already sent FIN.
    :param first_byte_timeout: seconds from the join to the upstream's first byte, or None.
    :param idle_timeout: seconds without a byte either way, or None.
    :param ended: called once, when the exchange is over, with the client's connection, which has no owner then.
    :param must_answer: an upstream that sends FIN before its first byte has failed, unless the client has sent FIN.
    :param ends_with_upstream: the upstream's FIN is no half-close: the exchange is over when the client has been sent
        all.
    :param rate: bytes a second in each direction, or None.
    """

    data: bytes
    client_finished: bool
    first_byte_timeout: float | None
    idle_timeout: float | None
    ended: Callable[[RelayEnd, Connection], None]
    must_answer: bool = False
    ends_with_upstream: bool = False
    rate: int | None = None


class Flow:
    """The bytes that come from one connection of an exchange, which it owns while the exchange lasts.

    It is the producer of its sink, and pauses reading while that has too much to send.

    :param connection: where the bytes come from.
    :param sink: where they go to: the other connection of the exchange.
    """

    __slots__ = ("connection", "count", "exchange", "first_at", "is_flushed", "last_at", "sink")

    connection: Connection
    sink: Connection

    def __init__(self, connection: Connection, sink: Connection) -> None:
        self.connection = connection
        self.sink = sink
        #: None before the exchange has begun and after it is over.
        self.exchange: Exchange | None = None
        #: Bytes that have come, less those of :meth:`replay` that are still held.
        self.count = 0
        #: When the first and the last byte came, in the clock's seconds.
        self.first_at: float | None = None
        self.last_at: float | None = None
        #: Our own FIN has been sent on the connection.
        self.is_flushed = False

    def replay(self, data: bytes) -> None:
        """Pass on what the client had sent before the join; called at most once, and before :meth:`go`."""
        self.sink.send(data)

    def go(self) -> None:
        """Begin to read."""
        self.connection.resume()

    def leave(self) -> None:
        """Give the connection up, as the exchange is over."""
        self.connection.unregister_producer()
        self.connection.owner = UNOWNED
        self.exchange = None

    # Called by the sink, whose producer the flow is

    def pauseProducing(self) -> None:
        """Read no more for now."""
        self.connection.pause()

    def resumeProducing(self) -> None:
        """Read on."""
        self.connection.resume()

    def stopProducing(self) -> None:
        """Do nothing: the other flow tells the exchange of the loss."""

    # Called by the connection

    def made(self) -> None:
        """Never called: the connection was established before the join."""

    def secured(self) -> None:
        """Never called: the handshake was done before the join."""

    def received(self, data: bytes) -> None:
        assert self.exchange is not None
        self.count += len(data)
        self.last_at = self.exchange.seconds()
        if self.first_at is None:
            self.first_at = self.last_at
        self.sink.send(data)

    def finished(self) -> None:
        assert self.exchange is not None
        self.exchange.flow_finished(self)

    def flushed(self) -> None:
        self.is_flushed = True
        if self.exchange is not None:
            self.exchange.flow_flushed()

    def lost(self, reason: Exception | None) -> None:
        assert self.exchange is not None
        self.exchange.flow_lost(self, reason)


class Exchange:
    """Two joined connections: a client's and an upstream's.

    :param timers: for the time limits.
    :param client: the flow that comes from the client.
    :param upstream: the flow that comes from the upstream.
    :param joined_at: when they were joined, in the clock's seconds; None for now.
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

    def __init__(
        self, timers: Timers, client: Flow, upstream: Flow, options: JoinOptions, joined_at: float | None = None
    ) -> None:
        self.seconds = timers.seconds
        self._timers = timers
        self._options: JoinOptions | None = options
        self._over = False
        self._client = client
        self._upstream = upstream
        self._joined_at = timers.seconds() if joined_at is None else joined_at
        self._first_byte_timer: Timer | None = None
        self._idle_timer: Timer | None = None
        self._reset_timer: Timer | None = None
        client.exchange = upstream.exchange = self
        client.connection.owner = client
        upstream.connection.owner = upstream
        self._start_timers()

    def begin(self) -> Exchange:
        """Send the bytes from before the join, take note of what the connections did meanwhile, and begin to read."""
        options = self._options
        assert options is not None
        if options.data:
            self._client.replay(options.data)
        if options.client_finished:
            self._client.finished()
        self._catch_up()
        for flow in (self._client, self._upstream):
            if not self._over:
                flow.go()
        return self

    @property
    def client(self) -> Connection:
        return self._client.connection

    @property
    def flows(self) -> tuple[Flow, Flow]:
        """The flow that comes from the client, and that from the upstream."""
        return self._client, self._upstream

    @property
    def is_over(self) -> bool:
        """True when the exchange has ended."""
        return self._over

    @property
    def limits(self) -> dict[str, Any]:
        """When the exchange was joined, and its options as far as they are still of any meaning."""
        assert self._options is not None
        return {
            "joined_at": self._joined_at,
            "first_byte_timeout": self._options.first_byte_timeout if self._waits_for_first_byte else None,
            "idle_timeout": self._options.idle_timeout,
            "must_answer": self._options.must_answer,
            "ends_with_upstream": self._options.ends_with_upstream,
        }

    @property
    def _waits_for_first_byte(self) -> bool:
        return not self._upstream.count and not self._upstream.connection.is_finished

    @property
    def bytes_in(self) -> int:
        return self._client.count - self._upstream.connection.unsent

    @property
    def bytes_out(self) -> int:
        return self._upstream.count

    @property
    def first_byte_at(self) -> float | None:
        return self._upstream.first_at

    @property
    def last_at(self) -> float | None:
        return max(self._client.last_at or 0.0, self._upstream.last_at or 0.0) or None

    def pack(self) -> tuple[dict[str, Any], Exchange]:
        return {}, self

    def unpack(self, packed: dict[str, Any]) -> None:
        """Do nothing: the exchange was made of what was packed."""

    def freeze(self) -> None:
        self._stop_timers()

    def thaw(self) -> None:
        if not self._over:
            self._start_timers()

    def depart(self) -> None:
        """Do nothing: what has frozen the exchange has let go of it."""

    def abort(self) -> None:
        if not self._over:
            self._stop()
            self._upstream.connection.abort()

    def _catch_up(self) -> None:
        """Take note of what the upstream did between its connect and the join."""
        connection = self._upstream.connection
        early = connection.take_early()
        if early:
            self._upstream.received(early)
        if connection.is_lost:
            self._upstream.lost(ConnectionError("lost"))
        elif connection.is_finished:
            self._upstream.finished()

    # Called by the flows

    def flow_finished(self, flow: Flow) -> None:
        """Pass on the FIN that has ended ``flow``, or end the exchange if both flows are complete."""
        if self._over:
            return
        if flow is self._upstream and not flow.count:
            if self._must_answer:
                self._end(Cause.SILENT, "closed before its first byte")
                return
            self._stop_first_byte_timer()  # there will be none, and the client may still have much to send
        if flow.is_flushed and flow.sink.is_finished and flow.sink.is_flushed:
            self._end(Cause.COMPLETED)  # the close sends the FIN
        elif flow.sink.half_closes and not (flow is self._upstream and self._ends_with_upstream):
            flow.sink.finish()
        else:  # flow is that of the upstream: our own TLS can be half-closed, and a client's alone is Twisted's
            self._client.connection.when_flushed(self._client.flushed)

    def flow_flushed(self) -> None:
        """Take note that our FIN has been sent on one of the connections; end the exchange if that was all."""
        client, upstream = self._client, self._upstream
        answered = upstream.connection.is_finished and client.is_flushed
        if answered and (
            upstream.connection.is_lost
            or not client.connection.half_closes
            or self._ends_with_upstream
            or (client.connection.is_finished and upstream.is_flushed)
        ):
            self._end(Cause.COMPLETED)

    def flow_lost(self, flow: Flow, reason: Exception | None) -> None:
        """Take note that the connection of ``flow`` is lost.

        :param reason: None if it was closed in good order.
        """
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
        answered = self._upstream.connection.is_finished and self._client.is_flushed
        # The upstream is reset, to tell it that more of the client was to come; but a client whose connection broke
        # after its FIN (BrokenPipeError) has sent all.
        abort = not isinstance(reason, BrokenPipeError)
        self._end(Cause.COMPLETED if answered else Cause.CLIENT_ABORTED, None if answered else explain(reason), abort)

    def _upstream_lost(self, reason: Exception | None) -> None:
        self._client.connection.pause()
        finished = self._upstream.connection.is_finished
        if finished or reason is None:
            # The upstream has sent everything; the client gets it before the exchange ends.
            if not finished:
                self._upstream.connection.is_finished = True
                self._upstream.finished()
            elif self._client.is_flushed:
                self._end_half_closed(reason)
        elif self._upstream.count == 0:
            self._end(Cause.SILENT, explain(reason))
        else:
            text = explain(reason)
            self._client.connection.when_flushed(lambda: self._end(Cause.UPSTREAM_ABORTED, text))

    def _end_half_closed(self, reason: Exception | None) -> None:
        """End the exchange, as an upstream is lost whose FIN has been passed on: it has said what it had to say.

        One that has said nothing, and takes no more, has lost what the client still sends.
        """
        if reason is None or self._upstream.count or self._client.connection.is_finished:
            self._end(Cause.COMPLETED)
        else:
            self._end(Cause.UPSTREAM_ABORTED, explain(reason))

    @property
    def _must_answer(self) -> bool:
        """True if an upstream that ends before its first byte has failed."""
        assert self._options is not None
        return self._options.must_answer and not self._client.connection.is_finished

    @property
    def _ends_with_upstream(self) -> bool:
        assert self._options is not None
        return self._options.ends_with_upstream

    # Timers

    def _start_timers(self) -> None:
        """Start the timers of the limits, which run from the join."""
        options = self._options
        assert options is not None
        if not (self._client.connection.notices_resets and self._upstream.connection.notices_resets):
            self._reset_timer = self._timers.after(_RESET_POLL, self._poll_for_resets)
        first_byte, idle = options.first_byte_timeout, options.idle_timeout
        if first_byte is not None and self._waits_for_first_byte:
            self._first_byte_timer = self._timers.after(self._left_of(first_byte), self._check_first_byte, first_byte)
        if idle is not None:
            self._idle_timer = self._timers.after(self._left_of(idle), self._check_idle, idle)

    def _left_of(self, limit: float) -> float:
        """What is left of ``limit`` seconds from the join."""
        return max(0.0, self._joined_at + limit - self.seconds())

    def _stop_timers(self) -> None:
        self._stop_first_byte_timer()
        for timer in (self._idle_timer, self._reset_timer):
            if timer is not None:
                timer.cancel()
        self._idle_timer = self._reset_timer = None

    def _poll_for_resets(self) -> None:
        """Poll the connections that do not report a reset while they are paused or after their FIN."""
        self._reset_timer = self._timers.after(_RESET_POLL, self._poll_for_resets)
        for flow in (self._client, self._upstream):
            if not flow.connection.is_lost and flow.connection.is_reset:
                flow.connection.abort()

    def _check_first_byte(self, limit: float) -> None:
        self._first_byte_timer = None
        if not self._upstream.count:
            self._end(Cause.INACTIVE, f"no byte from the upstream within {limit:g} s")

    def _check_idle(self, limit: float) -> None:
        # The timer is not moved at every byte: when it is due, it is set again for the rest of the limit.
        self._idle_timer = None
        last = max(self._client.last_at or 0.0, self._upstream.last_at or 0.0, self._joined_at)
        left = last + limit - self.seconds()
        if left > ROUNDING:
            self._idle_timer = self._timers.after(left, self._check_idle, limit)
        else:
            self._end(Cause.IDLE, f"no byte either way for {limit:g} s (--idle-timeout)")

    def _stop_first_byte_timer(self) -> None:
        if self._first_byte_timer is not None:
            self._first_byte_timer.cancel()
            self._first_byte_timer = None

    # The end

    def _end(self, cause: Cause, reason: str | None = None, abort: bool = False) -> None:
        if self._over:
            return
        assert self._options is not None
        ended = self._options.ended
        client_finished = self._client.connection.is_finished
        if cause is Cause.COMPLETED and reason is None:
            reason = self._truncation()
        self._stop()
        if abort:
            self._upstream.connection.abort()
        else:
            self._upstream.connection.close()
        ended(RelayEnd(cause, client_finished, reason), self._client.connection)

    def _truncation(self) -> str | None:
        """Say which peer has ended TLS without close_notify, so that its last bytes may have been cut off."""
        client, upstream = self._client.connection, self._upstream.connection
        if client.handle is not None and client.is_truncated:
            return "the client ended TLS without close_notify"
        if upstream.handle is not None and upstream.is_truncated:
            return "the upstream ended TLS without close_notify"
        return None

    def _stop(self) -> None:
        self._over = True
        self._options = None
        self._stop_timers()
        self._client.leave()
        self._upstream.leave()
