"""A service in Consul as a source, with a stand-in for Consul that was written from its documentation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from proxymux.discovery.blocking_query import BURST, INTERVAL, LAST_BACKOFF, MARGIN, WAIT
from proxymux.discovery.consul import ConsulSource
from proxymux.errors import BadAddress
from tests.discovery.consul_stand_in import JITTER, ConsulStandIn, instance
from tests.discovery.listener import Told
from tests.services.certificates import Authority
from tests.services.peers import in_reactor, settle, until

ONE, TWO = instance("192.0.2.1"), instance("192.0.2.2")
TOKEN = "b1gs33cr3t-0000"
#: Longer than a wait with its jitter.
WHOLE_WAIT = WAIT * (1 + JITTER) + 1


@contextmanager
def logged() -> Iterator[list[LogEvent]]:
    """What is logged meanwhile."""
    events: list[LogEvent] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        events.append(event)

    globalLogPublisher.addObserver(observe)
    try:
        yield events
    finally:
        globalLogPublisher.removeObserver(observe)


class Scene:
    """A Consul, a source that follows a service there, and who is told."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.consul = ConsulStandIn(self.clock)
        self.told = Told()
        self.sources: list[ConsulSource] = []

    def start(self, query: str = "", scheme: str = "consul", host: str = "127.0.0.1") -> ConsulSource:
        from twisted.internet import reactor

        text = f"{scheme}://{host}:{self.consul.port}/users{query}"
        source = ConsulSource(text, reactor, self.clock, lambda: 1.0)  # type: ignore[arg-type]
        self.sources.append(source)
        source.check()
        source.start(self.told)
        return source

    async def hears(self) -> list[str]:
        """What the listener is told next."""
        await until(lambda: self.told.calls, "a word of the source")
        return self.told.since()

    async def waits(self) -> None:
        """Let the source make its next query, which Consul holds."""
        self.clock.advance(0)
        await until(lambda: self.consul.held, "a query that is held")

    async def set(self, *instances: dict[str, Any]) -> list[str]:
        """What the listener is told of a change, which the next query must be waiting for."""
        self.consul.set(*instances)
        assert await self.hears() == ["changed"]
        return self.told.sets[-1]

    async def begin(self, *instances: dict[str, Any], query: str = "") -> ConsulSource:
        """Have the source know these instances, and wait for changes."""
        self.consul.set(*instances)
        self.consul.listen()
        source = self.start(query)
        assert await self.hears() == ["changed"]
        await self.waits()
        return source

    async def passes(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass in steps, in which whatever is under way can be done."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            await settle()


@pytest_twisted.async_yield_fixture  # type: ignore[untyped-decorator]
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    for source in scene.sources:
        source.stop()
    if scene.consul.is_listening:
        await scene.consul.die()
    await until(lambda: not scene.consul.connections, "the end of all connections")
    assert scene.clock.getDelayedCalls() == []


@in_reactor
async def test_instances_come_and_go(scene: Scene) -> None:
    await scene.begin(ONE)
    assert scene.told.sets == [["192.0.2.1:80 weight=1"]]
    assert await scene.set(ONE, TWO) == ["192.0.2.1:80 weight=1", "192.0.2.2:80 weight=1"]
    await scene.waits()
    assert await scene.set(TWO) == ["192.0.2.2:80 weight=1"]
    await scene.waits()
    assert await scene.set() == []


@in_reactor
async def test_a_change_between_two_queries_is_not_missed(scene: Scene) -> None:
    await scene.begin(ONE)
    await scene.set(TWO)
    scene.consul.set(ONE)  # before the next query, which is answered at once
    scene.clock.advance(0)
    assert await scene.hears() == ["changed"]
    assert scene.told.sets[-1] == ["192.0.2.1:80 weight=1"]


@in_reactor
async def test_a_query_says_the_index_of_the_last_answer_and_how_long_it_waits(scene: Scene) -> None:
    await scene.begin(ONE)
    first, second = scene.consul.asked
    assert "index" not in first.parameters
    assert "wait" not in first.parameters
    assert (second.index, second.wait) == (scene.consul.index, WAIT)


@in_reactor
async def test_a_wait_that_is_over_without_a_change_is_heard(scene: Scene) -> None:
    await scene.begin(ONE)
    await scene.passes(WAIT - 1)
    assert scene.told.since() == []
    await scene.passes(WAIT * JITTER + 2)
    assert scene.told.since() == ["heard"]
    assert len(scene.consul.held) == 1
    assert scene.consul.connections == 1  # it is the same


@in_reactor
async def test_the_parameters_reach_consul(scene: Scene) -> None:
    tagged = instance("192.0.2.3", Tags=["a&b", "primary"])
    await scene.begin(ONE, tagged, query="?tag=primary&tag=a%26b&near=_agent&dc=dc%202")
    assert scene.told.sets == [["192.0.2.3:80 weight=1"]]
    given = [("tag", "primary"), ("tag", "a&b"), ("passing", "true"), ("near", "_agent"), ("dc", "dc 2")]
    assert scene.consul.asked[0].pairs == given
    assert scene.consul.asked[1].pairs[:5] == given
    assert "accept-encoding" not in scene.consul.asked[0].headers


@in_reactor
async def test_only_instances_whose_checks_pass_are_used_unless_it_is_said(scene: Scene) -> None:
    weights = {"Passing": 10, "Warning": 3}
    some = [
        instance("192.0.2.1", Weights=weights),
        instance("192.0.2.2", checks=("passing", "warning"), Weights=weights),
        instance("192.0.2.3", checks=("critical", "passing"), Weights=weights),
    ]
    await scene.begin(*some)
    assert scene.told.sets == [["192.0.2.1:80 weight=10"]]
    scene.start("?passing=false")
    assert await scene.hears() == ["changed"]
    assert scene.told.sets[-1] == ["192.0.2.1:80 weight=10", "192.0.2.2:80 weight=3"]
    assert "passing" not in scene.consul.asked[-1].parameters


@in_reactor
async def test_the_token_is_in_a_header_and_nowhere_else(scene: Scene) -> None:
    with logged() as events:
        scene.consul.token = TOKEN
        source = await scene.begin(ONE, instance("192.0.2.9", 0), query=f"?token={TOKEN}")
        assert not any(TOKEN.encode() in asked.line for asked in scene.consul.asked)
        scene.consul.token = None
        scene.consul.fault = 403, f"ACL not found: {TOKEN}".encode()
        scene.consul.drop()
        assert await scene.hears() == ["failed"]
        scene.clock.advance(1)
        assert await scene.hears() == ["failed"]
    assert scene.told.reasons[1] == f"127.0.0.1:{scene.consul.port}: Consul answers 403: ACL not found: ***"
    assert TOKEN not in repr(source) + repr(vars(source)) + str(source._url)
    assert events
    assert not any(TOKEN in repr(event) for event in events)


@in_reactor
async def test_a_token_that_is_refused_is_a_failure(scene: Scene) -> None:
    scene.consul.token = TOKEN
    scene.consul.listen()
    scene.start()
    assert await scene.hears() == ["failed"]
    assert "Consul answers 403: Permission denied" in scene.told.reasons[0]


@in_reactor
async def test_an_index_that_goes_backwards_is_forgotten(scene: Scene) -> None:
    await scene.begin(ONE)
    scene.consul.restore(3, TWO)
    await scene.passes(WHOLE_WAIT)  # it may be as long as that until a restored snapshot is noticed
    assert scene.told.since() == ["changed", "heard"]
    assert scene.told.sets[-1] == ["192.0.2.2:80 weight=1"]
    assert [asked.index for asked in scene.consul.asked] == [0, 11, 0, 3]
    assert await scene.set(ONE) == ["192.0.2.1:80 weight=1"]


@pytest.mark.parametrize("index", ["0", "", "-7", "x", "1" * 30])
@in_reactor
async def test_an_index_of_no_use_makes_no_busy_loop(scene: Scene, index: str) -> None:
    scene.consul.shown_index = index
    scene.consul.set(ONE)
    scene.consul.listen()
    scene.start()
    await scene.passes(0, 1)
    await scene.passes(60, 1)
    assert BURST + 60 / INTERVAL - 2 <= len(scene.consul.asked) <= BURST + 60 / INTERVAL
    assert {asked.index for asked in scene.consul.asked[1:]} == {1}
    scene.consul.set(TWO)
    await scene.passes(INTERVAL, 1)
    assert scene.told.sets == [["192.0.2.1:80 weight=1"], ["192.0.2.2:80 weight=1"]]


@in_reactor
async def test_an_index_that_jumps_to_and_fro_makes_no_busy_loop(scene: Scene) -> None:
    scene.consul.set(ONE)
    scene.consul.listen()
    scene.start()
    for step in range(60):
        scene.consul.shown_index = str(100 if step % 2 else 50)
        await scene.passes(1, 1)
    assert len(scene.consul.asked) <= BURST + 60 / INTERVAL
    assert scene.told.sets == [["192.0.2.1:80 weight=1"]]


@in_reactor
async def test_where_something_changes_all_the_time_queries_are_slowed_down_and_the_last_state_is_known(
    scene: Scene,
) -> None:
    await scene.begin(ONE)
    for number in range(600):
        scene.consul.set(instance("192.0.2.1", 1000 + number))
        await scene.passes(0.1, 0.1)
    assert BURST + 60 / INTERVAL - 2 <= len(scene.consul.asked) <= BURST + 60 / INTERVAL
    await scene.passes(INTERVAL)
    assert scene.told.sets[-1] == ["192.0.2.1:1599 weight=1"]


@in_reactor
async def test_a_few_changes_one_after_another_are_told_at_once(scene: Scene) -> None:
    await scene.begin(ONE)
    for instances in ((TWO,), (ONE, TWO), ()):
        await scene.set(*instances)
        await scene.waits()
    assert scene.clock.seconds() == 0


@in_reactor
async def test_while_consul_is_down_the_members_stay_and_then_the_source_catches_up(scene: Scene) -> None:
    await scene.begin(ONE)
    port, index = scene.consul.port, scene.consul.index
    await scene.consul.die()
    await scene.passes(300)
    assert set(scene.told.calls) == {"failed"}
    assert 300 / LAST_BACKOFF <= len(scene.told.since()) <= 300 / LAST_BACKOFF + 6
    assert set(scene.told.reasons[1:]) == {f"127.0.0.1:{port}: connection refused"}
    scene.consul.set(ONE, TWO)
    scene.consul.listen(port)
    await scene.passes(LAST_BACKOFF)
    assert scene.told.since() == ["changed"]
    assert scene.told.sets[1:] == [["192.0.2.1:80 weight=1", "192.0.2.2:80 weight=1"]]
    assert scene.consul.asked[2].index == index


@in_reactor
async def test_it_is_soon_known_that_consul_is_back_where_nothing_has_changed(scene: Scene) -> None:
    await scene.begin(ONE)
    port, index = scene.consul.port, scene.consul.index
    await scene.consul.die()
    assert await scene.hears() == ["failed"]
    scene.consul.listen(port)
    await scene.passes(3)
    assert scene.told.since() == ["heard"]
    assert [(asked.index, asked.wait) for asked in scene.consul.asked[2:]] == [(index, 1), (index, WAIT)]


@in_reactor
async def test_a_consul_that_comes_back_with_an_older_state_is_believed(scene: Scene) -> None:
    await scene.begin(ONE, TWO)
    port = scene.consul.port
    await scene.consul.die()
    assert await scene.hears() == ["failed"]
    scene.consul.restore(2, TWO)
    scene.consul.listen(port)
    await scene.passes(3)
    assert scene.told.since() == ["changed", "heard"]
    assert scene.told.sets[-1] == ["192.0.2.2:80 weight=1"]


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, b"No cluster leader", "Consul answers 500: No cluster leader"),
        (429, b"Your IP is issuing too many\nconcurrent connections", "too many concurrent connections"),
        (400, b"", "Consul answers 400"),
        (301, b"http://192.0.2.9/", "Consul answers 301: http://192.0.2.9/"),
        (200, b"<html>", "the answer is not JSON"),
        (200, b'{"a": 1}', "the answer is not a list of instances"),
        (200, b" " * ((16 << 20) + 1), "the answer has more than 16 MiB"),
    ],
    ids=["500", "429", "400", "301", "html", "object", "huge"],
)
@in_reactor
async def test_an_answer_of_no_use_is_a_failure_and_the_members_stay(
    scene: Scene, status: int, body: bytes, reason: str
) -> None:
    await scene.begin(ONE)
    scene.consul.fault = status, body
    scene.consul.drop()
    for _ in range(3):
        assert await scene.hears() == ["failed"]
        await settle()
        assert scene.told.calls == []
        scene.clock.advance(LAST_BACKOFF)
    assert await scene.hears() == ["failed"]
    assert len(scene.consul.asked) == 2 + 3
    assert all(text.endswith(reason) for text in scene.told.reasons[1:])
    scene.consul.fault = None
    scene.consul.set(TWO)
    scene.clock.advance(LAST_BACKOFF)
    assert await scene.hears() == ["changed"]


