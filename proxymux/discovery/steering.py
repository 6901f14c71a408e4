"""What an operator does with the targets of a service: hold, release, drain, use again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twisted.logger import Logger

from proxymux.core.holding import Hold
from proxymux.core.target import Address, parse_target
from proxymux.discovery.clusters import Clusters
from proxymux.errors import NotHeld
from proxymux.net.holding import TargetHolds


class Steering:
    """Steers the targets of a service.

    In all methods ``target`` is as routers, tokens, ``--target`` and the sources of clusters name it.  ``cluster`` is
    the name of one that it must belong to; None is any target.  Each raises

    - BadAddress if ``target`` is no address,
    - NoMember if there is no such cluster, or it has no such member.

    :param holds: holds the targets.
    """

    def __init__(self, holds: TargetHolds, clusters: Clusters, log: Logger) -> None:
        self._holds = holds
        self._clusters = clusters
        self._log = log

    @property
    def holds(self) -> list[Hold]:
        """The targets that are held, with how long they have been and who waits."""
        return self._holds.show()

    def hold(self, target: str, cluster: str | None = None) -> bool:
        """Have new clients and pooled requests for a target wait, within the queue's limits, until :meth:`release`.

        Clients that are joined stay so.

        :returns: False if it is held already.
        :raises NotHeld: if it is none of the pool's, or too many are held.
        """
        address = self._address(target, cluster)
        is_new = self._holds.hold(address)
        if is_new:
            self._clusters.hold(address, True)
            self._log.info("holds {target}: what is new for it waits", target=address)
        return is_new

    def release(self, target: str, cluster: str | None = None) -> bool:
        """Let what waits for a target go on.

        :returns: False if it was not held.
        """
        address = self._address(target, cluster)
        waiting = next((hold.waiting for hold in self.holds if hold.target == str(address)), None)
        if waiting is None:
            return False
        self._log.info("released {target}: {count} go on", target=address, count=waiting)
        self._clusters.hold(address, False)
        return self._holds.release(address)

    def drain(self, target: str, cluster: str) -> bool:
        """Have a member of a cluster get nothing new, until :meth:`enable`; what it has goes on.

        :returns: False if it is so already.
        """
        return self._clusters.find(cluster, target).drain(parse_target(target), True)

    def enable(self, target: str, cluster: str) -> bool:
        """Have a member of a cluster that was drained be used again.

        :returns: False if it was not drained.
        """
        return self._clusters.find(cluster, target).drain(parse_target(target), False)

    def steer_as_before(self, held: Iterable[str], drained: Iterable[Sequence[str]]) -> None:
        """Hold and drain what other processes of the service do, before the first client is accepted.

        :param drained: pairs of a cluster's name and a target, which need not be known yet.
        """
        for target in held:
            try:
                self.hold(target)
            except NotHeld as refusal:  # a pool may have no slot for it here, or be configured anew
                self._log.info("not held here: {refusal}", refusal=refusal)
        for name, target in drained:
            if name in self._clusters:
                self._clusters[name].drain(parse_target(target), True)

    def _address(self, target: str, cluster: str | None) -> Address:
        if cluster is not None:
            self._clusters.find(cluster, target)
        return parse_target(target)
