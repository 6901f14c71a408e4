"""Detached exchanges: what a pipeline says is done on the client's connection, the pool and the timers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall

from proxymux.core import pipeline_orders as orders
from proxymux.core.batch import Batch
from proxymux.core.commands import RelayEnd
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.pipeline import Pipeline
from proxymux.core.pipeline_orders import Failure, Input, Order
from proxymux.core.slots import Slot
from proxymux.core.wheel import ROUNDING, Timer
from proxymux.net.connection import UNOWNED, Connection, explain
from proxymux.net.exchange import JoinOptions
from proxymux.pool.pool import Pool
from proxymux.session.context import ClientExchange, Join

# A member of an Enum takes as long to look up as a call: these are wanted for every request.
_RECEIVED: Final = Input.RECEIVED
_DONE: Final = Input.DONE


class DetachedExchange:
    """One client of the pool.

    :param options: how it begins, and its limits.
    :param join: joins the client's connection to an upstream that it has for itself.
    :param pipeline: decides; it is the client's own.
    """

    def __init__(
        self, pool: Pool, connection: Connection, options: JoinOptions, join: Join, pipeline: Pipeline
    ) -> None:
        self._pool = pool
        self._connection = connection
        self._options = options
        self._join = join
        self._pipeline = pipeline
        #: Those that are being carried out.
        self._orders: list[Order] | None = None
        #: The exchange with an upstream that the client has for itself, and its slot.
        self._piped: ClientExchange | None = None
        self._own: Slot | None = None
        self._gap_call: IDelayedCall | None = None
        self._idle_timer: Timer | None = None
        #: When a byte was last sent or received, as far as there is a limit to it.
        self._last_at = pool.now()
        self._bytes_in = 0
        self._bytes_out = 0
        self._first_byte_at: float | None = None
        connection.owner = self
        pool.runner.clients += 1

    def begin(self) -> DetachedExchange:
        """Take note of what has happened meanwhile, and go on from there."""
        options = self._options
        self._connection.unregister_producer()
        self._connection.register_producer(self)
        if options.idle_timeout is not None:
            timers = self._pool.rules.timers
            self._idle_timer = timers.after(options.idle_timeout, self._look_idle, options.idle_timeout)
        if options.data:
            self.received(options.data)
        if options.client_finished:
            self.finished()
        if not self._pipeline.is_over and not self._pipeline.is_paused:
            self._connection.resume()
        return self

    # For the session

    @property
    def client(self) -> Connection:
        return self._connection if self._piped is None else self._piped.client

    @property
    def bytes_in(self) -> int:
        return self._bytes_in + (self._piped.bytes_in if self._piped is not None else 0)

    @property
    def bytes_out(self) -> int:
        return self._bytes_out + (self._piped.bytes_out if self._piped is not None else 0)

    @property
    def first_byte_at(self) -> float | None:
        return self._first_byte_at or (self._piped.first_byte_at if self._piped is not None else None)

    def abort(self) -> None:
        if self._piped is not None:
            self._piped.abort()
        # At once, whatever is being carried out: the connection is the session's when this returns.
        for order in self._pipeline.take(Input.ABORTED):
            _DO[type(order)](self, order)

    # What the connection tells

    def made(self) -> None: ...
    def secured(self) -> None: ...
    def flushed(self) -> None: ...

    def received(self, data: bytes) -> None:
        self._bytes_in += len(data)
        if self._idle_timer is not None:
            self._last_at = self._pool.now()
        self._take(_RECEIVED, data)

    def finished(self) -> None:
        self._take(Input.CLIENT_FINISHED)

    def lost(self, reason: Exception | None) -> None:
        self._take(Input.CLIENT_LOST, None if reason is None else explain(reason))

    def pauseProducing(self) -> None:
        self._take(Input.OUTPUT_FULL)

    def resumeProducing(self) -> None:
        self._take(Input.OUTPUT_FREE)

    def stopProducing(self) -> None:
        """It is lost, and we are told so."""

    # What becomes of batches

    def given(self, batch: Batch) -> None:
        self._take(Input.GIVEN, batch)

    def reply(self, batch: Batch, data: bytes) -> None:
        self._take(Input.REPLY, data)

    def done(self, batch: Batch, data: bytes) -> None:
        self._take(_DONE, (batch, data))

    def failed(self, batch: Batch, outcome: Outcome, reason: str) -> None:
        self._take(Input.FAILED, Failure(batch, Ending(outcome, reason)))

    def unsent(self, batch: Batch) -> None:
        # At once: the batch must be in the queue when its slot is closed.
        for order in self._pipeline.take(Input.UNSENT, batch):
            _DO[type(order)](self, order)

    def go_on(self) -> None:
        self._take(Input.GO_ON)

    # Inputs and orders

    def _take(self, what: Input, value: Any = None) -> None:
        todo = self._pipeline.take(what, value)
        if self._orders is not None:
            self._orders += todo  # after those that are being carried out
            return
        self._orders = todo
        try:
            for order in todo:
                _DO[type(order)](self, order)
        finally:
            self._orders = None

    def _submit(self, batch: Batch) -> None:
        self._pool.submit(batch, self)
        if self._pipeline.waiting:
            self._take(Input.GO_ON)

    def _follow(self, order: orders.Follow) -> None:
        if not self._pool.follow(order.batch, order.before, self):
            self._take(Input.HELD_UP, order.batch)
        elif self._pipeline.waiting:
            self._take(Input.GO_ON)

    def _send(self, data: bytes) -> None:
        self._bytes_out += len(data)
        if self._first_byte_at is None:
            self._first_byte_at = self._pool.now()
        if self._idle_timer is not None:
            self._last_at = self._pool.now()
        self._connection.send(data)

    def _requeue(self, order: orders.Requeue) -> None:
        self._pool.requeue(order.batch)

    def _withdraw(self, order: orders.Withdraw) -> None:
        self._pool.withdraw(order.batch)

    def _pause(self, _: orders.Pause) -> None:
        self._connection.pause()

    def _resume(self, _: orders.Resume) -> None:
        self._connection.resume()

    def _start_gap(self, _: orders.StartGap) -> None:
        gap = self._pool.rules.gap
        if self._gap_call is None:
            self._gap_call = self._pool.rules.clock.callLater(gap, self._silent)
        else:
            self._gap_call.reset(gap)

    def _silent(self) -> None:
        self._gap_call = None
        self._take(Input.SILENCE)

    def _stop_gap(self, _: orders.StopGap | None = None) -> None:
        if self._gap_call is not None:
            self._gap_call.cancel()
            self._gap_call = None

    def _look_idle(self, limit: float) -> None:
        # One timer for the whole time, set anew when it comes due, instead of one moved at every byte.
        left = self._last_at + limit - self._pool.now()
        if left <= ROUNDING:
            left = limit
            self._idle_timer = None
            self._take(Input.IDLE, f"no byte either way for {limit:g} s (--idle-timeout)")
        if not self._pipeline.is_over:
            self._idle_timer = self._pool.rules.timers.after(left, self._look_idle, limit)

    def _hand_over(self, order: orders.HandOver) -> None:
        own = self._own = order.batch.slot
        assert own is not None
        self._stop_timers()
        self._connection.unregister_producer()
        options = self._options
        inner = JoinOptions(order.batch.data, self._connection.is_finished, None, options.idle_timeout, options.ended)
        upstream = self._pool.hand_over(own)
        upstream.when_lost = self._return
        self._piped = self._join(self._connection, upstream, inner)

    def _return(self) -> None:
        """The upstream that the client had for itself is closed."""
        own, self._own = self._own, None
        if own is not None:
            self._pool.runner.clients -= 1
            self._pool.runner.returned(own)

    # The end

    def _break_off(self, _: orders.BreakOff) -> None:
        self._connection.pause()
        self._connection.when_flushed(lambda: self._take(Input.FLUSHED))

    def _end(self, order: orders.End) -> None:
        end = RelayEnd(order.cause, self._connection.is_finished, order.reason, order.outcome)
        self._leave()
        self._options.ended(end, self._connection)

    def _leave(self, _: orders.Leave | None = None) -> None:
        if self._orders:
            self._orders.clear()  # nothing more is to be done for this client
        self._pool.runner.clients -= 1
        self._stop_timers()
        self._connection.unregister_producer()
        self._connection.owner = UNOWNED

    def _stop_timers(self) -> None:
        self._stop_gap()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None


_DO: Final[dict[type, Callable[[DetachedExchange, Any], None]]] = {
    Batch: DetachedExchange._submit,
    bytes: DetachedExchange._send,
    orders.Follow: DetachedExchange._follow,
    orders.Requeue: DetachedExchange._requeue,
    orders.Withdraw: DetachedExchange._withdraw,
    orders.HandOver: DetachedExchange._hand_over,
    orders.StartGap: DetachedExchange._start_gap,
    orders.StopGap: DetachedExchange._stop_gap,
    orders.Pause: DetachedExchange._pause,
    orders.Resume: DetachedExchange._resume,
    orders.BreakOff: DetachedExchange._break_off,
    orders.End: DetachedExchange._end,
    orders.Leave: DetachedExchange._leave,
}
