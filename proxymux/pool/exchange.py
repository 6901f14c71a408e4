"""Detached exchanges: each carries out the orders of one client's pipeline on real connections, pool and timers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Final, Protocol

from twisted.internet.interfaces import IDelayedCall

from proxymux.core import pipeline_orders as orders
from proxymux.core.batch import Batch, Sender
from proxymux.core.client_pipeline import ClientPipeline
from proxymux.core.commands import RelayEnd
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.pipeline_orders import Failure, Input, Order
from proxymux.core.reply_memory import ReplyMemory
from proxymux.core.wheel import ROUNDING, Timer
from proxymux.net.connection import UNOWNED, Connection
from proxymux.net.exchange import JoinOptions
from proxymux.net.wording import explain
from proxymux.pool.own_use import OwnUseLog
from proxymux.pool.upstream import UpstreamRules
from proxymux.session.context import ClientExchange, Join

# Looking up a member of an Enum costs as much as a call, and every request needs these two.
_RECEIVED: Final = Input.RECEIVED
_DONE: Final = Input.DONE
#: Bytes of replies to one client that are no longer kept for one write, but sent at once.
MOST_KEPT: Final = 1 << 14


#: What is done at each kind of order.
Orders = Mapping[type, Callable[[Any, Any], None]]


class SharedUpstreams(Protocol):
    """What a client's requests go to.  The pool is one, and so are the :class:`~proxymux.pool.places.Places`."""

    @property
    def rules(self) -> UpstreamRules:
        """What all upstreams have in common."""

    @property
    def plenty(self) -> int:
        """Bytes that a new client may leave unread before it is suspended."""

    @property
    def reply_memory(self) -> ReplyMemory:
        """What is kept for clients that do not read."""

    @property
    def own_use(self) -> OwnUseLog:
        """Is told of upstreams that one client takes alone."""

    @property
    def now(self) -> Callable[[], float]:
        """Returns the clock's seconds."""

    def joined(self) -> None:
        """Count a client that has come."""

    def left(self) -> None:
        """Count a client no longer."""

    def submit(self, batch: Batch, sender: Sender) -> None:
        """Send ``batch`` as soon as there is a slot; ``sender`` is told of its replies or its failure."""

    def follow(self, batch: Batch, before: Batch, sender: Sender) -> bool:
        """Send ``batch`` on the slot of ``before``; False if that takes no more for now."""

    def withdraw(self, batch: Batch) -> None:
        """Forget the sender of ``batch``."""

    def requeue(self, batch: Batch) -> None:
        """Put a batch that may be sent on another slot at the head of the queue."""

    def hand_over(self, batch: Batch) -> Connection:
        """Give the connection of the slot of ``batch`` away to the one client that reserved it."""

    def returned(self, batch: Batch) -> None:
        """Take back the slot of ``batch``, whose connection is closed."""


