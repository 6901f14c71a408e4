from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.redis_cluster.resp_values import RespError, Value
from proxymux.core.redis_cluster.slot_map import SlotMap
from proxymux.core.redis_cluster.topology import Topology, parse_shards, parse_slots
from proxymux.core.target import parse_address
from proxymux.errors import BadMessage
from tests.core.redis_cluster.answers import SHARDS, SLOTS, node, shard

ASKED = parse_address("10.0.0.9:6379")
ONE, TWO, THREE, FOUR = (parse_address(f"10.0.0.1:{port}") for port in (1, 2, 3, 4))
KNOWN = Topology((ONE, TWO, THREE), {FOUR: ONE}, SlotMap([(0, 5460, ONE), (5461, 10922, TWO), (10923, 16383, THREE)]))


def shards(*answer: Value, is_tls: bool = False) -> Topology:
    return parse_shards(list(answer), ASKED, is_tls)


def test_both_answers_say_the_same() -> None:
    assert parse_shards(SHARDS, ASKED, False) == KNOWN
    assert parse_slots(SLOTS, ASKED) == KNOWN
    assert KNOWN.nodes == (ONE, TWO, THREE, FOUR)


def test_a_primary_without_slots_counts_if_it_is_well() -> None:
    found = shards(shard([], node(1)), shard([], node(2, health=b"failed")), shard([0, 1], node(3, health=b"failed")))
    assert found.primaries == (ONE, THREE)
    assert found.slots.places == (THREE,)


def test_of_two_primaries_of_a_shard_the_one_that_is_well_counts() -> None:
    found = shards(shard([0, 1], node(1, health=b"failed"), node(2)))
    assert found.primaries == (TWO,)
    assert found.slots.place_of(1) == TWO


@pytest.mark.parametrize("endpoint", [None, b""])
def test_a_node_without_a_host_is_on_that_of_who_was_asked(endpoint: Value) -> None:
    asked = (parse_address("10.0.0.9:1"),)
    assert shards(shard([0, 1], node(1, endpoint=endpoint))).primaries == asked
    assert parse_slots([[0, 1, [endpoint, 1, b"id"]]], ASKED).primaries == asked


def test_an_unknown_name_is_replaced_by_the_address() -> None:
    assert shards(shard([0, 1], node(1, endpoint=b"?"))).primaries == (ONE,)
    assert parse_slots([[0, 1, [b"?", 1, b"id", [b"ip", b"10.0.0.1"]]]], ASKED).primaries == (ONE,)


def test_names_and_ipv6_are_addresses() -> None:
    found = shards(shard([0, 1], node(1, endpoint=b"one.example")), shard([2, 3], node(2, endpoint=b"::1")))
    assert list(map(str, found.primaries)) == ["[::1]:2", "one.example:1"]


def test_with_tls_it_is_the_port_of_tls() -> None:
    assert shards(shard([0, 1], node(1, tls_port=2)), is_tls=True).primaries == (TWO,)
    assert shards(shard([0, 1], node(1)), is_tls=True) == Topology((), {}, SlotMap())


@pytest.mark.parametrize("bad", [node(0), node(b"1"), node(1, endpoint=b"\xff"), node(1, endpoint=7), node(None), []])
def test_the_slots_of_a_primary_without_an_address_are_nobody_s(bad: Value) -> None:
    found = shards(shard([0, 1], bad), shard([2, 3], node(2)))
    assert found.primaries == (TWO,)
    assert found.slots.served == 2


def test_a_shard_may_have_many_ranges_and_come_in_parts() -> None:
    assert shards(shard([0, 1, 4, 5], node(1))).slots.served == 4
    found = parse_slots([[0, 1, [b"10.0.0.1", 1]], [4, 5, [b"10.0.0.1", 1], [b"10.0.0.1", 4]], [7, 7]], ASKED)
    assert (found.primaries, found.replicas, found.slots.served) == ((ONE,), {FOUR: ONE}, 4)


def test_who_is_both_is_a_primary() -> None:
    found = shards(shard([0, 1], node(1), node(2, b"replica")), shard([2, 3], node(2), node(1, b"replica")))
    assert (found.primaries, found.replicas) == ((ONE, TWO), {})


@pytest.mark.parametrize(
    "answer",
    [
        b"OK",
        None,
        RespError(b"ERR"),
        [7],
        [shard([0], node(1)), 7],
        [[b"slots", 7, b"nodes", []]],
        [shard([b"0", 1], node(1))],
        [shard([0, 16384], node(1))],
        [shard([0, 5], node(1)), shard([5, 6], node(2))],
    ],
)
def test_what_is_no_answer_is_refused(answer: Value) -> None:
    with pytest.raises(BadMessage):
        parse_shards(answer, ASKED, False)


@pytest.mark.parametrize("answer", [b"OK", [7], [[0]], [[0, 1, 7]], [[0, 1, [b"h"]]], [[b"0", 1, [b"h", 1]]]])
def test_what_is_no_list_of_slots_is_refused(answer: Value) -> None:
    with pytest.raises(BadMessage):
        parse_slots(answer, ASKED)


ANY: st.SearchStrategy[Value] = st.recursive(
    st.sampled_from(
        [None, 0, 1, 5, 20000, -1, b"slots", b"nodes", b"role", b"master", b"port", b"endpoint", b"h", b"?"]
    ),
    lambda values: st.lists(values, max_size=5),
    max_leaves=25,
)


@given(ANY | st.lists(st.lists(ANY, max_size=4).map(lambda nodes: shard([0, 1], *nodes)), max_size=2))
def test_nothing_else_comes_of_whatever_is_answered(answer: Value) -> None:
    for parse in (lambda: parse_shards(answer, ASKED, False), lambda: parse_slots(answer, ASKED)):
        try:
            assert isinstance(parse(), Topology)
        except BadMessage:
            pass
