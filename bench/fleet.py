"""Fleets of 10 to 1,000 instances in simulated time, over the balancing and the health that proxymux runs.

``python -m bench.fleet`` prints a table for each scene: how the load spreads; a target that dies and comes back; half
of all targets flapping; a rolling deploy; slow targets; and the keys that move when one of ten targets is lost.  There
is no network and no real clock: the same seed gives the same figures on any machine.  ``bench/fleet_course.py`` says
what is real in it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import fleet_scenes as scenes
from bench.fleet_course import Counts
from bench.fleet_scenes import KEYS, Size, Spread
from proxymux.core.cluster_spec import PLACING, POLICIES, Policy

SIZES: Final = (Size(10, 20, 400.0, 60.0), Size(100, 50, 1500.0, 60.0), Size(1000, 100, 4000.0, 60.0))
SHORT: Final = (Size(10, 10, 100.0, 10.0),)


class _Table(NamedTuple):
    """One scene.

    :param title: says what happens and what the columns are.
    :param rows: the texts of its rows, for a size of the fleet, policies and a seed.
    """

    title: str
    columns: tuple[str, ...]
    rows: Callable[[Size, Sequence[Policy], int], Iterator[tuple[str, ...]]]


def lines(sizes: Iterable[Size], policies: Sequence[Policy], seed: int) -> Iterator[str]:
    """The lines of all tables."""
    sizes = list(sizes)
    for table in _TABLES:
        yield table.title
        yield _line("instances", "targets", "policy", *table.columns)
        for size in sizes:
            for row in table.rows(size, policies, seed):
                yield _line(str(size.instances), str(size.targets), *row)
        yield ""
    yield f"Keys that move when one of ten targets is lost, of {KEYS:,}; and those that it had."
    for policy in PLACING:
        moved, own = scenes.moved(policy, seed)
        yield _line("", "10", policy, f"{moved:.2%}", f"{own:.2%}")


def _line(instances: str, targets: str, policy: str, *cells: str) -> str:
    return f"{instances:>9} {targets:>7}  {policy:<38}" + "".join(f"{cell:>9}" for cell in cells)


def _steady(size: Size, policies: Sequence[Policy], seed: int) -> Iterator[tuple[str, ...]]:
    yield "(each drawn at random)", *_spread(scenes.at_random(size))
    for policy in policies:
        yield policy, *_spread(scenes.steady(size, f";policy={policy}", seed))


def _outage(size: Size, policies: Sequence[Policy], seed: int) -> Iterator[tuple[str, ...]]:
    yield from (_outage_with(size, f";policy={policy}", seed) for policy in policies)
    # The health of a target does not depend on who has chosen it.
    for options in (";health=tcp", ";health=tcp;slow_start=10"):
        yield _outage_with(size, f";policy={policies[0]}{options}", seed)


def _outage_with(size: Size, options: str, seed: int) -> tuple[str, ...]:
    found = scenes.outage(size, options, seed)
    policy = options.removeprefix(";policy=")
    return policy, f"{found.quiet:.1f}", *_failures(found.counts), f"{found.back:.0f}", f"{found.flood:.1f}"


def _flapping(size: Size, policies: Sequence[Policy], seed: int) -> Iterator[tuple[str, ...]]:
    for policy in policies:
        counts = scenes.flapping(size, f";policy={policy}", seed)
        yield policy, *_failures(counts), f"{counts.longest:.1f}"


def _deploy(size: Size, policies: Sequence[Policy], seed: int) -> Iterator[tuple[str, ...]]:
    for policy in policies:
        counts, spread = scenes.deploy(size, f";policy={policy};slow_start=10", seed)
        yield policy, *_failures(counts), *_spread(spread)


def _slow(size: Size, policies: Sequence[Policy], seed: int) -> Iterator[tuple[str, ...]]:
    for policy in policies:
        yield policy, *_spread(scenes.slow(size, f";policy={policy}", seed))


def _spread(spread: Spread) -> tuple[str, str]:
    return f"{spread.given:.2f}", f"{spread.live:.2f}"


def _failures(counts: Counts) -> tuple[str, str]:
    return f"{counts.first_failed / counts.connects:.3%}", str(counts.failed)


_TABLES: Final = (
    _Table("Nothing happens: the most that a target has, to the mean.", ("given", "live"), _steady),
    _Table(
        "A target dies, and is back when twice the time has passed: seconds until the last client is sent there in\n"
        "vain; connects whose first attempt failed, and that failed; seconds until it has its share again; and the\n"
        "most that it then gets in a second, to its share.",
        ("quiet", "first", "failed", "back", "flood"),
        _outage,
    ),
    _Table(
        "Half of all targets die and come back, each for 1 to 5 seconds; and the longest connect, in seconds.",
        ("first", "failed", "longest"),
        _flapping,
    ),
    _Table(
        "All targets are replaced, a tenth every 5 seconds, with slow_start=10; and the spread afterwards.",
        ("first", "failed", "given", "live"),
        _deploy,
    ),
    _Table(
        "One target in ten takes ten times as long: what these have, to what they would have if they were like others.",
        ("given", "live"),
        _slow,
    ),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="[default: 1]")
    parser.add_argument("--instances", type=int, nargs="+", help="only fleets of these sizes [default: 10 100 1000]")
    parser.add_argument("--policy", choices=POLICIES, nargs="+", default=POLICIES, help="[default: all]")
    parser.add_argument(
        "--short", action="store_true", help="a small fleet for a short time, which shows that it works"
    )
    options = parser.parse_args(arguments)
    sizes = SHORT if options.short else SIZES
    chosen = [size for size in sizes if not options.instances or size.instances in options.instances]
    for line in lines(chosen, options.policy, options.seed):
        print(line, flush=True)


if __name__ == "__main__":
    main()
