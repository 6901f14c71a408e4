"""Asking one name server, over UDP and TCP, on real sockets."""

from __future__ import annotations

import contextlib
import socket
from typing import Any, cast

import pytest
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor
from twisted.names import dns

from proxymux.discovery.dns_question import PATIENCE, RESEND, NameServer, Question, ask
from proxymux.net.reactor.twisted_types import Reactor, installed_reactor
from tests.discovery.name_server import NAME, ScriptedServer, framed, record, reply_to
from tests.services.peers import in_reactor, settle, until


class Asking:
    """A question that is under way."""

    def __init__(self, server: NameServer, reactor: Reactor | None = None) -> None:
        self.clock = Clock()
        self.answered = Deferred.fromCoroutine(ask(reactor or installed_reactor(), self.clock, server, NAME))

    async def targets(self) -> list[str]:
        """The targets in the answer, when it has come."""
        await until(lambda: self.answered.called, "an answer")
        answer = await self.answered
        assert self.clock.getDelayedCalls() == []
        return [str(each.payload.target) for each in cast("list[Any]", answer.answers)]

    async def fails(self, kind: type[Exception], match: str | None = None) -> None:
        await until(lambda: self.answered.called, "a failure")
        with pytest.raises(kind, match=match):
            await self.answered
        assert self.clock.getDelayedCalls() == []


async def truncated(name_server: ScriptedServer) -> tuple[Asking, dns.Message, socket.socket]:
    """A question that is asked over TCP by now."""
    asking = Asking(name_server.server)
    name_server.reply(reply_to(await name_server.asked(), trunc=1))
    return asking, *await name_server.asked_over_tcp()


@in_reactor
async def test_an_answer_comes_over_udp(name_server: ScriptedServer) -> None:
    asking = Asking(name_server.server)
    question = await name_server.asked()
    assert (str(question.queries[0].name), question.queries[0].type, question.recDes) == (NAME, dns.SRV, 1)
    name_server.reply(reply_to(question, record("a"), record("b")))
    assert await asking.targets() == ["a", "b"]


@in_reactor
async def test_a_server_may_have_an_ipv6_address() -> None:
    with contextlib.closing(ScriptedServer("::1")) as name_server:
        asking = Asking(name_server.server)
        name_server.reply(reply_to(await name_server.asked(), trunc=1))
        question, stream = await name_server.asked_over_tcp()
        with stream:
            stream.send(framed(reply_to(question, record("a"))))
            assert await asking.targets() == ["a"]


@in_reactor
async def test_a_question_that_is_lost_is_sent_again(name_server: ScriptedServer) -> None:
    asking = Asking(name_server.server)
    first = await name_server.asked()
    asking.clock.advance(RESEND)
    second = await name_server.asked()
    assert second.id == first.id
    name_server.reply(reply_to(second, record("a")))
    assert await asking.targets() == ["a"]


@in_reactor
async def test_a_server_that_does_not_answer_is_given_up(name_server: ScriptedServer) -> None:
    asking = Asking(name_server.server)
    for _ in range(int(PATIENCE / RESEND)):
        await name_server.asked()
        asking.clock.advance(RESEND)
    asking.clock.advance(PATIENCE % RESEND)
    await asking.fails(TimeoutError)


@in_reactor
async def test_what_is_no_answer_to_the_question_is_not_believed(name_server: ScriptedServer) -> None:
    asking = Asking(name_server.server)
    question = await name_server.asked()
    good = reply_to(question, record("good"))
    other = dns.Query("_other._tcp.example.com", dns.SRV, dns.IN)
    for bad in (
        b"",
        good[:11],
        good[:-1],  # a record is missing
        bytes(range(256)),
        good[:12] + b"\xc0\x0c" + good[14:],  # a name that leads to itself
        reply_to(question, record("bad"), id=question.id ^ 1),
        reply_to(question, record("bad"), answer=0),
        reply_to(question, record("bad"), queries=[other]),
        reply_to(question, record("bad"), queries=[]),
    ):
        name_server.reply(bad)
    await settle()
    assert not asking.answered.called
    name_server.reply(good)
    assert await asking.targets() == ["good"]


@in_reactor
async def test_an_answer_from_another_address_is_not_taken(name_server: ScriptedServer) -> None:
    asking = Asking(name_server.server)
    question = await name_server.asked()
    with contextlib.closing(ScriptedServer()) as stranger:
        stranger._client = name_server._client
        stranger.reply(reply_to(question, record("bad")))
        await settle()
    assert not asking.answered.called
    name_server.reply(reply_to(question, record("good")))
    assert await asking.targets() == ["good"]


