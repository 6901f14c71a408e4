"""Makes the pools of a service, with their leasing and what follows their clusters."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from twisted.logger import Logger

from proxymux.core.codecs import Codec
from proxymux.core.events import Events
from proxymux.core.leasing import Leasing
from proxymux.core.pool_target import PoolTarget
from proxymux.core.target import ClusterName
from proxymux.discovery.live_cluster import LiveCluster
from proxymux.net.connector import Connector
from proxymux.net.driver import Driver
from proxymux.pool.cluster_slots import ClusterSlots
from proxymux.pool.counting import CountedPool, RequestCounter
from proxymux.pool.following import TargetFollowing, WorkerShare
from proxymux.pool.leases import SlotLeases
from proxymux.pool.pool import Pool
from proxymux.pool.settings import PoolSettings


@dataclass(frozen=True, slots=True)
class PoolMaker:
    """Makes pools whose clients share upstreams.

    :param counter: counts the clients' requests; None counts nothing.
    :param pipelined: an upstream may have several batches outstanding, also of different clients.
    """

    settings: PoolSettings
    codec: Codec
    driver: Driver
    events: Events
    log: Logger
    counter: RequestCounter | None
    pipelined: bool

    def make(self, targets: Iterable[PoolTarget], is_whole: bool = True) -> Pool:
        """Make a pool.

        :param targets: one for each slot.
        :param is_whole: these are all; else it is to be told of more.
        """
        driver, settings = self.driver, self.settings
        leasing = make_leasing(settings, targets, pipelined=self.pipelined, exclusive=False, is_whole=is_whole)
        pool = (Pool if self.counter is None else CountedPool)(
            driver.clock,
            driver.timers,
            Connector(driver, settings),
            self.codec,
            leasing,
            self.events,
            self.log,
            driver.call_soon,
            settings,
        )
        if isinstance(pool, CountedPool) and self.counter is not None:
            pool.counter = self.counter
        return pool


def make_leasing(
    settings: PoolSettings, targets: Iterable[PoolTarget], *, pipelined: bool, exclusive: bool, is_whole: bool
) -> Leasing:
    """Make the leasing of a pool.

    :param targets: one for each slot.
    :param is_whole: these are all; else it is to be told of more.
    """
    return Leasing(
        targets,
        pipelined=pipelined,
        exclusive=exclusive,
        queue_limit=settings.queue_limit,
        queue_timeout=settings.queue_timeout,
        jitter=lambda: random.uniform(0.5, 1.5),
        is_whole=is_whole,
    )


def follow(
    targets: Sequence[PoolTarget],
    leases: SlotLeases,
    clusters: Mapping[str, LiveCluster],
    share: WorkerShare,
    log: Logger,
) -> None:
    """Give the slots of a pool to what follows its clusters, if some of its targets are clusters.

    :param clusters: of the service, by their names.
    """
    if any(isinstance(each.address, ClusterName) for each in targets):
        leases.following = following = TargetFollowing(targets, leases.runner, share, log)
        following.start()
        leases.runner.reports.listener = ClusterSlots(clusters, leases)
