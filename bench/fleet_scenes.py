"""What happens to a fleet in simulated time, and what is measured of it: a scene each."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from bench.fleet_course import SERVICE, Counts, Course, Fleet
from bench.fleet_targets import Target
from proxymux.core.balancing import make_balancer
from proxymux.core.cluster_spec import Policy, parse_cluster
from proxymux.core.health import Health, HealthRules
from proxymux.core.member import Member, parse_entry

#: Keys whose places are compared.
KEYS: Final = 10_000
#: A target that is back has its share when it gets so much of it.
ENOUGH: Final = 0.75
#: Seconds for which the return of a target is watched; a check may be 20 seconds away.
_WATCHED: Final = 45
#: Seconds between two looks at the live connections.
_LOOK: Final = 1.0


class Size(NamedTuple):
    """How large a fleet is.

    :param instances: of proxymux.
    :param targets: of its cluster.
    :param rate: clients a second, for all instances.
    :param seconds: of the steady part of each scene.
    """

    instances: int
    targets: int
    rate: float
    seconds: float


class Spread(NamedTuple):
    """How the load spreads over the targets: the most that one of them has, to the mean.

    :param given: of the connections that were given.
    :param live: of those that live, on the average over time.
    """

    given: float
    live: float


class Outage(NamedTuple):
    """What a dead target costs, and its return.

    :param quiet: seconds from its death until the last client was sent there in vain.
    :param counts: of the connects between its death and its return.
    :param back: seconds from its return until it gets its share.
    :param flood: the most that it gets in a second after its return, to its share.
    """

    quiet: float
    counts: Counts
    back: float
    flood: float


def opened(size: Size, options: str, seed: int) -> Fleet:
    """A fleet that has had clients for long enough to be steady."""
    fleet = Fleet(Course(seed), size.instances, options, size.rate)
    fleet.announce(fleet.add_targets(size.targets))
    fleet.open()
    fleet.course.run(5 * SERVICE)
    return fleet


def spread(fleet: Fleet, targets: Sequence[Target], seconds: float) -> Spread:
    """Let time pass, and look how the load spreads over some targets meanwhile."""
    before = [target.given for target in targets]
    looks = []
    for _ in range(round(seconds / _LOOK)):
        fleet.course.run(_LOOK)
        looks.append(_peak([len(target.live) for target in targets]))
    given = [target.given - was for target, was in zip(targets, before, strict=True)]
    return Spread(_peak(given), statistics.mean(looks))


def at_random(size: Size) -> Spread:
    """The spread of targets that are drawn at random, near enough: the most of so many normal distributions."""
    above = statistics.NormalDist().inv_cdf(1 - 1 / (size.targets + 1))
    given, live = (size.rate * seconds / size.targets for seconds in (size.seconds, SERVICE))
    return Spread(1 + above / math.sqrt(given), 1 + above / math.sqrt(live))


def steady(size: Size, options: str, seed: int) -> Spread:
    """Nothing happens."""
    fleet = opened(size, options, seed)
    return spread(fleet, list(fleet.targets.values()), size.seconds)


def slow(size: Size, options: str, seed: int) -> Spread:
    """One target in ten takes ten times as long.

    :returns: the part of these targets, to what would be theirs if they were like the others.
    """
    fleet = opened(size, options, seed)
    targets = list(fleet.targets.values())
    slows = targets[::10]
    for target in slows:
        target.slowness = 10.0
    before = {target: target.given for target in targets}
    fleet.course.run(size.seconds)

    def part(count: Callable[[Target], int]) -> float:
        return statistics.mean(map(count, slows)) / statistics.mean(map(count, targets))

    return Spread(part(lambda target: target.given - before[target]), part(lambda target: len(target.live)))


def outage(size: Size, options: str, seed: int) -> Outage:
    """A target dies; when twice the steady time has passed it is back."""
    fleet = opened(size, options, seed)
    course, target = fleet.course, next(iter(fleet.targets.values()))
    before = target.given
    course.run(size.seconds)
    usual = (target.given - before) / size.seconds
    died_at = target.asked_at = course.now
    fleet.counts = counts = Counts(lost=target.die())
    course.run(2 * size.seconds)
    fleet.counts = Counts()
    quiet = target.asked_at - died_at
    target.come_back()
    return Outage(quiet, counts, *_return(fleet, target, usual))


def _return(fleet: Fleet, target: Target, usual: float) -> tuple[float, float]:
    """The seconds until a target has its share again, and the most that it gets in a second, to its share.

    :param usual: its share, in connections a second.
    """
    # Long enough for a hundred: that it gets enough is then no chance.
    window = max(1, math.ceil(100 / usual))
    given = [target.given]
    back = math.inf
    for number in range(1, _WATCHED + 1):
        fleet.course.run(1.0)
        given.append(target.given)
        begin = max(0, number - window)
        if back == math.inf and given[number] - given[begin] >= ENOUGH * usual * (number - begin):
            back = float(number)
    most = max(late - early for early, late in itertools.pairwise(given))
    return back, most / usual


def flapping(size: Size, options: str, seed: int) -> Counts:
    """Half of all targets die and come back all the time, each for 1 to 5 seconds."""
    fleet = opened(size, options, seed)
    course = fleet.course
    end = course.now + size.seconds
    fleet.counts = Counts()

    def flap(target: Target) -> None:
        if target.is_up and course.now < end:
            fleet.counts.lost += target.die()
        else:
            target.come_back()
        if course.now < end:
            course.after(course.random.uniform(1.0, 5.0), flap, target)

    for target in list(fleet.targets.values())[::2]:
        course.after(course.random.uniform(0.0, 5.0), flap, target)
    course.run(size.seconds)
    return fleet.counts


def deploy(size: Size, options: str, seed: int) -> tuple[Counts, Spread]:
    """Each target is replaced by a new one: that is announced, the old one is taken back, and ends 5 seconds later.

    Each instance hears of it at some moment of the next 2 seconds, as from a file.
    """
    fleet = opened(size, options, seed)
    fleet.counts = Counts()
    targets = list(fleet.targets.values())
    old = list(targets)
    for batch in range(0, len(old), max(1, len(old) // 10)):
        leaving = old[batch : batch + max(1, len(old) // 10)]
        targets = [target for target in targets if target not in leaving] + fleet.add_targets(len(leaving))
        fleet.announce(targets, within=2.0)
        fleet.course.run(5.0)
        for target in leaving:
            fleet.counts.lost += target.die()
    return fleet.counts, spread(fleet, targets, size.seconds)


def moved(policy: Policy, seed: int) -> tuple[float, float]:
    """The part of the keys that move when one of ten targets is lost, and the part that had belonged to it.

    :returns: the mean over the ten.
    """
    members = [Member(parse_entry(f"10.9.0.{number}:80"), 1, Health(HealthRules()), 0.0) for number in range(10)]
    for member in members:
        member.share = 1.0
    chance = random.Random(seed)
    keys = [chance.randbytes(8) for _ in range(KEYS)]
    balancer = make_balancer(parse_cluster(f"users=127.0.0.1:1;policy={policy}"), chance.random)

    def places(used: Sequence[Member]) -> list[Member | None]:
        balancer.update(members, used)
        return [balancer.choose(key, None) for key in keys]

    before = places(members)
    losses = []
    for lost in members:
        after = places([member for member in members if member is not lost])
        changes = sum(one is not other for one, other in zip(before, after, strict=True))
        losses.append((changes / KEYS, before.count(lost) / KEYS))
    return statistics.mean(part for part, _ in losses), statistics.mean(part for _, part in losses)


def _peak(numbers: Sequence[int]) -> float:
    return max(numbers) / statistics.mean(numbers)
