"""The mode of a pool that routes requests: by a router of the user's, or by the keys of a cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from twisted.logger import Logger

from proxymux.core.choice import Chooser, ShardChooser
from proxymux.core.codecs import Codec
from proxymux.core.decision import Share
from proxymux.core.events import Events
from proxymux.core.identity import Client
from proxymux.core.pipeline_orders import PipelineRules
from proxymux.core.pool_target import PoolTarget
from proxymux.core.routed_pipeline import RoutedPipeline
from proxymux.core.target import ClusterName
from proxymux.discovery.live_cluster import LiveCluster
from proxymux.net.connection import Connection
from proxymux.net.driver import Driver
from proxymux.net.exchange import JoinOptions
from proxymux.pool.counting import RequestCounter
from proxymux.pool.exchange import DetachedExchange
from proxymux.pool.following import WHOLE, WorkerShare
from proxymux.pool.making import PoolMaker, follow
from proxymux.pool.modes import PoolMode
from proxymux.pool.places import Places
from proxymux.pool.pool import Pool, rules_of
from proxymux.pool.route_chooser import RouteChooser
from proxymux.pool.routed_exchange import RoutedExchange
from proxymux.pool.settings import PoolSettings
from proxymux.pool.shards import Shards, slots_of_worker
from proxymux.session.context import Join


def routed_mode(
    settings: PoolSettings,
    codec: Codec,
    driver: Driver,
    events: Events,
    log: Logger,
    clusters: Mapping[str, LiveCluster],
    counter: RequestCounter | None = None,
    share: WorkerShare = WHOLE,
) -> PoolMode:
    """Make the parts for a pool that routes requests.

    :param clusters: of the service, by their names.
    :param counter: counts the clients' requests; None counts nothing.
    :param share: this process's share of the slots; of each place it has one at least.
    """
    pipelined = settings.async_ or codec.pipelines
    maker = PoolMaker(settings, codec, driver, events, log, counter, pipelined)

    def make(target: PoolTarget, slots: int) -> Pool:
        return maker.make([target] * slots)

    counts = Counter(settings.target)
    wanted = {PoolTarget(ClusterName(name)): 1 for name in clusters} if settings.router is not None else {}
    fixed: dict[PoolTarget, Pool] = {}
    shards: dict[str, Shards] = {}
    for target in {**counts, **wanted}:
        if not isinstance(target.address, ClusterName):
            fixed[target] = make(target, slots_of_worker(counts[target], share))
            continue
        cluster = clusters[target.address.name]
        if cluster.spec.shards:
            shards[target.address.name] = Shards(cluster, make, share, driver.timers.seconds)
        else:
            pool = fixed[target] = maker.make((), is_whole=False)
            follow((target,), pool, clusters, share, log)
    rules = rules_of(settings, driver.clock, driver.timers, codec, driver.call_soon, codec.fence)
    places = Places(settings, codec, rules, fixed, shards, make, log)
    places.counter = counter
    relay = RoutedRelay(places, driver.join, pipelined, settings)
    return PoolMode(Share(tuple(each.address for each in counts)), places, join_pool=relay.join, places=places)


class RoutedRelay:
    """Makes the detached exchanges of the clients of a pool that routes requests.

    :param join: joins a client to an upstream that is reserved for it.
    :param pipelined: an upstream may have several batches outstanding, also of different clients.
    """

    def __init__(self, places: Places, join: Join, pipelined: bool, settings: PoolSettings) -> None:
        self._places = places
        self._join = join
        self._chooser = None if settings.router is not None else ShardChooser(places.codec, places.first_shards)
        self._rules = PipelineRules(
            places.codec,
            pipelined,
            False,
            False,
            places.spare_alone,
            request_limit=settings.limits.request,
            max_outstanding=places.max_outstanding,
            note_refusal=places.note_refusal,
        )

    def join(self, connection: Connection, options: JoinOptions, client: Client) -> DetachedExchange:
        asking: RouteChooser | None = None
        chooser: Chooser | None = self._chooser
        if chooser is None:
            chooser = asking = RouteChooser(self._places, client)
        pipeline = RoutedPipeline(self._rules, chooser)
        return RoutedExchange(self._places, connection, options, self._join, pipeline, asking).begin()
