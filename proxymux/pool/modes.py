"""The modes of the pool: how a client gets an upstream, and which exchange carries its bytes."""

from __future__ import annotations

import random
from dataclasses import dataclass

from twisted.logger import Logger

from proxymux.core.codecs import Codec
from proxymux.core.decision import Decision, Forward, Share
from proxymux.core.events import Events
from proxymux.core.leasing import Leasing
from proxymux.core.pipeline import Pipeline
from proxymux.core.pipeline_orders import PipelineRules
from proxymux.core.target import Target, parse_target
from proxymux.net.connection import Connection
from proxymux.net.connector import Connector
from proxymux.net.driver import Driver
from proxymux.net.exchange import JoinOptions
from proxymux.pool.exchange import DetachedExchange
from proxymux.pool.exclusive import ExclusiveLeases
from proxymux.pool.leases import Leases
from proxymux.pool.observed import ObservedRelay
from proxymux.pool.pool import Pool
from proxymux.pool.settings import PoolSettings
from proxymux.session.context import ClientExchange, Join, JoinPool, UpstreamSource


@dataclass(frozen=True, slots=True)
class PoolMode:
    """The parts of a pool service that depend on its mode.

    :param decision: the decision for every client.
    :param leases: the slots of the service.
    :param connector: connects a client to its upstream; Proxy mode only, else None.
    :param join: joins a client to its upstream; Proxy mode only, else None.
    :param join_pool: begins the detached exchange of a client; FIFO and Funnel mode only, else None.
    """

    decision: Decision
    leases: Leases
    connector: UpstreamSource | None = None
    join: Join | None = None
    join_pool: JoinPool | None = None


def exclusive_mode(settings: PoolSettings, codec: Codec, driver: Driver, events: Events, log: Logger) -> PoolMode:
    """Make the parts for Proxy mode: each client has an upstream of its own."""
    targets = _parse_targets(settings)
    leasing = _make_leasing(settings, targets, pipelined=False, exclusive=True)
    leases = ExclusiveLeases(driver.timers, Connector(driver, settings), leasing)
    observed = ObservedRelay(driver.clock, driver.timers, settings.raw_gap / 1000, events, log)
    return PoolMode(Forward(targets), leases, leases, PipedRelay(driver.join, observed.join, events).join)


def shared_mode(settings: PoolSettings, codec: Codec, driver: Driver, events: Events, log: Logger) -> PoolMode:
    """Make the parts for FIFO and Funnel mode: clients share upstreams."""
    targets = _parse_targets(settings)
    is_fifo = settings.chosen_mode == "fifo"
    pipelined = not codec.gap and (settings.async_ or (is_fifo and codec.pipelines))
    pool = Pool(
        driver.clock,
        driver.timers,
        Connector(driver, settings),
        codec,
        _make_leasing(settings, targets, pipelined=pipelined, exclusive=False),
        events,
        log,
        driver.call_soon,
        settings,
    )
    batches = pipelined or codec.pipelines
    relay = DetachedRelay(pool, driver.join, pipelined, batches, settings.limits.request)
    return PoolMode(Share(targets), pool, join_pool=relay.join)


def _parse_targets(settings: PoolSettings) -> tuple[Target, ...]:
    return tuple(map(parse_target, settings.target))


def _make_leasing(settings: PoolSettings, targets: tuple[Target, ...], *, pipelined: bool, exclusive: bool) -> Leasing:
    return Leasing(
        targets,
        pipelined=pipelined,
        exclusive=exclusive,
        queue_limit=settings.queue_limit,
        queue_timeout=settings.queue_timeout,
        jitter=lambda: random.uniform(0.5, 1.5),
    )


class DetachedRelay:
    """Makes the detached exchanges of a pool's clients.

    :param join: joins a client to an upstream that is reserved for it.
    :param pipelined: an upstream may have several batches outstanding, also of different clients.
    :param batches: requests of one client that came together are sent to one upstream together.
    :param request_limit: the most bytes of a request that are kept until it is whole.
    """

    def __init__(self, pool: Pool, join: Join, pipelined: bool, batches: bool, request_limit: int) -> None:
        self._pool = pool
        self._join = join
        self._rules = PipelineRules(
            pool.codec,
            pipelined,
            batches,
            pool.is_ordered,
            pool.leasing.spare_alone,
            request_limit=request_limit,
            max_outstanding=pool.max_outstanding,
            note_refusal=pool.own_use.note_refusal,
        )

    def join(self, client: Connection, options: JoinOptions) -> DetachedExchange:
        return DetachedExchange(self._pool, client, options, self._join, Pipeline(self._rules)).begin()


class PipedRelay:
    """Joins a client to its upstream, by the observed relay if the event ``request`` has listeners.

    :param join: joins if there are no listeners.
    :param observed: joins if there are listeners; it reports requests and replies to them.
    """

    def __init__(self, join: Join, observed: Join, events: Events) -> None:
        self._join = join
        self._observed = observed
        self._events = events

    def join(self, client: Connection, upstream: Connection, options: JoinOptions) -> ClientExchange:
        join = self._observed if self._events.heard("request") else self._join
        return join(client, upstream, options)
