from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from proxymux.core.redis_cluster.talk import command
from proxymux.core.redis_cluster.topology import Topology
from proxymux.core.target import parse_address
from proxymux.discovery.http_connections import AskingFailed
from proxymux.discovery.redis_cluster.address import parse_redis_cluster_address
from proxymux.discovery.redis_cluster.question import LIMIT, Questions
from tests.discovery.redis_cluster.conftest import MakeNode
from tests.discovery.redis_cluster.stand_in import StandInNode
from tests.services.certificates import Authority
from tests.services.peers import in_reactor, settle, until

SHARDS = (b"CLUSTER", b"SHARDS")


class Asker:
    """Asks nodes, on a clock of its own."""

    def __init__(self, text: str) -> None:
        from twisted.internet import reactor

        self.clock = Clock()
        self._questions = Questions(reactor, self.clock, parse_redis_cluster_address(text))  # type: ignore[arg-type]

    def ask(self, node: StandInNode) -> Deferred[Topology]:
        return self._questions.ask(parse_address(node.address))


async def problem_of(asked: Deferred[Any]) -> str:
    with pytest.raises(AskingFailed) as failed:
        await asked
    return str(failed.value)


@in_reactor
async def test_a_node_is_asked_and_the_connection_given_up(make_node: MakeNode) -> None:
    node = make_node()
    node.say(node)
    asker = Asker("rediscluster://h")
    topology = await asker.ask(node)
    assert topology.primaries == (parse_address(node.address),)
    assert node.asked == [SHARDS]
    await until(lambda: not node.connections, "the end of the connection")
    assert asker.clock.getDelayedCalls() == []


@in_reactor
async def test_it_logs_in_first(make_node: MakeNode) -> None:
    node = make_node()
    node.say(node)
    node.answers[b"AUTH", b"u", b"secret"] = b"+OK\r\n"
    assert (await Asker("rediscluster://u:secret@h").ask(node)).slots.served == 16384
    node.answers[b"AUTH", b"u", b"secret"] = b"-WRONGPASS not secret\r\n"
    assert await problem_of(Asker("rediscluster://u:secret@h").ask(node)) == "the login is refused: WRONGPASS"


@in_reactor
async def test_no_answer_in_time_is_a_failure(make_node: MakeNode) -> None:
    node = make_node()
    asker = Asker("rediscluster://h")
    asked = asker.ask(node)
    await until(lambda: node.asked, "the question")
    asker.clock.advance(LIMIT)
    assert await problem_of(asked) == "no answer within 3 s"
    await until(lambda: not node.connections, "the end of the connection")


@in_reactor
async def test_a_node_that_is_not_there_or_leaves_is_a_failure(make_node: MakeNode) -> None:
    node = make_node()
    asker = Asker("rediscluster://h")
    asked = asker.ask(node)
    await until(lambda: node.asked, "the question")
    for connection in node.connections:
        connection.transport.loseConnection()  # type: ignore[union-attr]
    assert await problem_of(asked) == "it has closed the connection without an answer"
    gone = parse_address(node.address)
    await node.die()
    from twisted.internet import reactor

    questions = Questions(reactor, asker.clock, parse_redis_cluster_address("rediscluster://h"))  # type: ignore[arg-type]
    assert "refused" in await problem_of(questions.ask(gone))


@in_reactor
async def test_one_that_is_cancelled_leaves_nothing(make_node: MakeNode) -> None:
    node = make_node()
    asker = Asker("rediscluster://h")
    asked = asker.ask(node)
    await until(lambda: node.asked, "the question")
    asked.cancel()
    with pytest.raises(CancelledError):
        await asked
    await until(lambda: not node.connections, "the end of the connection")
    assert asker.clock.getDelayedCalls() == []


@in_reactor
async def test_nothing_comes_of_what_is_sent_after_the_answer(make_node: MakeNode) -> None:
    node = make_node()
    node.answers[SHARDS] = b"*0\r\n"
    assert await problem_of(Asker("rediscluster://h").ask(node)) == "no slot is served"
    node.answers[SHARDS] = b"-LOADING\r\n" + command(b"x") * 10
    assert "nobody has asked for" in await problem_of(Asker("rediscluster://h").ask(node))
    await settle()


@in_reactor
async def test_tls_is_verified(make_node: MakeNode, authority: Authority, stranger: Authority) -> None:
    node = make_node(authority.issue("127.0.0.1"))
    node.say(node, tls=True)
    topology = await Asker(f"redisclusters://h?ca={authority.file}").ask(node)
    assert topology.primaries == (parse_address(node.address),)
    problem = await problem_of(Asker(f"redisclusters://h?ca={stranger.file}").ask(node))
    assert problem.startswith("the peer's certificate is not accepted")
    assert node.asked == [SHARDS]
    assert "No such file" in await problem_of(Asker("redisclusters://h?ca=/no/file").ask(node))
