"""The modes of the pool: how a client gets an upstream, and which exchange carries its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from twisted.logger import Logger

from proxymux.core.codecs import Codec
from proxymux.core.decision import Decision, Forward, Share
from proxymux.core.events import Events
from proxymux.core.identity import Client
from proxymux.core.pipeline import Pipeline
from proxymux.core.pipeline_orders import PipelineRules
from proxymux.core.target import Target
from proxymux.discovery.live_cluster import LiveCluster
from proxymux.net.connection import Connection
from proxymux.net.connector import Connector
from proxymux.net.driver import Driver
from proxymux.net.exchange import JoinOptions
from proxymux.pool.counting import RequestCounter
from proxymux.pool.exchange import DetachedExchange
from proxymux.pool.exclusive import ExclusiveLeases
from proxymux.pool.following import WHOLE, WorkerShare
from proxymux.pool.leases import Leases
from proxymux.pool.making import PoolMaker, follow, make_leasing
from proxymux.pool.observed import ObservedRelay
from proxymux.pool.places import Places
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
    :param places: of a pool that routes requests, the same as ``leases``; else None.
    """

    decision: Decision
    leases: Leases
    connector: UpstreamSource | None = None
    join: Join | None = None
    join_pool: JoinPool | None = None
    places: Places | None = None


def exclusive_mode(
    settings: PoolSettings,
    codec: Codec,
    driver: Driver,
    events: Events,
    log: Logger,
    clusters: Mapping[str, LiveCluster],
    counter: RequestCounter | None = None,
    share: WorkerShare = WHOLE,
) -> PoolMode:
    """Make the parts for Proxy mode: each client has an upstream of its own.

    :param clusters: of the service, by their names.
    :param counter: not used, as the pool does not see its clients' requests.
    :param share: this process's share of the slots, if targets are clusters.
    """
    targets = () if settings.has_clusters else settings.target
    leasing = make_leasing(settings, targets, pipelined=False, exclusive=True, is_whole=not settings.has_clusters)
    leases = ExclusiveLeases(driver.timers, Connector(driver, settings), leasing)
    follow(settings.target, leases, clusters, share, log)
    observed = ObservedRelay(driver.clock, driver.timers, settings.raw_gap / 1000, events, log)
    return PoolMode(Forward(_addresses(settings)), leases, leases, PipedRelay(driver.join, observed.join, events).join)


def shared_mode(
    settings: PoolSettings,
    codec: Codec,
    driver: Driver,
    events: Events,
    log: Logger,
    clusters: Mapping[str, LiveCluster],
    counter: RequestCounter | None = None,
    share: WorkerShare = WHOLE,
) -> PoolMode:
    """Make the parts for FIFO and Funnel mode: clients share upstreams.

    :param clusters: of the service, by their names.
    :param counter: counts the clients' requests; None counts nothing.
    :param share: this process's share of the slots, if targets are clusters.
    """
    is_fifo = settings.chosen_mode == "fifo"
    pipelined = not codec.gap and (settings.async_ or (is_fifo and codec.pipelines))
    maker = PoolMaker(settings, codec, driver, events, log, counter, pipelined)
    if settings.has_clusters:
        pool = maker.make((), is_whole=False)
        follow(settings.target, pool, clusters, share, log)
    else:
        pool = maker.make(settings.target)
    batches = pipelined or codec.pipelines
    relay = DetachedRelay(pool, driver.join, pipelined, batches, settings.limits.request)
    return PoolMode(Share(_addresses(settings)), pool, join_pool=relay.join)


def _addresses(settings: PoolSettings) -> tuple[Target, ...]:
    return tuple(each.address for each in settings.target)


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
            note_refusal=pool.note_refusal,
        )

    def join(self, connection: Connection, options: JoinOptions, client: Client) -> DetachedExchange:
        return DetachedExchange(self._pool, connection, options, self._join, Pipeline(self._rules)).begin()


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
