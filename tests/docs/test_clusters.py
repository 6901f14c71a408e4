"""docs/clusters.rst says what the options of a cluster are, and says it as the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxymux.core.balancing.bounded_hash import FEW, MOST_LOAD
from proxymux.core.check_spec import PLAIN
from proxymux.core.cluster import MOST_MEMBERS
from proxymux.core.cluster_spec import HASHES, KEYS, OPTIONS, POLICIES, parse_cluster
from proxymux.core.health import LONGEST_BACKOFF
from proxymux.core.member import MAX_WEIGHT
from proxymux.discovery.sources import KINDS
from proxymux.errors import BadAddress
from proxymux.net.attempts import PAUSE
from proxymux.net.member_attempts import MEMBERS_A_ROUND

PAGE = (Path(__file__).parents[2] / "docs" / "clusters.rst").read_text()
ROW = re.compile(r"^   \* - ``(\w+)=``\n     - (\S+)\n     - ", re.MULTILINE)
ROWS = dict(ROW.findall(PAGE))
#: Without these an option means nothing.
BESIDE = {"hash": "policy=ketama", "hash_tag": "policy=ketama", "status": "health=http:/"}
NONE = "\N{EN DASH}"


def test_the_table_has_every_option_in_order() -> None:
    assert list(ROWS) == list(OPTIONS)


@pytest.mark.parametrize("option", [option for option in OPTIONS if ROWS.get(option) != NONE])
def test_a_default_in_the_table_changes_nothing_when_it_is_given(option: str) -> None:
    beside = f";{BESIDE[option]}" if option in BESIDE else ""
    without = parse_cluster(f"users=a:1{beside}")
    assert parse_cluster(f"users=a:1{beside};{option}={ROWS[option].strip('`')}") == without


def test_what_is_accepted_is_named() -> None:
    for word in (*POLICIES, *KEYS, *HASHES, *PLAIN, "off", "http:/path", "send"):
        assert f"``{word}``" in PAGE
    for scheme in KINDS:
        assert f"``{scheme}" in PAGE


def test_an_option_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadAddress, match="is no option"):
        parse_cluster("users=a:1;poli=random")


def test_its_numbers_are_those_of_the_code() -> None:
    text = " ".join(PAGE.split())
    assert f"at most {MOST_MEMBERS:,} targets" in text
    assert f"(0 to {MAX_WEIGHT})" in text
    assert f"up to {MEMBERS_A_ROUND} targets are tried, each once, then after {PAUSE:g} s" in text
    assert f"Up to {FEW} connections of a target" in text
    assert f"more than {MOST_LOAD:g} times the mean" in text
    assert LONGEST_BACKOFF == 10
    assert "up to ten intervals" in text
