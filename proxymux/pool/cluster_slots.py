"""Has the slots of a pool follow its clusters, and the clusters know how the pool fares with their members."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping

from proxymux.core.pool_target import PoolTarget
from proxymux.core.target import ClusterName, Target
from proxymux.discovery.live_cluster import LiveCluster
from proxymux.pool.following import Offer
from proxymux.pool.leases import SlotLeases


class ClusterSlots:
    """Connects the clusters of a service with the pool that uses some of them.

    It is told of the pool's connects and requests, as a :class:`~proxymux.pool.health_reports.TargetHealth`.

    :param clusters: of the service, by their names.
    :param leases: of the pool; its ``following`` names those that the pool uses.
    """

    def __init__(self, clusters: Mapping[str, LiveCluster], leases: SlotLeases) -> None:
        self._leases = leases
        names = leases.following.clusters if leases.following is not None else ()
        self._clusters = {name: clusters[name.name] for name in names}
        for name, cluster in self._clusters.items():
            cluster.watchers.append(functools.partial(self._changed, name))
            cluster.counted = self._counted

    def _changed(self, name: ClusterName) -> None:
        cluster, following = self._clusters[name], self._leases.following
        assert following is not None
        spec = cluster.spec
        offers = [
            Offer(PoolTarget(member.address, spec.tls), spec.connections or 1, member.is_used)
            for member in cluster.cluster.members.values()
        ]
        following.changed(name, offers)

    def _counted(self) -> Counter[Target]:
        """How many connections the pool has to each target."""
        return Counter(slot.target for slot in self._leases.leasing.present if slot.is_open)

    # Told by the pool

    def succeeded(self, target: Target) -> None:
        for cluster in self._clusters.values():
            member = None if isinstance(target, ClusterName) else cluster.member_at(target)
            if member is not None:
                cluster.connected(member)

    def failed(self, target: Target, reason: str) -> None:
        for cluster in self._clusters.values():
            member = None if isinstance(target, ClusterName) else cluster.member_at(target)
            if member is not None:
                cluster.connect_failed(member, reason)
