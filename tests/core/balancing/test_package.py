from __future__ import annotations

import random

import pytest

from proxymux.core.balancing import make_balancer
from proxymux.core.cluster_spec import HASHED, POLICIES, Policy, parse_cluster
from tests.core.balancing.members import choose, connect, in_use, members


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_that_an_operator_can_name_is_there_and_knows_its_options(policy: Policy) -> None:
    made = make_balancer(parse_cluster(f"c=127.0.0.1:1;policy={policy}"), random.Random(1).random)
    in_use(made, members(1, 1, 1))
    assert sum(connect(made, 30).values()) == 30


@pytest.mark.parametrize("policy", HASHED)
def test_the_hash_and_its_tag_are_those_of_the_description(policy: Policy) -> None:
    made = make_balancer(parse_cluster(f"c=127.0.0.1:1;policy={policy};hash=md5;hash_tag=<>"), lambda: 0.0)
    in_use(made, members(*[1] * 10))
    assert len({choose(made, b"%d<tag>" % number) for number in range(50)}) == 1
    assert len({choose(made, b"%d{tag}" % number) for number in range(50)}) > 1
