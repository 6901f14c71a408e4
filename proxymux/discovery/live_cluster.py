"""A cluster that runs: follows its source, has its members checked, and chooses among them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, Protocol

from twisted.logger import Logger

from proxymux.core.balancing import Balancer
from proxymux.core.cluster import MOST_MEMBERS, Cluster
from proxymux.core.cluster_spec import ClusterSpec
from proxymux.core.member import Entry, Member
from proxymux.core.target import Address, Target
from proxymux.core.upstream_tls import UpstreamTls
from proxymux.core.wheel import Timer
from proxymux.discovery.source import Source
from proxymux.discovery.static import StaticSource
from proxymux.net.timers import Timers

#: Seconds between two reports that the source of a cluster fails, at least.
_QUIET: Final = 60.0


#: Tells other processes of the end of a check: the cluster's name, the target, and why it has failed, or None.
ShareCheck = Callable[[str, str, "str | None"], None]


class MemberChecks(Protocol):
    """Checks the members of a cluster: a :class:`~proxymux.discovery.checker.Checker`."""

    def members_changed(self, members: Iterable[Member]) -> None:
        """Check these members from now on, and no others."""

    def went_down(self, member: Member) -> None:
        """A member is down for another reason than a check."""

    def stop(self) -> None:
        """Check no more."""


class LiveCluster:
    """One cluster of a service.

    :param source: where its members come from.
    :param timers: the clock, and the timers for members that come back by themselves.
    """

    def __init__(self, spec: ClusterSpec, source: Source, balancer: Balancer, timers: Timers, log: Logger) -> None:
        self.spec = spec
        self.cluster = Cluster(spec, balancer, self._tell)
        self._source = source
        self._timers = timers
        self._now = timers.seconds
        self._log = log
        #: Checks the members; None if nobody does.
        self.checks: MemberChecks | None = None
        #: This process checks.  Those that only check what is down each do so for themselves.
        self.is_checking = True
        #: Tells other processes what is found here; None where there are none.
        self.share: ShareCheck | None = None
        #: Counts the connections to each target, where the members do not; None where they do.
        self.counted: Callable[[], Mapping[Target, int]] | None = None
        #: Called when members have come or gone, or others are used.
        self.watchers: list[Callable[[], None]] = []
        self._timer: Timer | None = None
        #: When the timer ends.
        self._due = math.inf
        #: When the source was heard last, or asked first.
        self._heard_at = timers.seconds()
        self._reported_at = -math.inf

    # For the service

    def check(self) -> None:
        """Look whether the source can be used, as far as that can be said without a network.

        :raises BadAddress: if it cannot.
        """
        self._source.check()

    def start(self) -> None:
        """Follow the source."""
        self._heard_at = self._now()
        self._source.start(self)

    def look(self) -> None:
        """Have the source look for changes now."""
        self._source.look()

    def stop(self) -> None:
        """Follow the source no more, and check nobody."""
        self._source.stop()
        if self.checks is not None:
            self.checks.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def age(self) -> float:
        """Seconds since the source was heard last, or since it was asked first; 0 for one that cannot change."""
        if isinstance(self._source, StaticSource):
            return 0.0
        return self._now() - self._heard_at

    def drain(self, address: Address, is_drained: bool) -> bool:
        """Have what is, or will be, the member of that address get nothing new, or as before.

        :returns: False if it is so already.
        """
        is_new = self.cluster.drain(address, is_drained, self._now())
        if is_new:
            self._tell(f"cluster {self.spec}: {address} {'is drained' if is_drained else 'is used again'}")
            self._changed()
        return is_new

    def show(self) -> list[dict[str, Any]]:
        """The members, fit for JSON."""
        shown = self.cluster.show()
        if self.counted is not None:
            counts = self.counted()
            for each, address in zip(shown, self.cluster.members, strict=True):
                each["connections"] = counts.get(address, 0)
        return shown

    # For connects, as TargetCluster

    @property
    def is_known(self) -> bool:
        return self.cluster.is_known

    @property
    def why_none(self) -> str:
        return self.cluster.why_none

    @property
    def tls(self) -> UpstreamTls | None:
        return self.spec.tls

    def member_at(self, address: Address) -> Member | None:
        return self.cluster.members.get(address)

    def expect(self, address: Address) -> Member | None:
        return self.cluster.expect(address)

    def has_any_but(self, refused: Collection[Member]) -> bool:
        return any(member not in refused for member in self.cluster.used)

    def choose(self, key: bytes, tried: Collection[Member]) -> Member | None:
        return self.cluster.choose(key, self._now(), tried)

    def connected(self, member: Member) -> None:
        self.cluster.succeeded(member)

    def connect_failed(self, member: Member, reason: str) -> None:
        changed = self.cluster.failed(member, reason, self._now())
        if self.checks is not None and not member.health.is_up:
            self.checks.went_down(member)
        self._noted(changed)

    # For the checks

    def check_here(self, is_here: bool) -> None:
        """Check the members in this process from now on, or leave that to another one."""
        if self.spec.check is not None and self.is_checking is not is_here:
            self.is_checking = is_here
            if self.checks is not None:
                self.checks.members_changed(self.cluster.members.values() if is_here else ())

    def checked(self, member: Member, problem: str | None) -> None:
        """Take note of the end of a check that was made here, and have other processes know.

        :param problem: why it has failed, in one line; None if it has passed.
        """
        if self.share is not None and self.spec.check is not None:
            self.share(self.spec.name, str(member.address), problem)
        self.take_result(member, problem)

    def take_result(self, member: Member, problem: str | None) -> None:
        """Take note of the end of a check, wherever it was made."""
        self._noted(self.cluster.checked(member, problem, self._now()))

    # Called by the source

    def changed(self, entries: tuple[Entry, ...]) -> None:
        self._note_heard()
        if len(entries) > MOST_MEMBERS:
            self._log.warn(
                "cluster {name}: of {count} targets only the first {most} are used",
                name=self.spec.name,
                count=len(entries),
                most=MOST_MEMBERS,
            )
        before = set(self.cluster.members)
        if not self.cluster.update(entries, self._now()):
            return
        members = self.cluster.members
        self._log.info(
            "cluster {name}: {count} targets, {added} added, {removed} removed",
            name=self.spec.name,
            count=len(members),
            added=len(members.keys() - before),
            removed=len(before - members.keys()),
        )
        self._changed()

    def heard(self) -> None:
        self._note_heard()

    def failed(self, reason: str) -> None:
        if self._now() >= self._reported_at + _QUIET:
            self._reported_at = self._now()
            self._log.warn(
                "cluster {name}: {reason}; its {count} targets stay",
                name=self.spec.name,
                reason=reason,
                count=len(self.cluster.members),
            )

    def _note_heard(self) -> None:
        self._heard_at = self._now()
        self._reported_at = -math.inf

    # Changes

    def _tell(self, line: str) -> None:
        self._log.info("{line}", line=line)

    def _noted(self, changed: bool) -> None:
        """Go on after the cluster has taken note of something.

        :param changed: other members are used than before; else it may want to look at them soon.
        """
        if changed:
            self._changed()
        elif self.cluster.look_at < self._due:
            self._set_timer()

    def _changed(self) -> None:
        """Have all know that members have come or gone, or others are used."""
        if self.checks is not None and self.is_checking:
            self.checks.members_changed(self.cluster.members.values())
        self._set_timer()
        for watcher in self.watchers:
            watcher()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = self.cluster.look_at
        if self._due < math.inf:
            self._timer = self._timers.after(max(0.0, self._due - self._now()), self._time_passed)

    def _time_passed(self) -> None:
        self._timer, self._due = None, math.inf
        self.cluster.look(self._now())
        self._changed()
