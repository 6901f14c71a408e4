"""A real Redis Cluster as a source: it is resharded, fails over and grows, and the map follows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.threads import deferToThread

from proxymux.core.redis_cluster.redirect import parse_redirect
from proxymux.core.redis_cluster.slot_map import SLOTS, slot_of
from proxymux.core.redis_cluster.topology import Topology
from proxymux.core.target import InetTarget, parse_address
from proxymux.discovery.redis_cluster.source import RedisClusterSource
from tests.discovery.listener import Told
from tests.discovery.redis_cluster.redis_nodes import HOST, RedisNodes, running_cluster
from tests.services.peers import in_reactor, until

pytestmark = pytest.mark.slow

PASSWORD = "hunter2"
KEYS = [f"key:{number}" for number in range(300)]


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[RedisNodes]:
    with running_cluster(tmp_path, PASSWORD) as running:
        yield running


def address(port: int) -> InetTarget:
    return parse_address(f"{HOST}:{port}")


class Follower:
    """A source that follows the cluster, with the real clock."""

    def __init__(self, port: int) -> None:
        from twisted.internet import reactor

        text = f"rediscluster://:{PASSWORD}@{HOST}:{port}?refresh=1"
        self.told = Told()
        self.source = RedisClusterSource(text, reactor, reactor, lambda: 1.0)  # type: ignore[arg-type]
        self.source.start(self.told)

    @property
    def topology(self) -> Topology:
        assert self.source.topology is not None
        return self.source.topology

    def served_by(self, port: int) -> int:
        """How many slots a primary serves, as far as is known."""
        slots = self.topology.slots
        return [slots.place_of(slot) for slot in range(SLOTS)].count(address(port))

    async def knows(self, what: str, ports: set[int], replicas: int) -> None:
        """Wait until these are the primaries with slots, and all slots are served."""

        def does() -> bool:
            known = self.source.topology
            if known is None or known.slots.served != SLOTS or len(known.replicas) != replicas:
                return False
            return set(known.slots.places) == set(map(address, ports))

        await until(does, what)


def check_keys(nodes: RedisNodes, follower: Follower) -> None:
    """Each key is served where the map has it: asked there, Redis sends nobody elsewhere."""
    for key in KEYS:
        place = follower.topology.slots.place_of(slot_of(key.encode()))
        assert place is not None
        answer = nodes.ask(place.port, "GET", key)
        assert "MOVED" not in answer, (key, place)
        assert answer == f"value of {key}\n"


@in_reactor
async def test_the_map_follows_a_cluster(nodes: RedisNodes) -> None:
    one, two, three, *_ = await deferToThread(nodes.create, 3, 1)
    follower = Follower(two)
    try:
        await follower.knows("the cluster", {one, two, three}, replicas=3)
        for key in KEYS:
            place = follower.topology.slots.place_of(slot_of(key.encode()))
            assert place is not None
            assert await deferToThread(nodes.ask, place.port, "SET", key, f"value of {key}") == "OK\n"

        wrong = next(
            port for port in (one, two) if address(port) != follower.topology.slots.place_of(slot_of(b"key:0"))
        )
        said = (await deferToThread(nodes.ask, wrong, "GET", "key:0")).strip()
        redirect = parse_redirect(f"-{said}\r\n".encode(), address(wrong))
        assert redirect is not None
        assert redirect.address == follower.topology.slots.place_of(redirect.slot)
        assert redirect.slot == slot_of(b"key:0")

        before = follower.served_by(three)
        options = ("--cluster-from", nodes.id_of(one), "--cluster-to", nodes.id_of(three), "--cluster-slots", "1000")
        await deferToThread(nodes.cluster, "reshard", f"{HOST}:{two}", *options)
        follower.source.look_soon(redirect.address)
        await until(lambda: follower.served_by(three) == before + 1000, "the slots that have moved")
        await follower.knows("all slots", {one, two, three}, replicas=3)
        await deferToThread(check_keys, nodes, follower)

        nodes.kill(two)  # the one that was named, and is asked
        heir = next(each.port for each, primary in follower.topology.replicas.items() if primary == address(two))
        await follower.knows("the heir", {one, heir, three}, replicas=2)
        await deferToThread(check_keys, nodes, follower)

        await deferToThread(nodes.start, two)
        await follower.knows("the old primary as a replica", {one, heir, three}, replicas=3)
        await deferToThread(nodes.take_over, two)
        await follower.knows("the old primary again", {one, two, three}, replicas=3)
        await deferToThread(check_keys, nodes, follower)
        assert follower.told.reasons == []
    finally:
        follower.source.stop()


@in_reactor
async def test_a_wrong_password_is_told_without_it(nodes: RedisNodes) -> None:
    port = await deferToThread(nodes.start)
    nodes.password = "other"
    from twisted.internet import reactor

    told = Told()
    text = f"rediscluster://u:secret@{HOST}:{port}"
    source = RedisClusterSource(text, reactor, reactor, lambda: 1.0)  # type: ignore[arg-type]
    source.start(told)
    await until(lambda: told.reasons, "the failure")
    source.stop()
    expected = f"rediscluster://{HOST}:{port}: no node has answered; {HOST}:{port}: the login is refused: WRONGPASS"
    assert told.reasons == [expected]
