"""A fleet in simulated time: instances with a cluster each, the targets behind them, and clients that connect.

The cluster, its balancer and the health of its members are those that proxymux runs; what is made here is the world
around them.  A connect tries members as :class:`proxymux.net.connecting.Connecting` does.  What it leaves out: a target
accepts or refuses at once, and the instances share no processor.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.fleet_targets import Connection, Target
from proxymux.core.balancing import make_balancer
from proxymux.core.cluster import Cluster
from proxymux.core.cluster_spec import parse_cluster
from proxymux.core.decision import RETRIES
from proxymux.core.health import JITTER
from proxymux.core.member import Entry, Member
from proxymux.core.target import Address, parse_target
from proxymux.net.attempts import PAUSE
from proxymux.net.member_attempts import MEMBERS_A_ROUND

#: Seconds that a connection lasts, on the average; they are distributed exponentially.
SERVICE: Final = 2.0
#: How many addresses clients come from.
CLIENTS: Final = 10_000


class Course:
    """What happens when: a clock that goes from event to event.

    :param seed: of the only source of chance.
    """

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self._events: list[tuple[float, int, Callable[..., object], tuple[object, ...]]] = []
        self._number = 0

    def after(self, seconds: float, function: Callable[..., object], *arguments: object) -> None:
        """Call ``function(*arguments)`` in so many seconds."""
        self._number += 1
        heapq.heappush(self._events, (self.now + seconds, self._number, function, arguments))

    def run(self, seconds: float) -> None:
        """Let so many seconds pass."""
        end = self.now + seconds
        events = self._events
        while events and events[0][0] <= end:
            self.now, _, function, arguments = heapq.heappop(events)
            function(*arguments)
        self.now = end


@dataclass
class Counts:
    """What has become of the connects.

    :param connects: how many clients have wanted one.
    :param first_failed: of how many of them the first attempt failed.
    :param failed: how many were given up.
    :param lost: connections that died with their targets.
    :param longest: seconds that the longest connect took which succeeded.
    """

    connects: int = 0
    first_failed: int = 0
    failed: int = 0
    lost: int = 0
    longest: float = 0.0


class Instance:
    """One instance of proxymux: a cluster of its own, and what it has seen of the targets itself."""

    def __init__(self, fleet: Fleet, options: str) -> None:
        self.fleet = fleet
        spec = parse_cluster(f"users=127.0.0.1:1{options}")
        self.cluster = Cluster(spec, make_balancer(spec, fleet.course.random.random), _say_nothing)
        self._checked: set[Member] = set()

    def update(self, entries: Iterable[Entry]) -> None:
        """Take what the source says."""
        self.cluster.update(entries, self.fleet.course.now)
        interval = self.cluster.spec.health.interval
        if self.cluster.spec.check is not None:
            for member in self.cluster.members.values():
                if member not in self._checked:
                    self._checked.add(member)
                    self.fleet.course.after(self.fleet.course.random.random() * interval, self._check, member)

    def failed(self, member: Member) -> None:
        """Take note that a connect has failed."""
        self.cluster.failed(member, "refused", self.fleet.course.now)
        if not member.health.is_up and self.cluster.spec.checks_ejected and member not in self._checked:
            self._checked.add(member)
            self._check_when_due(member)

    def _check_when_due(self, member: Member) -> None:
        self.fleet.course.after(member.health.retry_at - self.fleet.course.now, self._check, member)

    def _check(self, member: Member) -> None:
        course, cluster = self.fleet.course, self.cluster
        if cluster.members.get(member.address) is not member:
            self._checked.discard(member)
            return
        cluster.checked(member, None if self.fleet.targets[member.address].is_up else "refused", course.now)
        if cluster.spec.check is not None:
            pause = cluster.spec.health.interval * (1 + JITTER * (2 * course.random.random() - 1))
            course.after(pause, self._check, member)
        elif member.health.is_up:
            self._checked.discard(member)
        else:
            self._check_when_due(member)


class Connect:
    """One client's connect: rounds over the members of the cluster, until one takes it."""

    __slots__ = ("_began_at", "_instance", "_key", "_rounds_left", "_tried")

    def __init__(self, instance: Instance, key: bytes) -> None:
        self._instance = instance
        self._key = key
        self._began_at = instance.fleet.course.now
        self._rounds_left = 1 + RETRIES
        #: Members that were tried, and are again once all were.
        self._tried: set[Member] = set()

    def go_on(self) -> None:
        """Try the members, each when the one before has refused; then wait for the next round."""
        instance = self._instance
        fleet, cluster = instance.fleet, instance.cluster
        is_first = self._rounds_left == 1 + RETRIES
        self._rounds_left -= 1
        for number in range(MEMBERS_A_ROUND):
            member = cluster.choose(self._key, fleet.course.now, self._tried)
            if member is None and not number:
                self._tried.clear()
                member = cluster.choose(self._key, fleet.course.now, ())
            if member is None:
                break
            if fleet.serves(member):
                cluster.succeeded(member)
                fleet.counts.longest = max(fleet.counts.longest, fleet.course.now - self._began_at)
                return
            fleet.counts.first_failed += is_first and not number
            self._tried.add(member)
            instance.failed(member)
        if self._tried and self._rounds_left and cluster.used:
            fleet.course.after(PAUSE, self.go_on)
        else:
            fleet.counts.failed += 1


@dataclass
class Fleet:
    """Instances before targets, and clients that come to any of the instances.

    :param size: how many instances.
    :param options: of the cluster, as after the source of a ``--cluster``.
    :param rate: clients a second, at random moments.
    """

    course: Course
    size: int
    options: str
    rate: float
    targets: dict[Address, Target] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self._instances = [Instance(self, self.options) for _ in range(self.size)]
        self._keys = [f"10.{number >> 8}.{number & 255}.1".encode() for number in range(CLIENTS)]

    @property
    def instances(self) -> Sequence[Instance]:
        return self._instances

    def add_targets(self, count: int) -> list[Target]:
        """Have more targets listen; no instance knows of them yet."""
        first = len(self.targets)
        added = [
            Target(parse_target(f"10.9.{number >> 8}.{number & 255}:80")) for number in range(first, first + count)
        ]
        self.targets.update((target.address, target) for target in added)
        return added

    def announce(self, targets: Iterable[Target], within: float = 0.0) -> None:
        """Have the source name these targets.

        :param within: seconds in which the instances hear of it, each at a moment of its own.
        """
        entries = [Entry(target.address) for target in targets]
        for instance in self._instances:
            if within:
                self.course.after(self.course.random.random() * within, instance.update, entries)
            else:
                instance.update(entries)

    def open(self) -> None:
        """Let the first client come; after each, another one comes."""
        self.course.after(self.course.random.expovariate(self.rate), self._arrive)

    def serves(self, member: Member) -> bool:
        """Connect to the target of a member; True if it serves the client."""
        target = self.targets[member.address]
        target.asked_at = self.course.now
        if not target.is_up:
            return False
        target.given += 1
        member.connections += 1
        connection = Connection(target, member)
        self.course.after(self.course.random.expovariate(1 / (SERVICE * target.slowness)), connection.end)
        return True

    def _arrive(self) -> None:
        chance = self.course.random
        self.counts.connects += 1
        Connect(chance.choice(self._instances), chance.choice(self._keys)).go_on()
        self.open()


def _say_nothing(line: str) -> None:
    """Log nothing."""