class DetachedExchange:
    """One client of the pool, whose requests go to whichever upstream is free.

    The exchange owns the client's connection and is the :class:`~proxymux.core.batch.Sender` of the client's batches.
    It passes every event to the pipeline as an input and carries out the orders that the pipeline answers.

    What comes for a client that waits for more replies is kept until the sockets that are ready now have been handled,
    and sent in one write.  A client that waits for no more is answered at once.

    :param options: the bytes that the client has already sent, the time limits, and the function to call at the end.
    :param join: joins the client's connection to an upstream that is reserved for this client.
    :param pipeline: the state machine of this client alone.
    """

    #: :func:`orders_of` the class.
    _do: ClassVar[Orders]

    def __init__(
        self,
        pool: SharedUpstreams,
        connection: Connection,
        options: JoinOptions,
        join: Join,
        pipeline: ClientPipeline[Any],
    ) -> None:
        self._pool = pool
        self._connection = connection
        self._options = options
        self._join = join
        self._pipeline = pipeline
        #: The orders that are being carried out; None while there are none.
        self._orders: list[Order] | None = None
        #: The exchange with the upstream that is reserved for this client, once it has one; the batch that wanted it.
        self._piped: ClientExchange | None = None
        self._own: Batch | None = None
        self._gap_call: IDelayedCall | None = None
        self._idle_timer: Timer | None = None
        #: When a byte was last sent or received, in the clock's seconds; only kept up to date with an idle timeout.
        self._last_at = pool.now()
        self._bytes_in = 0
        #: Counts the bytes that are sent to the client.
        self._window = pipeline.window
        #: The batches whose replies are still to come.
        self._outstanding = pipeline.outstanding
        #: What is to be sent to the client in one write, and how many bytes that are.
        self._kept: list[bytes] = []
        self._kept_size = 0
        #: The client has left so much unread that it is suspended, and what it is sent meanwhile is counted.
        self._is_behind = False
        self._first_byte_at: float | None = None
        connection.owner = self
        pool.joined()

    def begin(self) -> DetachedExchange:
        """Handle the bytes and the FIN that came before the join, and begin to read."""
        options = self._options
        self._connection.unregister_producer()
        self._connection.register_producer(self, self._pool.plenty)
        if options.idle_timeout is not None:
            timers = self._pool.rules.timers
            self._idle_timer = timers.after(options.idle_timeout, self._check_idle, options.idle_timeout)
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
        return self._window.bytes_out + (self._piped.bytes_out if self._piped is not None else 0)

    @property
    def first_byte_at(self) -> float | None:
        return self._first_byte_at or (self._piped.first_byte_at if self._piped is not None else None)

    @property
    def last_at(self) -> None:
        """Not known: what moves are replies, which the pool counts."""

    @property
    def held(self) -> int:
        """Bytes that are kept for the client, as it has not read them."""
        return 0 if self._connection.is_lost else self._connection.unsent

    def dismiss(self, reason: str) -> None:
        """End the client at once, as too much is kept for it."""
        self._is_behind = False
        if self._pipeline.is_over:
            self._connection.abort()  # its session waits only until it has read the rest
        else:
            self._take(Input.DISMISSED, reason)

    def pack(self) -> tuple[dict[str, Any], Connection] | None:
        self._flush()
        packed = None if self._piped is not None or self._is_behind else self._pipeline.pack()
        if packed is None:
            return None
        more = {"bytes_in": self._bytes_in, "first_byte_at": self._first_byte_at, "last_at": self._last_at}
        return {**packed, **more}, self._connection

    def unpack(self, packed: dict[str, Any]) -> None:
        """Go on with an idle client of another process; called before anything has come from it here."""
        self._pipeline.unpack(packed)
        self._bytes_in, self._first_byte_at = packed["bytes_in"], packed["first_byte_at"]
        self._last_at = packed["last_at"]
        self.freeze()
        self.thaw()  # with what is left of the limit

    def freeze(self) -> None:
        self._stop_timers()

    def thaw(self) -> None:
        limit = self._options.idle_timeout
        if limit is not None and not self._pipeline.is_over:
            left = max(0.0, self._last_at + limit - self._pool.now())
            self._idle_timer = self._pool.rules.timers.after(left, self._check_idle, limit)

    def depart(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self._piped is not None:
            self._piped.abort()
        # Not queued behind the orders that are being carried out: the session owns the connection when this returns.
        for order in self._pipeline.take(Input.ABORTED):
            self._do[type(order)](self, order)

    # Called by the connection

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
        if not self._is_behind:
            self._is_behind = True
            self._pool.reply_memory.begin(self)
            self._take(Input.OUTPUT_FULL)

    def resumeProducing(self) -> None:
        if self._is_behind:
            self._is_behind = False
            self._pool.reply_memory.end(self)
        self._take(Input.OUTPUT_FREE)

    def stopProducing(self) -> None:
        """Nothing to do: the connection also calls :meth:`lost`."""

    # Called by the pool and its upstreams, as the sender of the batches

    def given(self, batch: Batch) -> None:
        self._take(Input.GIVEN, batch)

    def reply(self, batch: Batch, data: bytes) -> None:
        self._take(Input.REPLY, data)

    def done(self, batch: Batch, data: bytes) -> None:
        self._take(_DONE, (batch, data))

    def failed(self, batch: Batch, outcome: Outcome, reason: str) -> None:
        self._take(Input.FAILED, Failure(batch, Ending(outcome, reason)))

    def unsent(self, batch: Batch) -> None:
        # Not queued behind other orders: the batch must be in the work queue before its slot is closed.
        for order in self._pipeline.take(Input.UNSENT, batch):
            self._do[type(order)](self, order)

    def go_on(self) -> None:
        self._take(Input.GO_ON)

    # Inputs and orders

    def _take(self, what: Input, value: Any = None) -> None:
        todo = self._pipeline.take(what, value)
        if self._orders is not None:
            self._orders += todo  # the loop of the outer call carries them out after its own
            return
        self._orders = todo
        try:
            for order in todo:
                self._do[type(order)](self, order)
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
        self._window.bytes_out += len(data)
        if self._first_byte_at is None:
            self._first_byte_at = self._pool.now()
        if self._idle_timer is not None:
            self._last_at = self._pool.now()
        if self._is_behind:
            self._pool.reply_memory.add(self, len(data))
        if self._outstanding or self._kept:
            self._keep(data)
        else:
            self._connection.send(data)

    def _keep(self, data: bytes) -> None:
        """Send ``data`` in one write with the other replies of this turn."""
        self._kept.append(data)
        self._kept_size += len(data)
        if not self._outstanding or self._is_behind or self._kept_size >= MOST_KEPT:
            self._flush()
        elif len(self._kept) == 1:
            self._pool.rules.soon(self._flush)

    def _flush(self) -> None:
        if self._kept:
            kept, self._kept, self._kept_size = self._kept, [], 0
            self._connection.send(kept[0] if len(kept) == 1 else b"".join(kept))

    def _requeue(self, order: orders.Requeue) -> None:
        self._pool.requeue(order.batch)

    def _withdraw(self, order: orders.Withdraw) -> None:
        self._pool.withdraw(order.batch)

    def _go_on(self, _: orders.GoOn) -> None:
        self._take(Input.GO_ON)

    def _pause(self, _: orders.Pause) -> None:
        self._connection.pause()

    def _resume(self, _: orders.Resume) -> None:
        self._connection.resume()

    def _start_gap(self, _: orders.StartGap) -> None:
        gap = self._pool.rules.gap
        if self._gap_call is None:
            self._gap_call = self._pool.rules.clock.callLater(gap, self._gap_passed)
        else:
            self._gap_call.reset(gap)

    def _gap_passed(self) -> None:
        self._gap_call = None
        self._take(Input.SILENCE)

    def _stop_gap(self, _: orders.StopGap | None = None) -> None:
        if self._gap_call is not None:
            self._gap_call.cancel()
            self._gap_call = None

    def _check_idle(self, limit: float) -> None:
        # The timer is not moved at every byte: when it is due, it is set again for the rest of the limit.
        left = self._last_at + limit - self._pool.now()
        if left <= ROUNDING:
            left = limit
            self._idle_timer = None
            self._take(Input.IDLE, f"no byte either way for {limit:g} s (--idle-timeout)")
        if not self._pipeline.is_over:
            self._idle_timer = self._pool.rules.timers.after(left, self._check_idle, limit)

    def _hand_over(self, order: orders.HandOver) -> None:
        self._flush()
        self._own, slot = order.batch, order.batch.slot
        assert slot is not None
        self._stop_timers()
        self._connection.unregister_producer()
        self._pool.own_use.note_pin(order.batch.name, slot)
        options = self._options
        notes = [order.problem] if order.problem else []
        notes.append(f"{order.batch.name} took upstream {slot.number} alone")

        def ended(end: RelayEnd, connection: Connection) -> None:
            options.ended(replace(end, reason="; ".join(filter(None, [end.reason, *notes]))), connection)

        data, is_finished = order.batch.data, self._connection.is_finished
        piped = JoinOptions(data, is_finished, None, options.idle_timeout, ended, ends_with_upstream=True)
        upstream = self._pool.hand_over(order.batch)
        upstream.when_lost = self._return_slot
        self._piped = self._join(self._connection, upstream, piped)

    def _return_slot(self) -> None:
        """Return the reserved slot to the pool; called when its connection is closed."""
        own, self._own = self._own, None
        if own is not None:
            self._pool.left()
            self._pool.returned(own)

    # The end

    def _break_off(self, _: orders.BreakOff) -> None:
        self._connection.pause()
        self._flush()
        self._connection.when_flushed(lambda: self._take(Input.FLUSHED))

    def _end(self, order: orders.End) -> None:
        end = RelayEnd(order.cause, self._connection.is_finished, order.reason, order.outcome)
        self._leave()
        self._options.ended(end, self._connection)

    def _leave(self, _: orders.Leave | None = None) -> None:
        if self._orders:
            self._orders.clear()  # the orders that are left would act on a connection that is no longer ours
        self._flush()
        self._pool.left()
        self._stop_timers()
        self._connection.unregister_producer()
        self._connection.owner = UNOWNED
        if self._is_behind and not self._connection.is_lost:
            # It counts until all that is kept for it has been sent or dropped.
            self._connection.when_lost = partial(self._pool.reply_memory.end, self)
        else:
            self._pool.reply_memory.end(self)

    def _stop_timers(self) -> None:
        self._stop_gap()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None


def orders_of(kind: type[DetachedExchange]) -> Orders:
    """The method of a kind of exchange for each kind of order."""
    return {
        Batch: kind._submit,
        bytes: kind._send,
        orders.Follow: kind._follow,
        orders.Requeue: kind._requeue,
        orders.Withdraw: kind._withdraw,
        orders.GoOn: kind._go_on,
        orders.HandOver: kind._hand_over,
        orders.StartGap: kind._start_gap,
        orders.StopGap: kind._stop_gap,
        orders.Pause: kind._pause,
        orders.Resume: kind._resume,
        orders.BreakOff: kind._break_off,
        orders.End: kind._end,
        orders.Leave: kind._leave,
    }


DetachedExchange._do = orders_of(DetachedExchange)
