"""Which members SRV records say, and with which weights."""

from __future__ import annotations

import itertools

import pytest

from proxymux.core.member import MAX_WEIGHT
from proxymux.discovery.srv_records import ServiceRecord, entries_of
from proxymux.errors import BadAddress
from tests.discovery.listener import texts


def members(*records: tuple[int, int, int, str]) -> list[str]:
    """The members of records, which are given as a zone file has them: priority, weight, port, target."""
    return texts(entries_of(ServiceRecord(*record) for record in records))


def test_only_those_of_the_best_priority_are_members() -> None:
    assert members((20, 1, 80, "c"), (10, 1, 80, "a"), (10, 1, 81, "b"), (0xFFFF, 1, 80, "d")) == [
        "a:80 weight=1",
        "b:81 weight=1",
    ]


def test_the_order_of_the_records_does_not_matter() -> None:
    """Name servers turn it at each answer."""
    records = [(0, 1, 80, "b"), (0, 1, 80, "a"), (0, 1, 9, "a")]
    found = [members(*order) for order in itertools.permutations(records)]
    assert found == [["a:9 weight=1", "a:80 weight=1", "b:80 weight=1"]] * 6


def test_a_weight_of_0_counts_as_1_beside_others() -> None:
    assert members((0, 0, 80, "a"), (0, 50, 80, "b")) == ["a:80 weight=1", "b:80 weight=50"]


def test_where_all_weights_are_0_the_cluster_has_its_own() -> None:
    assert members((0, 0, 80, "a"), (0, 0, 80, "b"), (1, 5, 80, "c")) == ["a:80", "b:80"]


def test_records_of_the_same_target_and_port_are_one() -> None:
    assert members((0, 3, 80, "a"), (0, 4, 80, "A."), (0, 1, 81, "a")) == ["a:80 weight=7", "a:81 weight=1"]
    assert members((0, 60000, 80, "a"), (0, 60000, 80, "a")) == [f"a:80 weight={MAX_WEIGHT}"]


def test_a_name_loses_the_dot_at_its_end_and_its_capitals() -> None:
    assert members((0, 1, 80, "Host.Example.COM.")) == ["host.example.com:80 weight=1"]


def test_the_root_as_target_says_that_there_is_no_member() -> None:
    assert members((0, 0, 0, ".")) == members((0, 0, 0, "")) == []
    assert members((0, 0, 0, ""), (5, 1, 80, "a")) == ["a:80 weight=1"]


@pytest.mark.parametrize("target", ["unix:/run/x", "a b", "a:1", "-", "300.1.1.1", "a\\xff"])
def test_what_is_no_host_is_refused_with_all_the_others(target: str) -> None:
    with pytest.raises(BadAddress):
        members((0, 1, 80, "a"), (0, 1, 80, target))


def test_port_0_is_refused() -> None:
    with pytest.raises(BadAddress, match="'a:0': the port is not a number from 1 to 65535"):
        members((0, 1, 0, "a"))