@in_reactor
async def test_an_answer_that_does_not_come_is_given_up(scene: Scene) -> None:
    scene.consul.listen()
    scene.consul.is_mute = True
    scene.start()
    await until(lambda: scene.consul.asked, "the query")
    await scene.passes(MARGIN - 0.5)
    assert scene.told.since() == []
    await scene.passes(1)
    assert scene.told.since() == ["failed"]
    assert scene.told.reasons == [f"127.0.0.1:{scene.consul.port}: no answer within 10 s"]
    await until(lambda: not scene.consul.connections, "the end of the connection")


@in_reactor
async def test_a_wait_that_does_not_end_is_given_up(scene: Scene) -> None:
    await scene.begin(ONE)
    scene.consul._held.popitem()[1][1].cancel()
    await scene.passes(WHOLE_WAIT)
    assert scene.told.since() == []
    await scene.passes(MARGIN)
    assert scene.told.since() == ["failed"]
    assert scene.told.reasons[0].endswith("no answer within 73.75 s")


@in_reactor
async def test_a_consul_without_a_leader_is_believed_only_by_who_knows_nothing(scene: Scene) -> None:
    scene.consul.headers["X-Consul-KnownLeader"] = "false"
    await scene.begin(ONE)
    scene.consul.set()
    assert await scene.hears() == ["failed"]
    assert scene.told.reasons[0].endswith(": Consul has no leader")
    scene.consul.headers["X-Consul-KnownLeader"] = "true"
    await scene.passes(1)
    assert scene.told.since() == ["changed"]
    assert scene.told.sets[-1] == []


