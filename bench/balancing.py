"""What the choice of a member costs, for each policy and from 1 to 10,000 members.

``python -m bench.balancing`` prints the CPU time of a choice with 10 connections live for each member, as a ratio to
that with one member, and the ratio for a whole new connection, of which all else is taken to cost 80 µs.  Then the time
for a change: the first update; a member that goes down, or comes back; one that the source takes away, or adds.  Rounds
are interleaved; each figure is the median.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from proxymux.core.balancing import Balancer, make_balancer
from proxymux.core.cluster_spec import POLICIES, Policy, parse_cluster
from proxymux.core.health import Health, HealthRules
from proxymux.core.member import Member, parse_entry

SIZES: Final = (1, 10, 1000, 10_000)
#: Connections that are live at each choice, for each member; but in all no more than the second.
_LIVE: Final = (10, 20_000)
_KEYS: Final = [f"192.0.2.{number % 256}:{number}".encode() for number in range(4096)]
#: What a new connection costs the router besides (``bench/run.py``, measure ``connect``), in µs.
_CONNECTION: Final = 80.0


def member(number: int) -> Member:
    """A member of its own."""
    entry = parse_entry(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}:80")
    return Member(entry, 1, Health(HealthRules()), 0.0)


class Bench:
    """One policy with a number of members.

    :param size: how many.
    """

    def __init__(self, policy: Policy, size: int) -> None:
        self.members = [member(number) for number in range(size)]
        begun = time.process_time()
        self.balancer: Balancer = make_balancer(
            parse_cluster(f"bench=127.0.0.1:1;policy={policy}"), random.Random(1).random
        )
        self.balancer.update(self.members, self.members)
        #: Seconds for the first update.
        self.first = time.process_time() - begun
        self._live: deque[Member] = deque()
        self._most = min(_LIVE[0] * size, _LIVE[1])
        self.choose(self._most)

    def choose(self, count: int) -> float:
        """Seconds of each of ``count`` choices; a connection begins with each, and the oldest ends."""
        choose, live = self.balancer.choose, self._live
        keys = [_KEYS[number & 4095] for number in range(count)]
        begun = time.process_time()
        for key in keys:
            chosen = choose(key, None)
            assert chosen is not None
            chosen.connections += 1
            live.append(chosen)
            if len(live) > self._most:
                live.popleft().connections -= 1
        return (time.process_time() - begun) / count

    def go_and_come(self) -> float:
        """Seconds for a change: a member goes down, or comes back."""
        return self._changes(lambda: (self.members, self.members[1:] or self.members))

    def leave_and_join(self) -> float:
        """Seconds for a change: the source takes a member away, or adds one."""
        rest = self.members[1:] or self.members
        return self._changes(lambda: (rest, rest))

    def _changes(self, changed: Callable[[], tuple[Sequence[Member], Sequence[Member]]]) -> float:
        begun = time.process_time()
        for _ in range(2):
            self.balancer.update(*changed())
            self.balancer.choose(b"", None)
            self.balancer.update(self.members, self.members)
            self.balancer.choose(b"", None)
        return (time.process_time() - begun) / 4


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="[default: 7]")
    parser.add_argument("--choices", type=int, default=20_000, help="in each round [default: 20000]")
    options = parser.parse_args()
    print(f"{'':<50}{'ms of a change':>21}")
    heads = f"{'policy':<18} {'members':>7} {'µs':>7} {'ratio':>6} {'connection':>10}"
    print(f"{heads} {'first':>9} {'down':>9} {'gone':>9}")
    for policy in POLICIES:
        benches = {size: Bench(policy, size) for size in SIZES}
        taken: dict[int, list[float]] = {size: [] for size in SIZES}
        for _ in range(options.rounds):
            for size, bench in benches.items():
                taken[size].append(bench.choose(options.choices) * 1e6)
        one = statistics.median(taken[1])
        for size, bench in benches.items():
            cost = statistics.median(taken[size])
            whole = (_CONNECTION + cost) / (_CONNECTION + one)
            changes = [bench.first, _median(bench.go_and_come), _median(bench.leave_and_join)]
            shown = " ".join(f"{seconds * 1e3:>9.2f}" for seconds in changes)
            print(f"{policy:<18} {size:>7} {cost:>7.2f} {cost / one:>6.2f} {whole:>10.3f} {shown}", flush=True)


def _median(measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(3))


if __name__ == "__main__":
    main()