def test_a_server_that_cannot_read_the_question_may_leave_it_out() -> None:
    question = Question(NAME)
    message = dns.Message()
    message.fromStr(question.data)
    answer = question.read(reply_to(message, queries=[], rCode=dns.EFORMAT))
    assert answer is not None
    assert answer.rCode == dns.EFORMAT


@in_reactor
async def test_where_nobody_listens_the_system_says_so_at_once(name_server: ScriptedServer) -> None:
    name_server.close()
    asking = Asking(name_server.server)
    await asking.fails(OSError, "refused")
    assert asking.clock.seconds() == 0


@in_reactor
async def test_an_answer_that_is_too_long_is_asked_for_over_tcp(name_server: ScriptedServer) -> None:
    asking, question, stream = await truncated(name_server)
    names = [f"a{number}.example.com" for number in range(1700)]
    data = framed(reply_to(question, *map(record, names)))
    assert len(data) > 55_000
    with stream:
        for start in range(0, len(data), 10_000):
            stream.send(data[start : start + 10_000])
            await settle()
        assert await asking.targets() == names
        await settle()
        with pytest.raises(ConnectionResetError):
            stream.recv(1)


def test_the_largest_answer_is_read_even_if_all_its_names_are_compressed() -> None:
    question = Question(NAME)
    message = dns.Message()
    message.fromStr(question.data)
    beginning = reply_to(message)
    compressed = b"\xc0\x0c" + bytes.fromhex("0021 0001 0000003c 0008 0000 0000 0050") + b"\xc0\x0c"
    count = (65535 - len(beginning)) // len(compressed)
    answer = question.read(beginning[:6] + count.to_bytes(2, "big") + beginning[8:] + count * compressed)
    assert answer is not None
    assert len(answer.answers) == count > 3000


@in_reactor
@pytest.mark.parametrize("flags", [{"trunc": 1}, {"id": 1}], ids=["truncated", "of another number"])
async def test_a_bad_answer_over_tcp_ends_the_question(name_server: ScriptedServer, flags: dict[str, int]) -> None:
    asking, question, stream = await truncated(name_server)
    with stream:
        stream.send(framed(reply_to(question, record("bad"), **{**flags, "id": question.id ^ flags.get("id", 0)})))
        await asking.fails(OSError, "its answer over TCP is not one to the question")


@in_reactor
async def test_a_server_that_closes_the_connection_or_waits_too_long_is_given_up(name_server: ScriptedServer) -> None:
    asking, _, stream = await truncated(name_server)
    stream.close()
    await asking.fails(ConnectionDone)
    asking, _, stream = await truncated(name_server)
    with stream:
        asking.clock.advance(PATIENCE)
        await asking.fails(TimeoutError)


@in_reactor
async def test_a_server_without_tcp_is_given_up(name_server: ScriptedServer) -> None:
    asking = Asking(name_server.server)
    question = await name_server.asked()
    name_server._listener.close()
    name_server.reply(reply_to(question, trunc=1))
    await asking.fails(ConnectionRefusedError)


@in_reactor
async def test_a_question_over_udp_is_cancelled(name_server: ScriptedServer) -> None:
    asking = Asking(name_server.server)
    await name_server.asked()
    asking.answered.cancel()
    await asking.fails(CancelledError)


@in_reactor
async def test_a_question_over_tcp_is_cancelled(name_server: ScriptedServer) -> None:
    asking, _, stream = await truncated(name_server)
    with stream:
        asking.answered.cancel()
        await asking.fails(CancelledError)
        await settle()
        with pytest.raises(ConnectionResetError):
            stream.recv(1)


class NeverConnected:
    """The reactor, whose TCP connections are never made."""

    def __init__(self) -> None:
        self.memory: Any = MemoryReactor()
        self.connectTCP = self.memory.connectTCP

    def __getattr__(self, name: str) -> Any:
        return getattr(installed_reactor(), name)


@in_reactor
@pytest.mark.parametrize("is_stopped", [True, False])
async def test_a_connect_that_hangs_is_given_up_or_cancelled(name_server: ScriptedServer, is_stopped: bool) -> None:
    reactor = NeverConnected()
    asking = Asking(name_server.server, cast("Reactor", reactor))
    name_server.reply(reply_to(await name_server.asked(), trunc=1))
    await settle()
    (connector,) = reactor.memory.connectors
    if is_stopped:
        asking.answered.cancel()
    else:
        asking.clock.advance(PATIENCE)
    await asking.fails(CancelledError if is_stopped else TimeoutError)
    assert connector.stoppedConnecting