@in_reactor
async def test_instances_that_the_token_may_not_see_are_not_gone(scene: Scene) -> None:
    await scene.begin(ONE)
    scene.consul.headers["X-Consul-Results-Filtered-By-ACLs"] = "true"
    scene.consul.set()
    assert await scene.hears() == ["failed"]
    assert scene.told.reasons[0].endswith(": the token may not see the instances")
    scene.consul.set(TWO)
    await scene.passes(1)
    assert scene.told.since() == ["changed"]


@in_reactor
async def test_an_instance_without_a_port_is_left_out_and_logged_once(scene: Scene) -> None:
    with logged() as events:
        await scene.begin(ONE, instance("192.0.2.9", 0))
        await scene.set(TWO, instance("192.0.2.9", 0))
    assert scene.told.sets == [["192.0.2.1:80 weight=1"], ["192.0.2.2:80 weight=1"]]
    problem = "1 left out: 'users-192.0.2.9': it has no port"
    assert [event["problem"] for event in events if "problem" in event] == [problem]
    await scene.waits()
    scene.consul.set(instance("192.0.2.9", 0))
    assert await scene.hears() == ["failed"]
    assert scene.told.reasons[0].endswith(f": no instance can be used, {problem}")


@in_reactor
async def test_the_operator_need_not_wait(scene: Scene) -> None:
    source = await scene.begin(ONE)
    source.look()
    await scene.passes(3)
    assert scene.told.since() == ["heard"]
    assert [asked.wait for asked in scene.consul.asked[1:]] == [WAIT, 1, WAIT]
    await scene.consul.die()
    assert await scene.hears() == ["failed"]
    source.look()
    scene.clock.advance(0)
    assert await scene.hears() == ["failed"]


