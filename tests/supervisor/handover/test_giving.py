"""Giving: whatever the successor does, the old worker keeps what it has not given."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest
from twisted.internet.defer import Deferred

from proxymux.supervisor.handover.packets import FORMAT, Kind
from tests.services.peers import Peer, in_reactor, settle, until
from tests.supervisor.conftest import Joined
from tests.supervisor.handover.pair import End, Pair, answers


def hello(descriptors: int = 1000, version: int = FORMAT) -> bytes:
    return json.dumps({"format": version, "version": "1", "descriptors": descriptors}).encode()


async def stays(pair: Pair, client: Peer, upstream: Peer) -> None:
    """The one session goes on in the old worker, to its record."""
    await until(lambda: pair.given == [0], "the old worker to be done")
    await answers(client, upstream)
    assert pair.owned == pair.present == (1, 0)
    upstream.close()
    assert await client.read_all() == b""
    client.close()
    assert (await pair.old.record()).outcome == "completed"
    assert pair.counted[2] == 0


@pytest.mark.parametrize("step", ["hello", "greeted", "data", "batch", "acknowledged"])
@in_reactor
async def test_a_successor_that_dies_before_the_commit_leaves_all_where_it_was(joined: Joined, step: str) -> None:
    pair, client, upstream = await joined()
    end = pair.give()
    if step != "hello":
        end.send(Kind.HELLO, hello())
    if step in ("data", "batch", "acknowledged"):
        await end.receive(Kind.DATA)
    if step in ("batch", "acknowledged"):
        _, _, descriptors = await end.receive(Kind.BATCH)
        await client.send(b"meanwhile")
        for descriptor in descriptors:
            os.close(descriptor)
    if step == "acknowledged":
        end.send(Kind.ACK)
    end.close()
    if step in ("batch", "acknowledged"):
        assert await upstream.receive(9) == b"meanwhile"
    await stays(pair, client, upstream)


@pytest.mark.parametrize("step", ["hello", "batch"])
@in_reactor
async def test_a_successor_that_says_nothing_is_waited_for_5_s(joined: Joined, step: str) -> None:
    pair, client, upstream = await joined({"inactivity_timeout": 5.5})
    end, wanted = pair.give(), Kind.ABORT
    if step == "batch":
        end.send(Kind.HELLO, hello())
        await end.receive(Kind.DATA)
        for descriptor in (await end.receive(Kind.BATCH))[2]:
            os.close(descriptor)
    pair.clock.advance(4.9)
    await settle()
    assert pair.given == []
    pair.clock.advance(0.2)
    await end.receive(wanted)
    assert any(
        "has not answered within 5 s; the 1 sessions that are left stay here" in line for _, line in pair.old.lines
    )
    pair.clock.advance(0.3)
    await stays(pair, client, upstream)


@pytest.mark.parametrize(
    ("kind", "payload", "told"),
    [
        (Kind.NACK, b"no room", "the new worker refuses sessions: no room"),
        (Kind.HELLO, hello(version=2), "the new worker speaks version 2 of the handover, and this one 1"),
        (Kind.HELLO, b'{"format":"x"}', "the new worker speaks version x of the handover, and this one 1"),
        (Kind.HELLO, b"{}", "the new worker speaks version another of the handover, and this one 1"),
        (Kind.HELLO, b"\xff", "the new worker speaks version another of the handover, and this one 1"),
    ],
)
@in_reactor
async def test_a_successor_that_cannot_take_is_told_so_and_not_given_any(
    joined: Joined, kind: Kind, payload: bytes, told: str
) -> None:
    pair, client, upstream = await joined()
    if kind is Kind.NACK:
        end, packets = await pair.freeze()
        for descriptor in packets[-1][2]:
            os.close(descriptor)
    else:
        end = pair.give()
    end.send(kind, payload)
    await end.receive(Kind.ABORT)
    assert ("warn", f"{told}; the 1 sessions that are left stay here") in pair.old.lines
    await stays(pair, client, upstream)


@in_reactor
async def test_what_makes_no_sense_changes_nothing(joined: Joined) -> None:
    pair, client, upstream = await joined()
    end = pair.give()
    reader, writer = os.pipe()
    end.send(99, b"of a later version", [reader])
    end.send(Kind.ACK, b"", [writer])
    end.send(Kind.COMMIT)
    await settle()
    assert pair.given == []
    end.send(Kind.HELLO, hello())
    await end.receive(Kind.DATA)
    for descriptor in (await end.receive(Kind.BATCH))[2]:
        os.close(descriptor)
    end.close()
    await stays(pair, client, upstream)


@in_reactor
async def test_what_happens_to_a_frozen_session_waits_until_it_is_back(joined: Joined) -> None:
    pair, client, upstream = await joined()
    end, packets = await pair.freeze()
    for descriptor in packets[-1][2]:
        os.close(descriptor)
    (session,) = pair.old.service.sessions
    session.drain()  # by an operator, or as the time to drain is over
    assert pair.owned == (1, 0)
    end.send(Kind.NACK)
    assert await client.read_all() == b""
    assert await upstream.read_until_reset() == b""
    assert (await pair.old.record()).outcome == "drained"


@in_reactor
async def test_a_limit_that_passes_while_a_client_is_frozen_ends_it_once(start_pair: Callable[..., Pair]) -> None:
    pair = start_pair(lambda data: None, decide_timeout=3)
    client = await pair.old.connect()
    await client.send(b"h")
    await settle()
    end, packets = await pair.freeze()
    for descriptor in packets[-1][2]:
        os.close(descriptor)
    pair.clock.advance(4)
    assert pair.owned == (1, 0)
    end.close()
    assert await client.read_all() == b""
    assert (await pair.old.record()).outcome == "undecided"


@in_reactor
async def test_what_is_refused_by_the_system_is_back_at_once(joined: Joined, monkeypatch: pytest.MonkeyPatch) -> None:
    pair, client, upstream = await joined()
    end = pair.give()

    def refuse(*_: object) -> None:
        raise OSError(109, "Too many references: cannot splice")

    monkeypatch.setattr("socket.send_fds", refuse)
    end._socket.send(bytes([Kind.HELLO]) + hello())
    await end.receive(Kind.ABORT)
    monkeypatch.undo()
    await stays(pair, client, upstream)


# Batches


async def take_batch(end: End) -> list[int]:
    """Take a batch; the numbers of its sessions."""
    data = b""
    kind, payload, descriptors = await end.receive(Kind.DATA, Kind.BATCH)
    while kind is Kind.DATA:
        data += payload
        kind, payload, descriptors = await end.receive(Kind.DATA, Kind.BATCH)
    header = json.loads(payload)
    assert len(descriptors) == header["descriptors"] <= 252
    assert len(data) == header["data"]
    for descriptor in descriptors:
        os.close(descriptor)
    end.send(Kind.ACK)
    await end.receive(Kind.COMMIT)
    return [state["number"] for state in json.loads(data[: header["states"]])]


@in_reactor
async def test_a_broken_successor_costs_little_and_the_idle_go_first(start_pair: Callable[..., Pair]) -> None:
    pair = start_pair(lambda data: None)
    for number in range(12):
        await pair.old.connect()
        await until(lambda: len(pair.old.service.sessions) == number + 1, "the client")  # noqa: B023
        pair.clock.advance(1)
    end = pair.give()
    end.send(Kind.HELLO, hello())
    assert await take_batch(end) == [1]
    assert await take_batch(end) == list(range(2, 10))
    assert await take_batch(end) == [10, 11, 12]
    await end.receive(Kind.END)
    assert pair.given == [12]
    assert pair.owned == pair.present == (0, 0)


@in_reactor
async def test_it_gives_no_more_than_there_is_room_for(start_pair: Callable[..., Pair]) -> None:
    pair = start_pair(lambda data: None)
    for _ in range(6):
        await pair.old.connect()
    await until(lambda: len(pair.old.service.sessions) == 6, "the clients")
    end = pair.give()
    end.send(Kind.HELLO, hello(5))
    assert len(await take_batch(end)) == 1
    assert len(await take_batch(end)) == 2
    assert len(await take_batch(end)) == 1  # that leaves one descriptor, and a session may have two
    await until(lambda: pair.given == [4], "the old worker to be done")
    assert pair.owned == (2, 0)


@in_reactor
async def test_it_looks_again_every_second_until_no_session_is_left(start_pair: Callable[..., Pair]) -> None:
    asked: list[bytes] = []

    def proxy(data: bytes) -> Deferred[object]:
        asked.append(data)
        return Deferred(lambda _: None)

    pair = start_pair(proxy)
    client = await pair.old.connect()
    await client.send(b"hello")
    await until(lambda: asked, "the question")
    end = pair.give()
    end.send(Kind.HELLO, hello())
    await until(lambda: pair.given == [0], "the old worker to be done")
    pair.clock.advance(1)
    await settle()
    assert end.look() is None
    client.reset()
    await until(lambda: pair.owned == (0, 0), "the end of the session")
    pair.clock.advance(1)
    await end.receive(Kind.END)
    assert pair.given == [0]
