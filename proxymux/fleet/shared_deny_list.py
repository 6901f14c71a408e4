"""Has a service refuse whom the fleet denies: follows the list, and gives it to the service as it changes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from proxymux.core.admission import Network
from proxymux.discovery.etcd.address import parse_etcd_address
from proxymux.discovery.etcd.client import EtcdClient
from proxymux.discovery.etcd.following import Following, FollowListener
from proxymux.fleet.denied import DeniedNetworks
from proxymux.fleet.outage import Outage
from proxymux.net.reactor.twisted_types import Reactor

#: Seconds for each network until a changed list is given to the service again: to take a long one takes a while.
REST: Final = 2e-5
_BEFORE: Final = "nobody is refused by it until it is known"
_AFTER: Final = "the list stays as it was"


class Follows(Protocol):
    """What follows the keys; see :class:`~proxymux.discovery.etcd.following.Following`."""

    def start(self) -> None:
        """Begin to tell."""

    def stop(self) -> None:
        """Tell nothing more."""


class SharedDenyList:
    """Runs beside one service.

    :param name: of where the list is, without user and password.
    :param follow: makes what tells of the keys.
    :param close: ends its connections.
    """

    def __init__(
        self,
        name: str,
        follow: Callable[[FollowListener], Follows],
        close: Callable[[], None],
        clock: IReactorTime,
        log: Logger,
    ) -> None:
        self._following = follow(self)
        self._close = close
        self._clock = clock
        self._log = log
        self._name = f"the deny list at {name}"
        self._denied = DeniedNetworks(self._name, log)
        self._outage = Outage(self._name, _BEFORE, log)
        self._share: Callable[[Iterable[Network]], None] | None = None
        self._is_known = False
        self._is_due = False
        self._resting: IDelayedCall | None = None

    def start(self, service: Any) -> None:
        """Begin to follow the list for a service; it serves before the list is known."""
        self._share = service.deny_list.share
        self._following.start()

    def stop(self, _service: object) -> Deferred[object]:
        """Leave no connection; the service refuses whom it refused last."""
        self._share = None
        self._following.stop()
        self._close()
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        return succeed(None)

    def updated(self, values: Mapping[bytes, bytes], keys: frozenset[bytes]) -> None:
        self._denied.update(values, keys)
        self._is_due = True
        if self._resting is None:
            self._give()
        self.heard()
        if not self._is_known:
            self._is_known = True
            self._outage.meanwhile = _AFTER
            self._log.info("follows {name}; networks: {count}", name=self._name, count=len(self._denied))

    def heard(self) -> None:
        self._outage.ended()

    def failed(self, reason: str) -> None:
        self._outage.noticed(reason)

    def _give(self) -> None:
        self._resting = None
        if self._is_due and self._share is not None:
            self._is_due = False
            self._share(self._denied.networks)
            self._resting = self._clock.callLater(REST * len(self._denied), self._give)


def follow_denied(url: str, reactor: Reactor, clock: IReactorTime, log: Logger) -> SharedDenyList:
    """What follows the deny list at an ``etcd://`` URL; nothing is asked yet.

    :raises BadAddress: if it is none; the text has no password.
    """
    address = parse_etcd_address(url)
    client = EtcdClient(address, reactor, clock)

    def follow(listener: FollowListener) -> Following:
        return Following(client, address.prefixes, clock, lambda: random.uniform(0.5, 1.5), listener)

    return SharedDenyList(str(address), follow, client.close, clock, log)
