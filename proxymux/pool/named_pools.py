"""The pools of addresses that a router names, beside the targets of the command line."""

from __future__ import annotations

from typing import Final

from proxymux.core.pool_target import PoolTarget
from proxymux.core.wheel import Timer
from proxymux.net.timers import Timers
from proxymux.pool.pool import Pool
from proxymux.pool.shards import MakePool

#: The most addresses to which requests may go at once.
MOST_NAMED: Final = 1000
#: Seconds after which an address is forgotten if nothing goes there, and seconds between two looks.
UNUSED: Final = 60.0
_INTERVAL: Final = 5.0


class NoPlace(Exception):
    """Nobody serves a request; the text says why."""


class NamedPools:
    """Makes the pool of an address when it is named, and forgets it when it is not used any more.

    :param timers: for the looks at what is not used.
    :param make: makes a pool.
    :param slots: how many each pool has.
    """

    def __init__(self, timers: Timers, make: MakePool, slots: int) -> None:
        self._timers = timers
        self._make = make
        self._slots = slots
        self._pools: dict[PoolTarget, Pool] = {}
        #: Since when there has been each of them, in the clock's seconds.
        self._since: dict[PoolTarget, float] = {}
        #: Those that were forgotten in the last minute, and when: what was on its way to them goes there still.
        self._forgotten: dict[Pool, float] = {}
        self._timer: Timer | None = None

    @property
    def pools(self) -> list[Pool]:
        """Those of the addresses that are used."""
        return list(self._pools.values())

    @property
    def may_spare(self) -> bool:
        """True if one client may take a slot alone, and leave another to the rest."""
        return self._slots > 1

    def start(self) -> None:
        """Begin to look for what is not used."""
        self._timer = self._timers.after(_INTERVAL, self._look)

    def stop(self) -> None:
        """Close all connections."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for pool in (*self._pools.values(), *self._forgotten):
            pool.stop()

    def pool_of(self, target: PoolTarget) -> Pool:
        """The pool of an address.

        :raises NoPlace: if there are :data:`MOST_NAMED` others.
        """
        pool = self._pools.get(target)
        if pool is not None:
            return pool
        if len(self._pools) >= MOST_NAMED:
            raise NoPlace(f"the router names more than {MOST_NAMED} addresses beside the targets")
        pool = self._pools[target] = self._make(target, self._slots)
        self._since[target] = self._timers.seconds()
        pool.start()
        return pool

    def _look(self) -> None:
        self._timer = self._timers.after(_INTERVAL, self._look)
        now = self._timers.seconds()
        latest = now - UNUSED
        for target, pool in tuple(self._pools.items()):
            if max(self._since[target], pool.used_at) <= latest and not pool.is_busy:
                del self._pools[target], self._since[target]
                self._forgotten[pool] = now
                pool.stop()
        for pool, since in tuple(self._forgotten.items()):
            if since <= latest and not pool.is_busy:
                del self._forgotten[pool]
                pool.stop()
