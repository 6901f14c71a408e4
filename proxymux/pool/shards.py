"""Shards: the members of a cluster that places keys, each with a pool of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from proxymux.core.balancing.hashed import LONGEST_REMEMBERED, MOST_REMEMBERED
from proxymux.core.pool_target import PoolTarget
from proxymux.core.target import Address, Target
from proxymux.discovery.live_cluster import LiveCluster
from proxymux.pool.following import SlotsWanted, WorkerShare
from proxymux.pool.pool import Pool

#: Makes the pool of a target with so many slots.
MakePool = Callable[[PoolTarget, int], Pool]


class Shards:
    """The pools of a cluster's members, as these come and go.

    :param make: makes the pool of a member; it is started if the others are.
    :param share: of the slots of each member, this process has its share, and at least one: any key may come here.
    """

    def __init__(self, cluster: LiveCluster, make: MakePool, share: WorkerShare, now: Callable[[], float]) -> None:
        self._cluster = cluster
        self._make = make
        self._slots = slots_of_worker(cluster.spec.connections or 1, share)
        self._now = now
        self._pools: dict[Address, Pool] = {}
        #: Those of members that are gone, while their connections are not.
        self._leaving: list[Pool] = []
        #: Where keys were found, as long as the same members are used.
        self._remembered: dict[bytes, Pool] = {}
        self._is_running = False
        cluster.watchers.append(self._changed)
        cluster.counted = self._counted

    @property
    def pools(self) -> list[Pool]:
        """All of them."""
        return [*self._pools.values(), *self._leaving]

    @property
    def is_divided(self) -> bool:
        """There is more than one member."""
        return len(self._pools) > 1

    @property
    def why_none(self) -> str:
        """Why nobody serves a key, in one line."""
        return f"cluster {self._cluster.spec.name}: {self._cluster.cluster.why_none}"

    def place_of(self, key: bytes) -> Pool | None:
        """The pool of the member that has a key; None if none does."""
        return self._remembered.get(key) or self._find(key)

    def places_of(self, keys: Sequence[bytes]) -> Sequence[Pool] | None:
        """The pools of the members that have some keys; None if nobody has one of them."""
        pools = [*filter(None, map(self._remembered.get, keys))]
        if len(pools) < len(keys):
            pools = [*filter(None, map(self.place_of, keys))]
        return pools if len(pools) == len(keys) else None

    def _find(self, key: bytes) -> Pool | None:
        member = self._cluster.cluster.owner(key, self._now())
        if member is None:
            return None
        pool = self._pools[member.address]
        if len(key) <= LONGEST_REMEMBERED:
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = pool
        return pool

    def first(self) -> Pool | None:
        """The pool of the first member that is used; None if none is."""
        cluster = self._cluster.cluster
        cluster.owner(b"", self._now())  # has it look who is used
        member = next((each for each in cluster.members.values() if each.is_used), None)
        return None if member is None else self._pools[member.address]

    def start(self) -> None:
        """Start all pools."""
        self._is_running = True
        for pool in self.pools:
            pool.start()

    def stop(self) -> None:
        """Stop all pools."""
        self._is_running = False
        for pool in self.pools:
            pool.stop()

    def _changed(self) -> None:
        members = self._cluster.cluster.members
        self._remembered.clear()
        self._leaving = [pool for pool in self._leaving if pool.leasing.present]
        for address in [each for each in self._pools if each not in members]:
            pool = self._pools.pop(address)
            self._leaving.append(pool)
            pool.runner.follow(SlotsWanted(is_whole=True))
        for address in members:
            if address not in self._pools:
                pool = self._pools[address] = self._make(PoolTarget(address, self._cluster.spec.tls), self._slots)
                pool.runner.reports.listener = self
                if self._is_running:
                    pool.start()

    def _counted(self) -> Counter[Target]:
        """How many connections there are to each member."""
        return Counter(slot.target for pool in self.pools for slot in pool.leasing.present if slot.is_open)

    # Told by the pools, as TargetHealth

    def succeeded(self, target: Target) -> None:
        member = self._cluster.member_at(target)  # type: ignore[arg-type]
        if member is not None:
            self._cluster.connected(member)

    def failed(self, target: Target, reason: str) -> None:
        member = self._cluster.member_at(target)  # type: ignore[arg-type]
        if member is not None:
            self._cluster.connect_failed(member, reason)


def slots_of_worker(slots: int, share: WorkerShare) -> int:
    """How many of ``slots`` a worker has: its part, and at least one."""
    return max(1, len(range(share.worker - 1, slots, share.workers)))
