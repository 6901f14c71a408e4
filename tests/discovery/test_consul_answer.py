"""What Consul says of the instances of a service, as members."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.discovery.consul_answer import Instances, read_instances
from proxymux.discovery.http_connections import AskingFailed
from tests.discovery.consul_stand_in import instance
from tests.discovery.listener import texts

quick = settings(database=None, deadline=None, max_examples=300)

#: The sample response of the documentation (HTTP API, Health, List Service Instances for Service), without what does
#: not matter.
SAMPLE = {
    "Node": {"ID": "40e4a748-2192-161a-0510-9bf59fe950b5", "Node": "foobar", "Address": "10.1.10.12"},
    "Service": {
        "ID": "redis",
        "Service": "redis",
        "Tags": ["primary"],
        "Address": "10.1.10.12",
        "TaggedAddresses": {
            "lan": {"address": "10.1.10.12", "port": 8000},
            "wan": {"address": "198.18.1.2", "port": 80},
        },
        "Port": 8000,
        "Weights": {"Passing": 10, "Warning": 1},
        "Namespace": "default",
    },
    "Checks": [
        {"Node": "foobar", "CheckID": "service:redis", "Status": "passing", "ServiceID": "redis"},
        {"Node": "foobar", "CheckID": "serfHealth", "Status": "passing", "ServiceID": ""},
    ],
}


def read(*instances: Any, is_passing: bool = True, is_sorted: bool = False) -> Instances:
    return read_instances(json.dumps(instances).encode(), is_passing, is_sorted)


def members(*instances: Any, is_passing: bool = True, is_sorted: bool = False) -> list[str]:
    found = read(*instances, is_passing=is_passing, is_sorted=is_sorted)
    assert not found.problem
    return texts(found.entries)


def test_the_sample_of_the_documentation() -> None:
    assert members(SAMPLE) == ["10.1.10.12:8000 weight=10"]


def test_an_instance_without_an_address_is_at_its_nodes() -> None:
    assert members(instance("", node="192.0.2.7")) == ["192.0.2.7:80 weight=1"]


def test_addresses_may_be_names_and_ipv6() -> None:
    assert members(instance("2001:db8::1"), instance("a.example")) == [
        "[2001:db8::1]:80 weight=1",
        "a.example:80 weight=1",
    ]


def test_the_order_is_the_same_for_the_same_set_unless_it_says_something() -> None:
    two, one = instance("192.0.2.2"), instance("192.0.2.1")
    assert members(two, one) == members(one, two) == ["192.0.2.1:80 weight=1", "192.0.2.2:80 weight=1"]
    assert members(two, one, is_sorted=True) == ["192.0.2.2:80 weight=1", "192.0.2.1:80 weight=1"]


def test_of_two_instances_at_one_address_the_first_counts() -> None:
    weights = {"Passing": 7, "Warning": 1}
    assert members(instance("192.0.2.1", Weights=weights), instance("192.0.2.1")) == ["192.0.2.1:80 weight=7"]


@pytest.mark.parametrize(
    ("checks", "if_passing", "otherwise"),
    [
        ((), "weight=10", "weight=10"),
        (("passing", "passing"), "weight=10", "weight=10"),
        (("passing", "warning"), None, "weight=3"),
        (("warning", "critical"), None, None),
        (("passing", "critical"), None, None),
        (("maintenance",), None, None),
    ],
)
def test_the_worst_check_decides(checks: tuple[str, ...], if_passing: str | None, otherwise: str | None) -> None:
    some = instance("192.0.2.1", checks=checks, Weights={"Passing": 10, "Warning": 3})
    for is_passing, weight in ((True, if_passing), (False, otherwise)):
        assert members(some, is_passing=is_passing) == ([] if weight is None else [f"192.0.2.1:80 {weight}"])


@pytest.mark.parametrize(
    ("weights", "weight"),
    [
        ({"Passing": 0, "Warning": 1}, " weight=0"),
        ({"Passing": 70000}, " weight=65535"),
        ({"Passing": -1}, " weight=0"),
        ({"Passing": "3"}, ""),
        ({"Passing": True}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_a_weight_is_brought_within_bounds_and_one_that_is_none_is_the_clusters(weights: Any, weight: str) -> None:
    assert members(instance("192.0.2.1", Weights=weights)) == [f"192.0.2.1:80{weight}"]


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (instance("192.0.2.9", 0), "'users-192.0.2.9': it has no port"),
        (instance("192.0.2.9", 70000), "'users-192.0.2.9': '192.0.2.9:70000': the port is not"),
        (instance("192.0.2.9", "80"), "'users-192.0.2.9': it has no address and port"),
        (instance("192.0.2.9", True), "'users-192.0.2.9': it has no address and port"),
        (instance("", node=""), "'users-': it has no address and port"),
        (instance("192.0.2.999"), "is not an IPv4 address"),
        (instance("a b"), "is not a host name"),
        ({"Node": None, "Service": None, "Checks": None}, "None: it has no address and port"),
        ({}, "None: it has no address and port"),
    ],
)
def test_an_instance_that_cannot_be_used_is_left_out_and_named(bad: Any, problem: str) -> None:
    found = read(bad, instance("192.0.2.1"), bad)
    assert texts(found.entries) == ["192.0.2.1:80 weight=1"]
    assert found.problem.startswith("2 left out: ")
    assert problem in found.problem
    assert "\n" not in found.problem


def test_what_is_left_out_for_its_checks_is_no_problem() -> None:
    assert read(instance("192.0.2.9", 0, checks=("critical",))) == Instances((), "")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "the answer is not JSON"),
        (b"[", "the answer is not JSON"),
        (b"\xff\xfe", "the answer is not JSON"),
        (b"[" * 100_000, "the answer is not JSON"),
        (b"[" + b"1" * 5000 + b"]", "the answer is not JSON"),
        (b"null", "the answer is not a list of instances"),
        (b'{"Service": {}}', "the answer is not a list of instances"),
        (b"[1]", "the answer is not a list of instances"),
    ],
)
def test_an_answer_that_is_none_is_refused(body: bytes, problem: str) -> None:
    with pytest.raises(AskingFailed, match=problem):
        read_instances(body, True, False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99999) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@quick
@given(st.fixed_dictionaries({}, optional={"Node": JSON, "Service": JSON, "Checks": JSON}), st.booleans())
def test_whatever_an_instance_is_the_others_are_read(bad: dict[str, Any], is_passing: bool) -> None:
    assert "192.0.2.1:80 weight=1" in texts(read(bad, instance("192.0.2.1"), is_passing=is_passing).entries)


@quick
@given(st.fixed_dictionaries({}, optional={"ID": JSON, "Address": JSON, "Port": JSON, "Weights": JSON}))
def test_whatever_a_service_is_the_others_are_read(bad: dict[str, Any]) -> None:
    assert "192.0.2.1:80 weight=1" in texts(read({"Service": bad}, instance("192.0.2.1")).entries)
