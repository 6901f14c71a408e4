"""A Redis Cluster as a source, with stand-ins for its nodes; the real one is in test_source_with_redis.py."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_twisted
from twisted.internet.task import Clock

from proxymux.core.redis_cluster.slot_map import SlotMap
from proxymux.core.target import parse_address
from proxymux.discovery.redis_cluster.source import RedisClusterSource
from proxymux.errors import BadAddress
from tests.discovery.listener import Told
from tests.discovery.redis_cluster.conftest import MakeNode
from tests.discovery.redis_cluster.stand_in import StandInNode
from tests.services.peers import in_reactor, settle, until

SHARDS = (b"CLUSTER", b"SHARDS")


class Scene:
    """A source, and who is told."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.told = Told()
        self.maps: list[SlotMap] = []
        self.source: RedisClusterSource | None = None

    def start(self, *seeds: StandInNode, query: str = "") -> RedisClusterSource:
        from twisted.internet import reactor

        text = f"rediscluster://{','.join(each.address for each in seeds)}{query}"
        self.source = RedisClusterSource(text, reactor, self.clock, lambda: 1.0)  # type: ignore[arg-type]
        self.source.check()
        self.source.watchers.append(self._slots_changed)
        self.source.start(self.told)
        return self.source

    def _slots_changed(self, slots: SlotMap) -> None:
        self.told.calls.append("slots")
        self.maps.append(slots)

    async def hears(self) -> list[str]:
        """What is told next."""
        await until(lambda: self.told.calls, "a word of the source")
        return self.told.since()


@pytest_twisted.async_yield_fixture  # type: ignore[untyped-decorator]
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    if scene.source is not None:
        scene.source.stop()
    await settle()
    assert scene.clock.getDelayedCalls() == []


@in_reactor
async def test_the_primaries_are_the_members_and_the_map_follows(scene: Scene, make_node: MakeNode) -> None:
    one, two = make_node(), make_node()
    one.say(one, two)
    source = scene.start(one)
    assert await scene.hears() == ["changed", "slots"]
    assert scene.told.sets == [sorted([one.address, two.address])]
    assert scene.maps[-1].place_of(0) == parse_address(one.address)
    assert scene.maps[-1].place_of(16383) == parse_address(two.address)
    assert source.topology is not None
    assert source.topology.slots is scene.maps[-1]


@in_reactor
async def test_it_looks_again_and_tells_of_what_has_changed_only(scene: Scene, make_node: MakeNode) -> None:
    one, two = make_node(), make_node()
    one.say(one, two)
    scene.start(one, query="?refresh=2")
    await scene.hears()
    scene.clock.advance(2)
    assert await scene.hears() == ["heard"]
    one.say(two, one)
    scene.clock.advance(2)
    assert await scene.hears() == ["heard", "slots"]
    one.say(one)
    scene.clock.advance(2)
    assert await scene.hears() == ["changed", "slots"]
    assert len(one.asked) == 4


@in_reactor
async def test_any_node_that_answers_will_do_and_a_silent_one_is_told_of_to_nobody(
    scene: Scene, make_node: MakeNode
) -> None:
    gone, mute, one, two = (make_node() for _ in range(4))
    one.say(one, two)
    two.say(two)
    scene.start(gone, mute, one)
    await gone.die()
    await until(lambda: mute.asked, "the question")
    scene.clock.advance(3)
    assert await scene.hears() == ["changed", "slots"]
    scene.clock.advance(5)
    assert await scene.hears() == ["heard"]
    assert len(mute.asked) == 1  # the one that has answered is asked first
    await one.die()
    scene.clock.advance(5)
    await until(lambda: len(mute.asked) == 2, "the question")
    scene.clock.advance(3)
    assert await scene.hears() == ["changed", "slots"]  # of one that was not named
    assert scene.told.reasons == []


@in_reactor
async def test_when_none_answers_the_members_stay_and_it_goes_on(scene: Scene, make_node: MakeNode) -> None:
    one = make_node()
    one.answers[SHARDS] = b"-LOADING x\r\n"
    scene.start(one)
    assert await scene.hears() == ["failed"]
    assert scene.told.reasons == [
        f"rediscluster://{one.address}: no node has answered; {one.address}: it does not say who serves what: LOADING"
    ]
    one.say(one)
    scene.clock.advance(1)
    assert await scene.hears() == ["changed", "slots"]


@in_reactor
async def test_after_a_redirect_it_looks_at_once_but_once_a_second(scene: Scene, make_node: MakeNode) -> None:
    one, two = make_node(), make_node()
    one.say(one)
    two.say(two)
    source = scene.start(one)
    await scene.hears()
    scene.clock.advance(0.25)
    for _ in range(50):
        source.look_soon(parse_address(two.address))
    await settle()
    assert (len(one.asked), len(two.asked)) == (1, 0)
    scene.clock.advance(0.75)
    assert await scene.hears() == ["changed", "slots"]
    assert scene.told.sets[-1] == [two.address]
    assert (len(one.asked), len(two.asked)) == (1, 1)
    scene.clock.advance(4.9)
    await settle()
    assert (len(one.asked), len(two.asked)) == (1, 1)


@in_reactor
async def test_what_is_wanted_during_a_look_is_another_one(scene: Scene, make_node: MakeNode) -> None:
    one = make_node()
    source = scene.start(one)
    await until(lambda: one.asked, "the question")
    source.look()
    one.say(one)
    for connection in one.connections:
        connection.transport.write(one.answers[SHARDS])  # type: ignore[union-attr]
    assert await scene.hears() == ["changed", "slots"]
    scene.clock.advance(1)
    assert await scene.hears() == ["heard"]


@in_reactor
async def test_one_that_is_stopped_tells_nothing_and_may_start_again(scene: Scene, make_node: MakeNode) -> None:
    one = make_node()
    source = scene.start(one)
    await until(lambda: one.asked, "the question")
    source.stop()
    source.look()
    await until(lambda: not one.connections, "the end of the connection")
    assert scene.clock.getDelayedCalls() == []
    assert scene.told.calls == []
    one.say(one)
    source.start(scene.told)
    assert await scene.hears() == ["changed", "slots"]


def test_a_password_is_shown_nowhere() -> None:
    source = RedisClusterSource("rediscluster://u:secret@h", None, Clock(), lambda: 1.0)  # type: ignore[arg-type]
    assert repr(source) == "<RedisClusterSource rediscluster://h:6379>"


def test_files_of_tls_are_read_by_the_check() -> None:
    source = RedisClusterSource("redisclusters://h?ca=/no/file", None, Clock(), lambda: 1.0)  # type: ignore[arg-type]
    with pytest.raises(BadAddress, match="/no/file"):
        source.check()