@in_reactor
async def test_nothing_is_left_of_a_source_that_is_stopped_while_it_waits(scene: Scene) -> None:
    source = await scene.begin(ONE)
    source.stop()
    await until(lambda: not scene.consul.connections, "the end of the connection")
    assert scene.clock.getDelayedCalls() == []
    scene.consul.set(TWO)
    source.look()
    await scene.passes(100)
    assert scene.told.since() == []
    assert scene.clock.getDelayedCalls() == []


@in_reactor
async def test_nothing_is_left_of_a_source_that_is_stopped_between_two_queries(scene: Scene) -> None:
    source = await scene.begin(ONE)
    await scene.set(TWO)
    assert scene.consul.connections == 1  # kept for the next one
    source.stop()
    await until(lambda: not scene.consul.connections, "the end of the connection")
    assert scene.clock.getDelayedCalls() == []


@in_reactor
async def test_nothing_is_left_of_a_source_that_is_stopped_while_it_connects_or_after_a_failure(scene: Scene) -> None:
    scene.consul.listen()
    scene.start().stop()
    await settle()
    assert scene.consul.connections == 0
    source = scene.start()
    await scene.consul.die()
    assert await scene.hears() == ["failed"]
    source.stop()
    assert scene.clock.getDelayedCalls() == []
    await scene.passes(100)
    assert scene.told.since() == []


