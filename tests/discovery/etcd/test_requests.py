"""Requests: members that do not answer, tokens, limits, and what may be shown of an error."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher

from proxymux.discovery.etcd import http, requests
from proxymux.discovery.etcd.requests import REQUEST_TIMEOUT
from tests.discovery.etcd.stand_in import Answer, Asked, always, client_of, error, pairs, refused, standing_in
from tests.services.peers import in_reactor, settle, until

PAIR: Answer = {"kvs": pairs({"k": "v"})}
NO_TOKEN = error("etcdserver: invalid auth token", 16, 401)


@in_reactor
async def test_the_connection_is_kept_for_the_next_request() -> None:
    with standing_in(always(PAIR)) as etcd:
        client = client_of(etcd.address)
        for _ in range(3):
            assert await client.get(b"k") == b"v"
        assert len(etcd.connections) == 1
        assert etcd.asked[0] == Asked("kv/range", {"key": "aw=="}, None)
        client.close()
        await until(lambda: not etcd.connections, "the connection to be closed")
        await refused(client.get(b"k"), "closed")


@in_reactor
async def test_connections_are_not_logged() -> None:
    lines: list[str | None] = []
    observe: Any = lambda event: lines.append(formatEvent(event))  # noqa: E731
    with standing_in(always(PAIR)) as etcd:
        client = client_of(etcd.address)
        globalLogPublisher.addObserver(observe)
        await client.get(b"k")
        client.close()
        await until(lambda: not etcd.connections, "the connection to be closed")
        globalLogPublisher.removeObserver(observe)
    assert lines == []


@in_reactor
async def test_one_after_another_is_asked_and_the_one_that_answered_is_asked_first() -> None:
    with (
        standing_in(always(error("etcdserver: no leader", 14, 503))) as lost,
        standing_in(always((502, {"oh": "no"}))) as other,
        standing_in(always(PAIR)) as good,
    ):
        client = client_of(lost.address, other.address, good.address)
        for _ in range(2):
            assert await client.get(b"k") == b"v"
        assert [len(each.asked) for each in (lost, other, good)] == [1, 1, 2]
        client.close()


@in_reactor
async def test_an_error_is_an_answer() -> None:
    with standing_in(always(error("etcdserver: key is\nnot provided", 3))) as etcd, standing_in(always(PAIR)) as other:
        client = client_of(etcd.address, other.address)
        problem = await refused(client.get(b""), f"^{etcd.address}: etcdserver: key is not provided$")
        assert (problem.code, problem.is_unsure) == (3, False)
        assert other.asked == []
        client.close()


@in_reactor
async def test_what_may_have_been_created_is_not_asked_for_again() -> None:
    with standing_in(always(b"HTTP/1.1 200 OK\r\n\r\n<html>")) as etcd, standing_in(always(PAIR)) as other:
        etcd.answer = always(error("etcdserver: request timed out", 14, 503))
        client = client_of(etcd.address, other.address)
        problem = await refused(client.create(b"k", b"v"), "request timed out")
        assert problem.is_unsure
        assert other.asked == []
        client.close()


@in_reactor
async def test_a_member_that_says_nothing_is_given_up_in_time() -> None:
    clock = Clock()
    with standing_in(always(None)) as etcd, standing_in(always(PAIR)) as other:
        client = client_of(etcd.address, other.address, clock=clock)
        asking = client.get(b"k")
        await until(lambda: etcd.asked, "the request")
        clock.advance(http.ANSWER_TIMEOUT)
        assert await asking == b"v"
        await until(lambda: not etcd.connections, "the connection to be closed")
        other.answer = always(None)
        asking = client.get(b"k")
        await until(lambda: len(other.asked) == 2, "the request")
        clock.advance(http.ANSWER_TIMEOUT)
        await until(lambda: len(etcd.asked) == 2, "the next")
        clock.advance(REQUEST_TIMEOUT - http.ANSWER_TIMEOUT)
        assert (await refused(asking, "no answer within")).is_unsure
        client.close()
    assert [call for call in clock.getDelayedCalls() if call.active()] == []


@in_reactor
async def test_a_part_of_an_answer_is_given_up_in_time_too() -> None:
    clock = Clock()
    with standing_in(always(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")) as etcd:
        client = client_of(etcd.address, clock=clock)
        creating = client.create(b"k", b"v")
        await until(lambda: etcd.asked, "the request")
        await settle()
        clock.advance(http.ANSWER_TIMEOUT)
        assert (await refused(creating, f"^{etcd.address}: no answer within 5 s$")).is_unsure
        await until(lambda: not etcd.connections, "the connection to be closed")
        client.close()


@in_reactor
async def test_a_long_answer_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LONGEST_ANSWER", 1 << 20)
    with standing_in(always(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (3 << 20) + bytes(3 << 20))) as etcd:
        client = client_of(etcd.address)
        await refused(client.get(b"k"), "the answer has more than 1 MiB")
        await until(lambda: not etcd.connections, "the connection to be closed")
        client.close()


@in_reactor
@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 302 Found\r\nLocation: http://h:1/\r\nContent-Length: 0\r\n\r\n", (200, []), (404, {})]
)
async def test_what_is_no_answer_of_etcds_is_said_to_be_none(answer: Any) -> None:
    with standing_in(always(answer)) as etcd:
        client = client_of(etcd.address)
        await refused(client.get(b"k"), "an answer that is none of etcd's")
        client.close()


@in_reactor
@pytest.mark.parametrize("part", [None, b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
async def test_what_is_cancelled_is_not_asked_again(part: Answer) -> None:
    with standing_in(always(part)) as etcd, standing_in(always(PAIR)) as other:
        client = client_of(etcd.address, other.address)
        asking = client.get(b"k")
        await until(lambda: etcd.asked, "the request")
        await settle()
        asking.cancel()
        with pytest.raises(CancelledError):
            await asking
        asking = client.get(b"k")
        await until(lambda: len(etcd.asked) == 2, "the next request")
        client.close()
        await refused(asking, "closed")
        await until(lambda: not etcd.connections, "the connections to be closed")
        await settle()
        assert other.asked == []


@in_reactor
async def test_a_token_is_asked_for_once_and_anew_when_it_is_not_valid_any_more() -> None:
    tokens = iter(["one", "two"])
    valid = {"one"}

    def answer(asked: Asked) -> Answer:
        if asked.path == "auth/authenticate":
            assert asked.body == {"name": "root", "password": "s@cret"}
            return {"token": next(tokens)}
        return PAIR if asked.token in valid else NO_TOKEN

    with standing_in(answer) as etcd:
        client = client_of(etcd.address, login="root:s%40cret@")
        asking = [client.get(b"k") for _ in range(5)]
        assert [await each for each in asking] == [b"v"] * 5
        assert etcd.paths.count("auth/authenticate") == 1
        valid.clear()
        valid.add("two")
        asking = [client.get(b"k") for _ in range(5)]
        assert [await each for each in asking] == [b"v"] * 5
        assert etcd.paths.count("auth/authenticate") == 2
        client.close()


@in_reactor
async def test_a_user_that_etcd_does_not_ask_for_is_no_error() -> None:
    def answer(asked: Asked) -> Answer:
        if asked.path == "auth/authenticate":
            return error("etcdserver: authentication is not enabled", 9, 412)
        assert asked.token is None
        return PAIR

    with standing_in(answer) as etcd:
        client = client_of(etcd.address, login="root:s3cret@")
        assert await client.get(b"k") == b"v"
        assert await client.get(b"k") == b"v"
        assert etcd.paths == ["auth/authenticate", "kv/range", "kv/range"]
        client.close()


@in_reactor
async def test_a_password_is_not_shown_even_where_etcd_repeats_it() -> None:
    with standing_in(lambda asked: error(f"bad request: {asked.body}", 3)) as etcd:
        client = client_of(etcd.address, login="root:s3cret@")
        problem = await refused(client.get(b"k"), "bad request")
        assert "s3cret" not in f"{problem} {problem!r} {problem.__cause__!r}"
        assert "s3cret" not in f"{client.address!r} {client.address}"
        client.close()


@in_reactor
async def test_no_more_requests_run_or_wait_than_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MOST_WAITING", 2)
    with standing_in(always(None)) as etcd:
        client = client_of(etcd.address)
        asking = [client.get(b"k") for _ in range(requests.MOST_AT_ONCE + 2)]
        await refused(client.get(b"k"), "more than 2 requests wait")
        await until(lambda: len(etcd.asked) == requests.MOST_AT_ONCE, "the requests")
        asking.pop().addErrback(lambda _: None).cancel()
        failing = client.get(b"k")  # there is a place again
        client.close()
        for each in (*asking, failing):
            await refused(each, "closed")
        assert len(etcd.asked) == requests.MOST_AT_ONCE
