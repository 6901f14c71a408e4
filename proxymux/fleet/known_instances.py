"""The instances of a fleet: read when somebody asks, and not more often than every few seconds."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from proxymux.fleet.instance_record import InstanceRecord, parse_record
from proxymux.fleet.keys import INSTANCES, instance_name
from proxymux.fleet.store import Store

#: The most instances that are known.
MAX_INSTANCES: Final = 10_000
#: Seconds for which what was read is as good as new.
FRESH: Final = 5.0
#: Seconds that somebody who asks waits for a newer answer than the last.
PATIENCE: Final = 1.0


def read_instances(store: Store) -> Deferred[list[InstanceRecord]]:
    """The instances of a fleet, sorted by their ids; at most :data:`MAX_INSTANCES`."""

    def parse(found: list[tuple[str, bytes]]) -> list[InstanceRecord]:
        return [parse_record(instance_name(key), value) for key, value in sorted(found)[:MAX_INSTANCES]]

    return store.list(INSTANCES).addCallback(parse)


class KnownInstances:
    """The instances of a fleet, for an endpoint that may be asked often.

    While the store does not answer, what was known last is told at once.

    :param store: the keys of the fleet.
    """

    def __init__(self, store: Store, clock: IReactorTime) -> None:
        self._store = store
        self._clock = clock
        self._members: list[InstanceRecord] = []
        self._read_at: float | None = None
        self._is_away = False
        self._reading: Deferred[None] | None = None
        self._waiting: list[Deferred[list[InstanceRecord]]] = []

    def members(self) -> Deferred[list[InstanceRecord]]:
        """What is known; fires within :data:`PATIENCE` seconds."""
        now = self._clock.seconds()
        if self._reading is None and (self._read_at is None or now - self._read_at >= FRESH):
            self._read_at = now
            self._reading = read_instances(self._store).addCallbacks(self._read, self._not_read)
            self._reading.addBoth(self._answered)
        if self._reading is None or self._is_away:
            return succeed(self._members)
        waiting: Deferred[list[InstanceRecord]] = Deferred()
        self._waiting.append(waiting)
        return waiting.addTimeout(PATIENCE, self._clock).addErrback(lambda _: self._members)

    def stop(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()

    def _read(self, members: list[InstanceRecord]) -> None:
        self._members, self._is_away = members, False

    def _not_read(self, _: Failure) -> None:
        self._is_away = True

    def _answered(self, _: object) -> None:
        self._reading = None
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(self._members)
