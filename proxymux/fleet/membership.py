"""The membership of this process in a fleet: a key under a lease, which goes when the process does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from proxymux.errors import EtcdError
from proxymux.fleet.instance_record import InstanceRecord
from proxymux.fleet.keys import instance_key
from proxymux.fleet.known_instances import KnownInstances
from proxymux.fleet.outage import Outage
from proxymux.fleet.store import Store

#: Seconds after which an instance that was killed is gone.
TTL: Final = 15
#: Seconds from one sign of life to the next: two may get lost.
INTERVAL: Final = 5.0
#: Seconds after which a record in which only the number of connections differs is written again.
REFRESH: Final = 10.0
#: Seconds after which a record is written again in any case: somebody may have deleted the key.
REWRITE: Final = 60.0
#: Seconds that leaving may take.
LEAVE: Final = 2.0


class FleetService(Protocol):
    """A service of the instance."""

    @property
    def service_name(self) -> str:
        """Its name in the access log."""

    @property
    def addresses(self) -> Sequence[str]:
        """Where it listens."""

    @property
    def connections(self) -> int:
        """Clients now."""

    @property
    def is_draining(self) -> bool:
        """It accepts no more."""

    @property
    def admin_address(self) -> str | None:
        """Where its admin endpoint listens; None if it has none."""


class Membership:
    """Keeps the record of this process under its key, from the start of its first service to the end of its last.

    :param store: the keys of the fleet.
    :param identity: the record, as far as it does not change.
    :param clock: measures the intervals.
    """

    def __init__(self, store: Store, identity: InstanceRecord, clock: IReactorTime, log: Logger) -> None:
        self._store = store
        self._identity = identity
        self._clock = clock
        self._log = log
        self._outage = Outage(f"the fleet at {store.name}", "it is tried again, and clients are served", log)
        self._known = KnownInstances(store, clock)
        self._services: list[FleetService] = []
        self._lease: int | None = None
        self._written: InstanceRecord | None = None
        self._written_at = 0.0
        self._call: IDelayedCall | None = None
        self._turning: Deferred[None] | None = None

    @property
    def record(self) -> InstanceRecord:
        """What this process says of itself now."""
        services = self._services
        return replace(
            self._identity,
            name=", ".join(dict.fromkeys(each.service_name for each in services)),
            addresses=tuple(address for each in services for address in each.addresses),
            connections=sum(each.connections for each in services),
            draining=any(each.is_draining for each in services),
            admin=next((each.admin_address for each in services if each.admin_address is not None), None),
            pid=os.getpid(),  # a daemon has another than the process that has made this
        )

    def members(self) -> Deferred[list[InstanceRecord]]:
        """The instances of the fleet, this one among them, as they were known a few seconds ago."""
        return self._known.members()

    def start(self, service: FleetService) -> None:
        """Have a service be part of the instance, which joins the fleet with the first of them."""
        self._services.append(service)
        if len(self._services) == 1:
            self._call = self._clock.callLater(0, self._turn)

    def stop(self, service: FleetService) -> Deferred[object]:
        """Undo :meth:`start`: with its last service the instance leaves the fleet at once.

        :returns: fires when it has, or after :data:`LEAVE` seconds.
        """
        if service not in self._services:
            return succeed(None)
        self._services.remove(service)
        if self._services:
            return succeed(None)
        if self._call is not None:
            self._call.cancel()
            self._call = None
        turning, self._turning = self._turning, None
        if turning is not None:
            turning.cancel()
        lease, self._lease, self._written = self._lease, None, None
        revoked: Deferred[None] = succeed(None) if lease is None else self._store.revoke(lease)
        self._known.stop()
        return revoked.addTimeout(LEAVE, self._clock).addBoth(lambda _: self._store.close())

    def _turn(self) -> None:
        self._call = None
        self._turning = turning = Deferred.fromCoroutine(self._keep())
        turning.addCallbacks(self._outage.ended, self._failed)
        turning.addErrback(lambda failure: self._log.failure("the fleet", failure)).addCallback(self._turned)

    def _failed(self, failure: Failure) -> None:
        if self._services:  # otherwise it was cancelled, to leave
            failure.trap(EtcdError)
            self._outage.noticed(str(failure.value))

    def _turned(self, _: None) -> None:
        self._turning = None
        if self._services:
            self._call = self._clock.callLater(INTERVAL, self._turn)

    async def _keep(self) -> None:
        """Renew the lease, and write the record if that is due."""
        if self._lease is not None and not await self._store.keep_alive(self._lease):
            self._lease = None
        if self._lease is None:
            self._lease = await self._store.grant(TTL)
            self._written = None
        record = self.record
        if self._is_due(record):
            is_new = self._written is None
            await self._store.put(instance_key(record.id), record.to_value(), self._lease)
            self._written, self._written_at = record, self._clock.seconds()
            if is_new:
                self._log.info("is {id} of the fleet at {name}", id=record.id, name=self._store.name)

    def _is_due(self, record: InstanceRecord) -> bool:
        if self._written is None:
            return True
        age = self._clock.seconds() - self._written_at
        if age >= REWRITE or record != replace(self._written, connections=record.connections):
            return True
        return age >= REFRESH and record != self._written
