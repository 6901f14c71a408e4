"""Places: where the requests of a pool that routes go, each a pool of its own."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Final

from twisted.logger import Logger

from proxymux.core.batch import Batch, Sender
from proxymux.core.codecs import Codec
from proxymux.core.codecs.view import RequestView
from proxymux.core.decision import Forward
from proxymux.core.holding import Hold
from proxymux.core.identity import Client, show
from proxymux.core.outcome import Outcome
from proxymux.core.pool_target import PoolTarget
from proxymux.core.reply_memory import ReplyMemory
from proxymux.core.target import ClusterName, Target
from proxymux.errors import NotHeld
from proxymux.net.connection import PLENTY, Connection
from proxymux.pool.counting import RequestCounter
from proxymux.pool.named_pools import NamedPools, NoPlace
from proxymux.pool.own_use import OwnUseLog
from proxymux.pool.pool import Pool
from proxymux.pool.request_router import RequestRouter
from proxymux.pool.settings import PoolSettings
from proxymux.pool.shards import MakePool, Shards
from proxymux.pool.upstream import UpstreamRules

#: The counts of a pool that are summed up.
STATE: Final = ("cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_login")


class Places:
    """All pools of a service that routes requests.

    It stands in the place of the one pool that other services have: for the clients' exchanges, and for the service.

    :param fixed: the pools of targets and of clusters that place no keys, by what names them.
    :param shards: the clusters that place keys, by their names.
    :param make: makes the pool of an address that a router names.
    """

    def __init__(
        self,
        settings: PoolSettings,
        codec: Codec,
        rules: UpstreamRules,
        fixed: Mapping[PoolTarget, Pool],
        shards: Mapping[str, Shards],
        make: MakePool,
        log: Logger,
    ) -> None:
        self.codec = codec
        self.rules = rules
        self.now = rules.timers.seconds
        self.max_outstanding = settings.max_outstanding
        self.decide_timeout = settings.decide_timeout
        self.own_use = OwnUseLog(self.now, log)
        self.reply_memory = ReplyMemory(settings.max_reply_memory)
        #: Counts the clients' requests; None counts nothing.
        self.counter: RequestCounter | None = None
        #: Decides from now on; set before the first client, if there is a router.
        self.router: RequestRouter
        self.clients = 0
        self._fixed = dict(fixed)
        #: Those of all pools to which no TLS is spoken, but for members, by what a router names.
        self._plain: dict[Target, Pool] = {each.address: pool for each, pool in fixed.items() if each.tls is None}
        self._shards = dict(shards)
        self._first = settings.target[0] if settings.target else None
        self._make = make
        self._named = NamedPools(rules.timers, make, settings.connections_per_target)
        self._log = log

    @property
    def plenty(self) -> int:
        """Bytes that a new client may leave unread before it is suspended: less if there are very many clients."""
        return min(self.max_outstanding, self.reply_memory.share(self.clients, PLENTY))

    @property
    def pools(self) -> list[Pool]:
        """All pools."""
        members = chain.from_iterable(shards.pools for shards in self._shards.values())
        return [*self._fixed.values(), *members, *self._named.pools]

    # Choosing

    @property
    def first_shards(self) -> Shards:
        """The cluster that places the keys of a pool without a router."""
        assert self._first is not None
        assert isinstance(self._first.address, ClusterName)
        return self._shards[self._first.address.name]

    def place_of(self, route: Forward | None, view: RequestView) -> Pool:
        """The place of a request.

        :param route: what a router says; None is nothing.
        :raises NoPlace: if nobody serves it.
        """
        if route is None:
            if self._first is None:
                raise NoPlace("the router names no target, and there is no --target")
            target, tls, key = self._first.address, self._first.tls, None
        else:
            target, tls, key = route.targets[0], route.upstream_tls, route.hash_key
        if tls is None and target in self._plain:
            return self._plain[target]
        if isinstance(target, ClusterName):
            return self._member_of(self._shards[target.name], view.key if key is None else key)
        wanted = PoolTarget(target, tls)
        return self._fixed.get(wanted) or self._named.pool_of(wanted)

    def _member_of(self, shards: Shards, key: bytes | None) -> Pool:
        pool = shards.first() if key is None else shards.place_of(key)
        if pool is None:
            raise NoPlace(shards.why_none)
        return pool

    def spare_alone(self) -> bool:
        """True if one client may take a slot alone now, at some place."""
        return self._named.may_spare or any(pool.spare_alone() for pool in self.pools)

    def report(self, problem: str, client: Client, details: str) -> None:
        """Tell the operator of an error of the router, in one line."""
        self._log.error("{problem} ({client})", problem=problem, client=show(client.address))
        if details:
            self._log.debug("the traceback of this error:", details_below=details)

    # For the service

    def start(self) -> None:
        for pool in self._fixed.values():
            pool.start()
        for shards in self._shards.values():
            shards.start()
        self._named.start()

    def stop(self) -> None:
        for pool in self._fixed.values():
            pool.stop()
        for shards in self._shards.values():
            shards.stop()
        self._named.stop()

    def lines(self) -> list[str]:
        counts = " ".join(f"{name} {value:g}" for name, value in self.state().items())
        own = [line for pool in self.pools for line in pool.own_use.lines()]
        return [counts, *self.own_use.lines(), *own]

    def state(self) -> dict[str, float]:
        states = [pool.state() for pool in self.pools]
        total = {name: sum(each[name] for each in states) for name in STATE}
        total["cl_active"] = max(0, self.clients - total["cl_waiting"])
        total["maxwait"] = max((each["maxwait"] for each in states), default=0.0)
        return total

    @property
    def holds(self) -> Places:
        """What holds the targets."""
        return self

    def hold(self, target: Target) -> bool:
        pools = self._pools_with(target)
        if not pools:
            raise NotHeld(f"{target} is none of the pool's targets")
        are_new = [pool.runner.hold(target) for pool in pools]
        return any(are_new)

    def release(self, target: Target) -> bool:
        were_held = [pool.runner.release(target) for pool in self._pools_with(target)]
        return any(were_held)

    def show(self) -> list[Hold]:
        found: dict[str, Hold] = {}
        for hold in chain.from_iterable(pool.runner.show() for pool in self.pools):
            before = found.get(hold.target, hold._replace(waiting=0))
            found[hold.target] = Hold(hold.target, max(hold.seconds, before.seconds), hold.waiting + before.waiting)
        return list(found.values())

    def _pools_with(self, target: Target) -> list[Pool]:
        return [pool for pool in self.pools if any(slot.target == target for slot in pool.leasing.present)]

    # For the clients' exchanges, as SharedUpstreams

    def joined(self) -> None:
        self.clients += 1

    def left(self) -> None:
        self.clients -= 1

    def submit(self, batch: Batch, sender: Sender) -> None:
        batch.lane.place.submit(batch, sender)

    def follow(self, batch: Batch, before: Batch, sender: Sender) -> bool:
        return batch.lane.place.follow(batch, before, sender)

    def withdraw(self, batch: Batch) -> None:
        batch.lane.place.withdraw(batch)

    def requeue(self, batch: Batch) -> None:
        batch.lane.place.requeue(batch)

    def hand_over(self, batch: Batch) -> Connection:
        return _pool_of(batch).hand_over(batch)

    def returned(self, batch: Batch) -> None:
        _pool_of(batch).returned(batch)

    def note_refusal(self, name: str, problem: str) -> None:
        """Tell of a request that was refused for want of an upstream."""
        if self.counter is not None:
            self.counter.requests(Outcome.PROTOCOL_ERROR.value, 1)
        self.own_use.note_refusal(name, problem)


def _pool_of(batch: Batch) -> Pool:
    pool = batch.lane.place
    assert isinstance(pool, Pool)
    return pool
