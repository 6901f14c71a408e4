"""The clusters of a service, by their names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from proxymux.core.target import Address, parse_target
from proxymux.discovery.live_cluster import LiveCluster, ShareCheck
from proxymux.errors import BadAddress, ConfigError, NoMember


class Clusters(Mapping[str, LiveCluster]):
    """The clusters of a service.

    :param clusters: in the order of the settings.
    """

    def __init__(self, clusters: Mapping[str, LiveCluster]) -> None:
        self._clusters = dict(clusters)

    def __getitem__(self, name: str) -> LiveCluster:
        return self._clusters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._clusters)

    def __len__(self) -> int:
        return len(self._clusters)

    # For the service

    def check(self) -> None:
        """Look whether the sources can be used, as far as that can be said without a network.

        :raises ConfigError: if one cannot.
        """
        for name, cluster in self._clusters.items():
            try:
                cluster.check()
            except BadAddress as problem:
                raise ConfigError("--cluster", f"{name}: {problem}") from None

    def start(self) -> None:
        """Follow the sources."""
        for cluster in self.values():
            cluster.start()

    def look(self) -> None:
        """Have the sources look for changes now, as the operator has asked for a reload."""
        for cluster in self.values():
            cluster.look()

    def stop(self) -> None:
        """Follow the sources no more."""
        for cluster in self.values():
            cluster.stop()

    def hold(self, address: Address, is_held: bool) -> None:
        """Take note that what is new for an address waits, or does so no longer."""
        for cluster in self.values():
            cluster.cluster.hold(address, is_held)

    # Checks

    def check_here(self, is_here: bool) -> None:
        """Check the members in this process from now on, or leave that to another one."""
        for cluster in self.values():
            cluster.check_here(is_here)

    def share_checks(self, share: ShareCheck) -> None:
        """Have other processes know what is found here."""
        for cluster in self.values():
            cluster.share = share

    def checked_elsewhere(self, results: Iterable[Sequence[Any]]) -> None:
        """Take note of what another process has found.

        :param results: of each check the cluster's name, the target, and why it has failed, or None.
        """
        for name, target, problem in results:
            cluster = self._clusters.get(name)
            member = None if cluster is None else cluster.expect(parse_target(target))
            if cluster is not None and member is not None:
                cluster.take_result(member, problem)

    def condemn(self, failing: Iterable[Sequence[Any]]) -> None:
        """Have members be down, as other processes have found before this one was there.

        :param failing: of each the cluster's name, the target, and why its last check has failed.
        """
        for name, *result in failing:
            if name in self._clusters:
                self.checked_elsewhere([(name, *result)] * self._clusters[name].spec.health.fall)

    # For the operator

    def find(self, name: str, target: str) -> LiveCluster:
        """Return the cluster of that name, which has the member ``target``, or has had one that is drained or held.

        :raises BadAddress: if ``target`` is no address.
        :raises NoMember: if there is no such cluster, or it has no such member.
        """
        address = parse_target(target)
        cluster = self._clusters.get(name)
        if cluster is None:
            raise NoMember(f"there is no cluster {name}; there are: {', '.join(self) or 'none'}")
        if not cluster.cluster.knows(address):
            raise NoMember(f"{address} is no target of the cluster {name}")
        return cluster

    def show(self) -> dict[str, list[dict[str, Any]]]:
        """The members of each, fit for JSON."""
        return {name: cluster.show() for name, cluster in self.items()}

    def ages(self) -> dict[str, float]:
        """Seconds since the source of each was heard last."""
        return {name: round(cluster.age, 3) for name, cluster in self.items()}
