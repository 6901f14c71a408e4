"""bench/fleet.py: what balancing and health come to in a fleet, in simulated time."""

from __future__ import annotations

import math
import statistics

import pytest

from bench import fleet, fleet_scenes
from bench.fleet_course import Counts, Course, Fleet
from bench.fleet_scenes import Size
from proxymux.core.cluster_spec import PLACING, POLICIES
from proxymux.core.health import LONGEST_BACKOFF, HealthRules
from proxymux.net.member_attempts import MEMBERS_A_ROUND

SMALL = Size(10, 10, 100.0, 10.0)
INSTANCES, FALL = SMALL.instances, HealthRules().fall


@pytest.mark.parametrize("policy", POLICIES)
def test_no_connect_fails_while_half_of_all_targets_flap(policy: str) -> None:
    counts = fleet_scenes.flapping(SMALL, f";policy={policy}", seed=1)
    assert counts.connects > 800
    assert counts.first_failed > 0
    assert counts.failed == 0


@pytest.mark.parametrize("options", ["", ";health=tcp", ";health=off", ";max_ejected=0%"])
def test_no_connect_fails_while_one_of_many_targets_is_up(options: str) -> None:
    """There are as many targets as a connect tries in a round; of more than that it finds the one by chance."""
    simulated = Fleet(Course(1), 5, f"{options};policy=random", 50.0)
    targets = simulated.add_targets(MEMBERS_A_ROUND)
    simulated.announce(targets)
    simulated.open()
    simulated.course.run(5.0)
    for target in targets[1:]:
        target.die()
    simulated.counts = Counts()
    simulated.course.run(30.0)
    assert simulated.counts.connects > 1000
    assert simulated.counts.failed == 0
    assert simulated.counts.longest == 0.0  # in the first round


@pytest.mark.parametrize("policy", POLICIES)
def test_a_dead_target_costs_each_instance_as_many_attempts_as_it_takes_to_eject_it(policy: str) -> None:
    found = fleet_scenes.outage(SMALL, f";policy={policy}", seed=1)
    # A check between two of them that fails puts the return off; one more client may have been on its way.
    assert 0 < found.counts.first_failed <= INSTANCES * FALL
    assert found.counts.failed == 0
    assert found.counts.lost > 0
    rules = HealthRules()
    assert found.back <= LONGEST_BACKOFF * rules.interval + rules.rise * rules.interval + 12


def test_checks_find_a_dead_target_in_the_time_of_fall_of_them() -> None:
    rules = HealthRules()
    found = fleet_scenes.outage(SMALL, ";policy=ketama;health=tcp", seed=1)
    assert found.quiet <= (rules.fall + 1) * rules.interval


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy not in PLACING])
def test_the_load_spreads_no_worse_than_by_chance(policy: str) -> None:
    found, chance = fleet_scenes.steady(SMALL, f";policy={policy}", seed=1), fleet_scenes.at_random(SMALL)
    # Twice as far from the mean as the most of targets drawn at random has a chance of one in a thousand, about.
    assert 1 <= found.given <= 1 + 2 * (chance.given - 1)
    assert 1 <= found.live <= 1 + 2 * (chance.live - 1)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_deploy_in_which_old_targets_stay_for_a_while_costs_nobody_anything(policy: str) -> None:
    counts, found = fleet_scenes.deploy(SMALL, f";policy={policy}", seed=1)
    assert (counts.first_failed, counts.failed) == (0, 0)
    assert math.isfinite(found.live)


def test_who_counts_connections_spares_slow_targets() -> None:
    by_turns, by_counts = (
        fleet_scenes.slow(SMALL, f";policy={policy}", seed=1) for policy in ("round-robin", "least-connections")
    )
    assert by_turns.given == pytest.approx(1.0, abs=0.2)
    assert by_counts.given < 0.8
    assert by_counts.live < by_turns.live


@pytest.mark.parametrize("policy", ["hash", "ketama"])
def test_only_the_keys_of_a_lost_target_move(policy: str) -> None:
    parts = [fleet_scenes.moved(policy, seed) for seed in (1, 2)]  # type: ignore[arg-type]
    for moved, own in parts:
        assert moved == pytest.approx(own)
        assert moved <= 0.12
    assert statistics.mean(own for _, own in parts) == pytest.approx(0.1, abs=0.001)


@pytest.mark.slow
def test_one_seed_has_one_course(capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for seed in ("1", "1", "2"):
        fleet.main(["--short", "--seed", seed, "--policy", "random", "hash"])
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert printed[0] != printed[2]
    assert all(len(line) < 120 for line in printed[0].splitlines())