@in_reactor
async def test_a_source_may_be_stopped_by_what_it_tells(scene: Scene) -> None:
    scene.consul.set(ONE)
    scene.consul.listen()
    scene.told.changed = lambda entries: scene.sources[0].stop()  # type: ignore[method-assign]
    scene.start()
    await until(lambda: scene.consul.asked and not scene.consul.connections, "the end of the connection")
    assert scene.clock.getDelayedCalls() == []


@in_reactor
async def test_https_with_a_certificate_of_our_own(scene: Scene, authority: Authority) -> None:
    scene.consul.set(ONE)
    scene.consul.listen(own=authority.issue("127.0.0.1"), clients=authority)
    scene.start(f"?ca={authority.file}&cert={authority.issue('client').file}", scheme="consuls")
    assert await scene.hears() == ["changed"]
    await scene.waits()
    assert await scene.set(TWO) == ["192.0.2.2:80 weight=1"]


@in_reactor
async def test_a_consul_of_another_name_or_authority_is_not_asked(
    scene: Scene, authority: Authority, stranger: Authority
) -> None:
    scene.consul.token = TOKEN
    scene.consul.listen(own=authority.issue("consul.example"))
    scene.start(f"?ca={authority.file}&token={TOKEN}", scheme="consuls")
    assert await scene.hears() == ["failed"]
    assert "the certificate is not one for 127.0.0.1; " in scene.told.reasons[0]
    scene.start(f"?ca={stranger.file}&token={TOKEN}", scheme="consuls")
    assert await scene.hears() == ["failed"]
    assert "the peer's certificate is not accepted" in scene.told.reasons[1]
    scene.start(f"?token={TOKEN}")
    assert await scene.hears() == ["failed"]
    assert scene.consul.asked == []


@in_reactor
async def test_a_file_that_cannot_be_used_is_found_by_the_check_and_later_is_a_failure(
    scene: Scene, authority: Authority, tmp_path: Path
) -> None:
    scene.consul.listen(own=authority.issue("127.0.0.1"))
    with pytest.raises(BadAddress, match="nonexistent: No such file or directory"):
        scene.start("?ca=/nonexistent", scheme="consuls")
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.file.read_bytes())
    source = scene.start(f"?ca={file}", scheme="consuls")
    file.unlink()
    source.stop()
    source.start(scene.told)
    assert await scene.hears() == ["failed"]
    assert str(file) in scene.told.reasons[0]
