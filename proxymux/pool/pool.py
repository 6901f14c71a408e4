"""The pool: carries out what the leasing decides, on real connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from proxymux.core.batch import Batch, Sender
from proxymux.core.codecs import Codec
from proxymux.core.events import Events
from proxymux.core.leasing import Leasing
from proxymux.core.outcome import Outcome
from proxymux.core.slots import Dismiss, Slot, Work
from proxymux.core.wheel import Timer
from proxymux.net.connection import Connection
from proxymux.net.connector import Connector
from proxymux.net.timers import Timers
from proxymux.pool.leases import LeasingRunner
from proxymux.pool.opening import Openings
from proxymux.pool.response import Response
from proxymux.pool.settings import PoolSettings
from proxymux.pool.upstream import Upstream, UpstreamRules

#: Seconds between two looks for upstreams that have not been of use.
_LOOK_FOR_IDLE: Final = 0.1


class Pool:
    """The upstreams of a service in FIFO or Funnel mode.

    :param clock: for what has to be finer than the timers are.
    :param connector: connects.
    :param soon: has a function called when what is ready now has been looked at.
    """

    def __init__(
        self,
        clock: IReactorTime,
        timers: Timers,
        connector: Connector,
        codec: Codec,
        leasing: Leasing,
        events: Events,
        log: Logger,
        soon: Callable[[Callable[[], None]], None],
        settings: PoolSettings,
    ) -> None:
        self.rules = UpstreamRules(clock, timers, codec, soon, settings.request_timeout, settings.raw_gap / 1000)
        self.codec = codec
        #: All requests are served in the order in which they came, whosever they are.
        self.is_ordered = settings.chosen_mode == "fifo"
        self.leasing = leasing
        self.now = timers.seconds
        self.runner = LeasingRunner(timers, leasing, self)
        self._openings = Openings(connector, self, events, log)
        self._events = events
        self._request_listeners = events.listeners("request")
        self._log = log
        #: Seconds after which an upstream that is of no use is closed; 0 is off.
        self._inactivity_timeout = settings.inactivity_timeout / 1000
        self._warmup = settings.warmup
        self._upstreams: dict[Slot, Upstream] = {}
        self._idle_timer: Timer | None = None

    @property
    def clients(self) -> int:
        """Clients that are in."""
        return self.runner.clients

    # For the service

    def start(self) -> None:
        self.runner.start()
        if self._warmup:
            self.runner.carry_out(self.leasing.start(self.now()))
        if self._inactivity_timeout:
            self._idle_timer = self.rules.timers.after(_LOOK_FOR_IDLE, self._look_for_idle)

    def stop(self) -> None:
        self.runner.stop()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        for slot in self._openings.cancel():
            self.runner.returned(slot)
        for upstream in tuple(self._upstreams.values()):
            upstream.close("")

    def lines(self) -> list[str]:
        return self.runner.lines()

    def state(self) -> dict[str, float]:
        return self.runner.state()

    # For the clients

    def submit(self, batch: Batch, sender: Sender) -> None:
        """Have a batch sent, and ``sender`` told what becomes of it."""
        batch.sender = sender
        slot = self.leasing.grab(batch, self.now())
        if slot is not None:
            self._give(slot, batch)
        else:
            self.runner.submit(batch)

    def follow(self, batch: Batch, before: Batch, sender: Sender) -> bool:
        """Have a batch sent where ``before`` was, and ``sender`` told what becomes of it; False if it must wait."""
        slot = before.slot
        if slot is None or not self.leasing.follow(slot):
            return False
        batch.sender = sender
        self._give(slot, batch)
        return True

    def withdraw(self, batch: Batch) -> None:
        """Nobody wants a batch any more."""
        batch.sender = None
        if batch.slot is None:
            self.leasing.withdraw(batch)
        elif self.codec.gap and batch.slot in self._upstreams:
            self._upstreams[batch.slot].close("the client left, and its reply could be taken for another's")

    def requeue(self, batch: Batch) -> None:
        """A batch of which nothing was sent is the next to be, once its slot is closed."""
        self.leasing.again(batch, self.now())

    def hand_over(self, slot: Slot) -> Connection:
        """The connection of a slot that a client has alone; the slot is in use until it is returned."""
        return self._upstreams.pop(slot).hand_over()

    # What the upstreams tell

    def opened(self, upstream: Upstream) -> None:
        self.runner.carry_out(self.leasing.opened(upstream.slot, self.now()))

    def blocked(self, upstream: Upstream) -> None:
        self.leasing.blocked(upstream.slot)

    def unblocked(self, upstream: Upstream) -> None:
        self.runner.carry_out(self.leasing.unblocked(upstream.slot, self.now()))

    def released(self, upstream: Upstream, batch: Batch, data: bytes) -> None:
        sender = batch.sender
        if batch.sequence and self.leasing.queue and sender is not None:
            # What its client has sent next may have come before what waits.
            sender.done(batch, data)
            sender = None
        orders = self.leasing.release(upstream.slot, upstream.used_at)
        if orders:
            self.runner.carry_out(orders)
        if sender is not None:
            sender.done(batch, data)

    def fail(self, batch: Batch, outcome: Outcome, reason: str) -> None:
        if batch.listener is not None:
            batch.listener.fail(outcome, reason)
        if batch.sender is not None:
            batch.sender.failed(batch, outcome, reason)

    def closing(self, upstream: Upstream, reason: str) -> None:
        log = self._log.info if reason else self._log.debug
        log(
            "upstream {number} ({target}) closed: {reason}",
            number=upstream.slot.number,
            target=upstream.slot.target,
            reason=reason or "idle",
        )

    def unsent(self, batch: Batch) -> None:
        batch.slot = None
        if batch.sender is not None:
            batch.sender.unsent(batch)

    def gone(self, upstream: Upstream) -> None:
        slot = upstream.slot
        del self._upstreams[slot]
        if slot.is_opening and not self.runner.is_stopped:
            self.runner.carry_out(self.leasing.failed(slot, self.now()))
        else:
            self.runner.returned(slot)

    # What becomes of slots that are being opened

    def connected(self, slot: Slot, connection: Connection) -> None:
        upstream = self._upstreams[slot] = Upstream(self.rules, self, slot, connection)
        if self.codec.silent_first:
            upstream.settle_in()
        else:
            self.opened(upstream)

    def not_connected(self, slot: Slot) -> None:
        self.runner.carry_out(self.leasing.failed(slot, self.now()))

    # Orders

    def give(self, slot: Slot, work: Work) -> None:
        assert isinstance(work, Batch)
        self._give(slot, work)

    def _give(self, slot: Slot, batch: Batch) -> None:
        batch.slot = slot
        if batch.alone:
            assert batch.sender is not None
            batch.sender.given(batch)
            return
        if self._request_listeners and batch.listener is None:
            batch.listener = response = Response(self._log)
            response.tell(self._events, batch.data)
        upstream = self._upstreams[slot]
        upstream.send(batch)
        if not batch.replies:
            upstream.settle(batch)

    def dismiss(self, order: Dismiss) -> None:
        assert isinstance(order.work, Batch)
        self.fail(order.work, order.outcome, order.reason)

    def open(self, slot: Slot) -> None:
        self._openings.open(slot)

    # Upstreams that are of no use

    def _look_for_idle(self) -> None:
        self._idle_timer = self.rules.timers.after(_LOOK_FOR_IDLE, self._look_for_idle)
        latest = self.now() - self._inactivity_timeout
        for upstream in tuple(self._upstreams.values()):
            if not upstream.slot.outstanding and upstream.used_at <= latest:
                upstream.close("")
