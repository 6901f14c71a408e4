"""The pool of FIFO and Funnel mode: carries out the orders of the leasing on real, shared connections."""

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
from proxymux.core.reply_memory import ReplyMemory
from proxymux.core.slots import Dismiss, Slot, Work
from proxymux.core.wheel import Timer
from proxymux.net.connection import PLENTY, Connection
from proxymux.net.connector import Connector
from proxymux.net.timers import Timers
from proxymux.pool.leases import LeasingRunner
from proxymux.pool.opening import Openings
from proxymux.pool.own_use import OwnUseLog
from proxymux.pool.response import Response
from proxymux.pool.rewriting import RewritingUpstream
from proxymux.pool.settings import FUNNEL_HINT, PoolSettings
from proxymux.pool.upstream import Upstream, UpstreamRules

#: Seconds between two checks for upstreams that have been idle for ``--inactivity-timeout``.
_IDLE_CHECK_INTERVAL: Final = 0.1


class Pool:
    """The upstreams of a service in FIFO or Funnel mode.

    :param clock: times the gap; ``timers`` are too coarse for that.
    :param connector: connects the slots.
    :param soon: calls a function after the sockets that are ready now have been handled, or at once.
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
        self.rules = UpstreamRules(
            clock,
            timers,
            codec,
            soon,
            settings.request_timeout,
            settings.raw_gap / 1000,
            settings.retry_idempotent,
            codec.fence if len(leasing.slots) > 1 else b"",
        )
        self.codec = codec
        #: Requests of all clients are served in the order in which they came (FIFO mode).
        self.is_ordered = settings.chosen_mode == "fifo"
        self.leasing = leasing
        self.now = timers.seconds
        self.runner = LeasingRunner(timers, leasing, self)
        self.own_use = OwnUseLog(self.now, log)
        #: What is kept for clients that do not read.
        self.reply_memory = ReplyMemory(settings.max_reply_memory)
        #: Bytes of replies that one client may have outstanding.
        self.max_outstanding = settings.max_outstanding
        self._openings = Openings(connector, self, events, log)
        self._events = events
        self._request_listeners = events.listeners("request")
        self._log = log
        #: Seconds after which an upstream without outstanding requests is closed; 0 is off.
        self._inactivity_timeout = settings.inactivity_timeout / 1000
        self._warmup = settings.warmup
        self._upstreams: dict[Slot, Upstream] = {}
        self._idle_timer: Timer | None = None

    @property
    def clients(self) -> int:
        """The number of clients that have come and not yet left."""
        return self.runner.clients

    @property
    def plenty(self) -> int:
        """Bytes that a new client may leave unread before it is suspended: less if there are very many clients."""
        return min(self.max_outstanding, self.reply_memory.share(self.clients, PLENTY))

    # For the service

    def start(self) -> None:
        if self.codec.name == "raw" and not self.is_ordered:
            self._log.warn("{hint}", hint=FUNNEL_HINT)
        self.runner.start()
        if self._warmup:
            self.runner.carry_out(self.leasing.start(self.now()))
        if self._inactivity_timeout:
            self._idle_timer = self.rules.timers.after(_IDLE_CHECK_INTERVAL, self._close_idle)

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
        return self.runner.lines() + self.own_use.lines()

    def state(self) -> dict[str, float]:
        return self.runner.state()

    # Called by the clients' detached exchanges

    def submit(self, batch: Batch, sender: Sender) -> None:
        """Send ``batch`` as soon as the leasing gives it a slot; ``sender`` is told of its replies or its failure."""
        batch.sender = sender
        slot = self.leasing.grab(batch, self.now())
        if slot is not None:
            self._give(slot, batch)
        else:
            self.runner.submit(batch)

    def follow(self, batch: Batch, before: Batch, sender: Sender) -> bool:
        """Send ``batch`` on the slot of ``before``, a batch of the same client that is still outstanding.

        :returns: False if that slot takes no more for now; the batch is not sent then.
        """
        slot = before.slot
        if slot is None or not self.leasing.follow(slot):
            return False
        batch.sender = sender
        self._give(slot, batch)
        return True

    def withdraw(self, batch: Batch) -> None:
        """Forget the sender of ``batch``: it leaves the queue, or its replies are dropped when they come."""
        batch.sender = None
        if batch.slot is None:
            self.leasing.withdraw(batch)
        elif batch.slot in self._upstreams:
            if batch.alone:
                self._upstreams[batch.slot].close("the client left that had it alone")
            else:
                self._upstreams[batch.slot].give_up(batch)

    def requeue(self, batch: Batch) -> None:
        """Put a batch that may be sent on another slot at the head of the queue, as its own is about to be closed."""
        self.leasing.again(batch, self.now())

    def hand_over(self, slot: Slot) -> Connection:
        """Give the connection of ``slot`` away to the one client that reserved it.

        The slot counts as taken until ``runner.returned(slot)`` is called.
        """
        return self._upstreams.pop(slot).hand_over()

    # Called by the upstreams, as UpstreamListener

    def opened(self, upstream: Upstream) -> None:
        self.runner.carry_out(self.leasing.opened(upstream.slot, self.now()))

    def blocked(self, upstream: Upstream) -> None:
        self.leasing.blocked(upstream.slot)

    def unblocked(self, upstream: Upstream) -> None:
        self.runner.carry_out(self.leasing.unblocked(upstream.slot, self.now()))

    def released(self, upstream: Upstream, batch: Batch, data: bytes) -> None:
        sender = batch.sender
        if batch.sequence and self.leasing.queue and sender is not None:
            # FIFO: the client's next batch may be older than those that wait, so it is submitted before the release.
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
        log = self._log.debug if not reason else self._log.warn if upstream.slot.is_opening else self._log.info
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

    # Called by the openings, as SlotListener

    def connected(self, slot: Slot, connection: Connection) -> None:
        make = RewritingUpstream if self.codec.rewrites else Upstream
        upstream = self._upstreams[slot] = make(self.rules, self, slot, connection)
        upstream.begin()

    def not_connected(self, slot: Slot) -> None:
        self.runner.carry_out(self.leasing.failed(slot, self.now()))

    # Called by the LeasingRunner, one method for each order of the leasing

    def give(self, slot: Slot, work: Work) -> None:
        assert isinstance(work, Batch)
        self._give(slot, work)

    def _give(self, slot: Slot, batch: Batch) -> None:
        batch.slot = slot
        if batch.alone:
            self._upstreams[slot].prepare(batch)
            return
        if self._request_listeners and batch.listener is None:
            batch.listener = response = Response(self._log)
            response.tell(self._events, batch.data)
        upstream = self._upstreams[slot]
        upstream.send(batch)
        if not batch.replies:
            upstream.complete_silent(batch)

    def dismiss(self, order: Dismiss) -> None:
        assert isinstance(order.work, Batch)
        self.fail(order.work, order.outcome, order.reason)

    def open(self, slot: Slot) -> None:
        self._openings.open(slot)

    def abandon(self, slot: Slot) -> None:
        """Never called: no work has a slot that is being opened, so another is opened beside one that takes long."""
        raise AssertionError(f"{slot} was given to nobody")

    # Idle upstreams

    def _close_idle(self) -> None:
        self._idle_timer = self.rules.timers.after(_IDLE_CHECK_INTERVAL, self._close_idle)
        latest = self.now() - self._inactivity_timeout
        for upstream in tuple(self._upstreams.values()):
            if not upstream.slot.outstanding and upstream.used_at <= latest:
                upstream.close("")
