"""The pool: carries out what the leasing decides, on real connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from proxymux.core.codecs import Codec
from proxymux.core.commands import ConnectFailure
from proxymux.core.decision import Forward
from proxymux.core.events import Events
from proxymux.core.identity import Client
from proxymux.core.leasing import Leasing
from proxymux.core.outcome import Outcome
from proxymux.core.slots import Dismiss, Slot
from proxymux.core.target import Target
from proxymux.core.wheel import Timer
from proxymux.net.connection import Connection
from proxymux.net.connector import Connecting, Connector
from proxymux.net.timers import Timers
from proxymux.pool.batch import Batch
from proxymux.pool.leases import Leases
from proxymux.pool.response import Response
from proxymux.pool.settings import PoolSettings
from proxymux.pool.upstream import Upstream

_NOBODY = Client(("", 0), ("", 0))
#: Seconds between two looks for upstreams that have not been of use.
_LOOK_FOR_IDLE = 0.1


class Pool(Leases):
    """The upstreams of a service in FIFO or Funnel mode.

    :param clock: for what has to be finer than the timers are.
    :param connector: connects.
    :param soon: has a function called when what is ready now has been looked at.
    """

    def __init__(
        self,
        clock: Any,
        timers: Timers,
        connector: Connector,
        codec: Codec,
        leasing: Leasing,
        events: Events,
        log: Logger,
        soon: Callable[[Callable[[], None]], None],
        settings: PoolSettings,
    ) -> None:
        super().__init__(timers, leasing)
        self.clock = clock
        self.codec = codec
        self.soon = soon
        self.request_timeout = settings.request_timeout
        #: Seconds of silence that end a reply whose end cannot be seen.
        self._raw_gap = settings.raw_gap / 1000
        self.codec_gap = self._raw_gap if codec.gap else 0.0
        #: All requests are served in the order in which they came, whosever they are.
        self.is_ordered = settings.chosen_mode == "fifo"
        #: How many batches there were, where they are served in the order in which they came.
        self.sequences = 0
        self._connector = connector
        self._events = events
        self._log = log
        #: Seconds after which an upstream that is of no use is closed; 0 is off.
        self._inactivity_timeout = settings.inactivity_timeout / 1000
        self._warmup = settings.warmup
        self._upstreams: dict[Slot, Upstream] = {}
        self._connecting: dict[Slot, Connecting] = {}
        self._idle_timer: Timer | None = None

    # For the service

    def start(self) -> None:
        super().start()
        if self._warmup:
            self.carry_out(self.leasing.start(self.now()))
        if self._inactivity_timeout:
            self._idle_timer = self.timers.after(_LOOK_FOR_IDLE, self._look_for_idle)

    def stop(self) -> None:
        super().stop()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        for slot, connecting in self._connecting.items():
            connecting.cancel()
            self.returned(slot)
        self._connecting.clear()
        for upstream in tuple(self._upstreams.values()):
            upstream.close("")

    # For the clients

    def submit(self, batch: Batch) -> None:
        """Have a batch sent."""
        now = self.now()
        slot = self.leasing.grab(batch, now)
        if slot is not None:
            self.give(slot, batch)
        else:
            self.carry_out(self.leasing.submit(batch, now))

    def withdraw(self, batch: Batch) -> None:
        """Nobody wants a batch any more."""
        batch.sender = None
        if batch.slot is None:
            self.leasing.withdraw(batch)
        elif self.codec.gap and batch.slot in self._upstreams:
            self._upstreams[batch.slot].close("the client left, and its reply could be taken for another's")

    def fail(self, batch: Batch, outcome: Outcome, reason: str) -> None:
        """A batch will have no whole reply."""
        if batch.response is not None:
            batch.response.fail(outcome, reason)
        if batch.sender is not None:
            batch.sender.failed(batch, outcome, reason)

    # For the upstreams

    def released(self, upstream: Upstream) -> None:
        """A batch was wholly answered."""
        orders = self.leasing.release(upstream.slot, self.now())
        if orders:
            self.carry_out(orders)

    def blocked(self, upstream: Upstream) -> None:
        """An upstream takes no more for now."""
        self.leasing.blocked(upstream.slot)

    def unblocked(self, upstream: Upstream) -> None:
        """It takes more."""
        self.carry_out(self.leasing.unblocked(upstream.slot, self.now()))

    def note_end(self, upstream: Upstream, reason: str) -> None:
        """An upstream is closed; a reason is why it is of no use any more."""
        log = self._log.info if reason else self._log.debug
        log(
            "upstream {number} ({target}) closed: {reason}",
            number=upstream.slot.number,
            target=upstream.slot.target,
            reason=reason or "idle",
        )

    def gone(self, upstream: Upstream) -> None:
        """It is closed."""
        slot = upstream.slot
        del self._upstreams[slot]
        if slot.is_opening and not self.is_stopped:
            self.carry_out(self.leasing.failed(slot, self.now()))
        else:
            self.returned(slot)

    def unsent(self, batch: Batch) -> None:
        """The upstream that a batch had is gone, and has nothing of it."""
        batch.slot = None
        if batch.sender is not None and batch.sender.unsent(batch):
            self.leasing.again(batch, self.now())

    # Orders

    def give(self, slot: Slot, work: Batch) -> None:
        batch = work
        batch.slot = slot
        upstream = self._upstreams[slot]
        if batch.alone:
            del self._upstreams[slot]
            if batch.sender is not None:
                batch.sender.given(batch, upstream)
            return
        if batch.response is None and self._events.heard("request"):
            batch.response = Response(self._log)
            batch.response.tell(self._events, batch.data)
        upstream.send(batch)
        if not batch.replies:
            upstream.settle(batch)

    def dismiss(self, order: Dismiss) -> None:
        assert isinstance(order.work, Batch)
        self.fail(order.work, order.outcome, order.reason)

    def open(self, slot: Slot) -> None:
        connecting = self._connector.connect(_forward(slot.target), _NOBODY, _SlotConnect(self, slot))
        self._connecting[slot] = connecting
        connecting.start()

    def connected(self, slot: Slot, connection: Connection) -> None:
        """A slot has its connection."""
        del self._connecting[slot]
        upstream = self._upstreams[slot] = Upstream(self, slot, connection)
        if self.codec.silent_first:
            upstream.settle_in(self._raw_gap)
        else:
            self.opened(upstream)

    def opened(self, upstream: Upstream) -> None:
        """A slot is of use."""
        self.carry_out(self.leasing.opened(upstream.slot, self.now()))

    def attempt_failed(self, target: Target, reason: str) -> None:
        """A target could not be connected to."""
        self._events.emit("connect_failed", self._log, str(target), reason)

    def not_connected(self, slot: Slot, failure: ConnectFailure) -> None:
        """A slot has none."""
        self._connecting.pop(slot, None)
        self._log.warn("upstream {number}: {reason}", number=slot.number, reason=failure.reason)
        self.carry_out(self.leasing.failed(slot, self.now()))

    def _look_for_idle(self) -> None:
        self._idle_timer = self.timers.after(_LOOK_FOR_IDLE, self._look_for_idle)
        latest = self.now() - self._inactivity_timeout
        for upstream in tuple(self._upstreams.values()):
            if not upstream.slot.outstanding and upstream.used_at <= latest:
                upstream.close("")


class _SlotConnect:
    """Wants a connection for a slot."""

    def __init__(self, pool: Pool, slot: Slot) -> None:
        self._pool = pool
        self._slot = slot

    def trying(self, target: Target) -> None: ...

    def attempt_failed(self, target: Target, reason: str) -> None:
        self._pool.attempt_failed(target, reason)

    def connected(self, connection: Connection) -> None:
        self._pool.connected(self._slot, connection)

    def gave_up(self, failure: ConnectFailure) -> None:
        self._pool.not_connected(self._slot, failure)


def _forward(target: Target) -> Forward:
    return Forward(target, retries=0)
