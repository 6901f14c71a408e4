"""The pool of FIFO and Funnel mode: carries out the orders of the leasing on real, shared connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mypy_extensions import mypyc_attr
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from proxymux.core.batch import Batch, Sender
from proxymux.core.codecs import Codec
from proxymux.core.events import Events
from proxymux.core.leasing import Leasing
from proxymux.core.outcome import ConnectFault, Outcome
from proxymux.core.reply_memory import ReplyMemory
from proxymux.core.slots import Dismiss, Slot, Work
from proxymux.core.wheel import Timer
from proxymux.net.connection import PLENTY, Connection
from proxymux.net.connector import Connector
from proxymux.net.timers import Timers
from proxymux.pool.following import TargetFollowing
from proxymux.pool.leases import LeasingRunner
from proxymux.pool.opening import Openings
from proxymux.pool.own_use import OwnUseLog
from proxymux.pool.response import Response
from proxymux.pool.rewriting import RewritingUpstream
from proxymux.pool.settings import FUNNEL_HINT, PoolSettings
from proxymux.pool.upstream import Upstream, UpstreamRules

#: Seconds between two checks for upstreams that have been idle for ``--inactivity-timeout``.
_IDLE_CHECK_INTERVAL: Final = 0.1


@mypyc_attr(allow_interpreted_subclasses=True)
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
        fence = codec.fence if settings.has_clusters or len(leasing.slots) > 1 else b""
        self.rules = rules_of(settings, clock, timers, codec, soon, fence)
        self.codec = codec
        #: Requests of all clients are served in the order in which they came (FIFO mode).
        self.is_ordered = settings.chosen_mode == "fifo"
        self.leasing = leasing
        self.now = timers.seconds
        self.runner = LeasingRunner(timers, leasing, self)
        self.runner.opens_all = settings.warmup
        self.following: TargetFollowing | None = None
        self.own_use = OwnUseLog(self.now, log)
        #: What is kept for clients that do not read.
        self.reply_memory = ReplyMemory(settings.max_reply_memory)
        #: Bytes of replies that one client may have outstanding.
        self.max_outstanding = settings.max_outstanding
        self._reports = self.runner.reports
        self._openings = Openings(connector, self, events, log)
        self._events = events
        self._request_listeners = events.listeners("request")
        self._log = log
        #: Seconds after which an upstream without outstanding requests is closed; 0 is off.
        self._inactivity_timeout = settings.inactivity_timeout / 1000
        self._upstreams: dict[Slot, Upstream] = {}
        self._idle_timer: Timer | None = None

    @property
    def clients(self) -> int:
        """The number of clients that have come and not yet left."""
        return self.runner.clients

    @property
    def is_busy(self) -> bool:
        """Requests wait or are under way, or a client has an upstream alone."""
        return bool(self.leasing.queue) or any(slot.outstanding or slot.is_opening for slot in self.leasing.present)

    @property
    def used_at(self) -> float:
        """When a request was last sent or bytes came on a connection that is open, in the clock's seconds; else 0."""
        return max((upstream.used_at for upstream in self._upstreams.values()), default=0.0)

    @property
    def holds(self) -> LeasingRunner:
        """What holds the targets."""
        return self.runner

    @property
    def plenty(self) -> int:
        """Bytes that a new client may leave unread before it is suspended: less if there are very many clients."""
        return min(self.max_outstanding, self.reply_memory.share(self.clients, PLENTY))

    # For the service

    def start(self) -> None:
        if self.codec.name == "raw" and not self.is_ordered:
            self._log.warn("{hint}", hint=FUNNEL_HINT)
        self.runner.start()
        if self._inactivity_timeout:
            self._idle_timer = self.rules.timers.after(_IDLE_CHECK_INTERVAL, self._close_idle)

    def stop(self) -> None:
        self.runner.stop()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        for slot in self._openings.cancel_all():
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

    def note_refusal(self, name: str, problem: str) -> None:
        """Tell of a request that was refused for want of an upstream, in the log."""
        self.own_use.note_refusal(name, problem)

    def withdraw(self, batch: Batch) -> None:
        """Forget the sender of ``batch``: it leaves the queue, or its replies are dropped when they come."""
        batch.sender = None
        if batch.slot is None:
            self.runner.withdraw(batch)
        elif batch.slot in self._upstreams:
            if batch.alone:
                self._upstreams[batch.slot].close("the client left that had it alone")
            else:
                self._upstreams[batch.slot].give_up(batch)

    def requeue(self, batch: Batch) -> None:
        """Put a batch that may be sent on another slot at the head of the queue, as its own is about to be closed."""
        self.leasing.again(batch, self.now())

    def spare_alone(self) -> bool:
        """True if one client may take a slot alone now."""
        return self.leasing.spare_alone()

    def hand_over(self, batch: Batch) -> Connection:
        """Give the connection of the slot of ``batch`` away to the one client that reserved it.

        The slot counts as taken until :meth:`returned` is called.
        """
        assert batch.slot is not None
        return self._upstreams.pop(batch.slot).hand_over()

    def returned(self, batch: Batch) -> None:
        """Take back the slot of ``batch``, whose connection is closed."""
        assert batch.slot is not None
        self.runner.returned(batch.slot)

    def joined(self) -> None:
        """Count a client that has come."""
        self.runner.clients += 1

    def left(self) -> None:
        """Count a client no longer."""
        self.runner.clients -= 1

    # Called by the upstreams, as UpstreamListener

    def opened(self, upstream: Upstream) -> None:
        self.runner.carry_out(self.leasing.opened(upstream.slot, self.now()))
        self._reports.connected(upstream.slot)

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

    def answered(self, upstream: Upstream) -> None:
        self._reports.answered(upstream.slot)

    def broke(self, upstream: Upstream, reason: str) -> None:
        slot = upstream.slot
        if not slot.is_opening and self._reports.request_failed(slot, reason):
            for each in self._upstreams.values():
                each.is_proven = each.is_proven and each.slot.target != slot.target

    def closing(self, upstream: Upstream, reason: str) -> None:
        if upstream.slot.is_opening and reason:
            self._reports.not_connected(upstream.slot, reason)
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
        if slot.is_opening and slot.is_awaited and not self.runner.is_stopped:
            self.runner.carry_out(self.leasing.failed(slot, self.now()))
        else:
            self.runner.returned(slot)

    # Called by the openings, as SlotListener

    def connected(self, slot: Slot, connection: Connection) -> None:
        upstream = self._upstreams[slot] = self.make_upstream(slot, connection)
        upstream.begin()

    def make_upstream(self, slot: Slot, connection: Connection) -> Upstream:
        """The upstream of a slot whose connection is there."""
        make = RewritingUpstream if self.codec.rewrites else Upstream
        return make(self.rules, self, slot, connection)

    def attempt_failed(self, fault: ConnectFault) -> None:
        """Do nothing: the pool goes by what becomes of the whole connect."""

    def not_connected(self, slot: Slot, reason: str) -> None:
        self._reports.not_connected(slot, reason)
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

    def close(self, slot: Slot) -> None:
        if self._openings.cancel(slot):
            self.runner.returned(slot)
        elif slot in self._upstreams:
            self._upstreams[slot].close("")

    # Idle upstreams

    def _close_idle(self) -> None:
        self._idle_timer = self.rules.timers.after(_IDLE_CHECK_INTERVAL, self._close_idle)
        latest = self.now() - self._inactivity_timeout
        for upstream in tuple(self._upstreams.values()):
            if not upstream.slot.outstanding and upstream.used_at <= latest:
                upstream.close("")


def rules_of(
    settings: PoolSettings,
    clock: IReactorTime,
    timers: Timers,
    codec: Codec,
    soon: Callable[[Callable[[], None]], None],
    fence: bytes,
) -> UpstreamRules:
    """The rules of all upstreams of a pool with these settings."""
    gap = settings.raw_gap / 1000
    return UpstreamRules(clock, timers, codec, soon, settings.request_timeout, gap, settings.retry_idempotent, fence)
