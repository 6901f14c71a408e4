"""Taking: the successor has what was given to it, whatever becomes of the old worker, and nothing else."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable

import pytest

from proxymux.supervisor.handover import packets as packets_module
from proxymux.supervisor.handover.packets import FORMAT, Kind
from tests.conftest import open_sockets
from tests.services.peers import Net, in_reactor, settle, until
from tests.supervisor.conftest import Joined
from tests.supervisor.handover.pair import End, Packet, Pair, answers

#: What an old worker gives that has one session of a client and an upstream.
Given = tuple[End, list[Packet]]


async def offered(pair: Pair) -> tuple[End, End]:
    """A handover to where the successor has been sent a batch: the old worker's other end, and the successor's."""
    end, packets = await pair.freeze()
    taker = pair.take()
    await taker.receive(Kind.HELLO)
    for packet in packets:
        taker.send(*packet)
    return end, taker


@in_reactor
async def test_it_says_what_it_can_take(joined: Joined) -> None:
    pair, _, _ = await joined()
    _, payload, _ = await pair.take().receive(Kind.HELLO)
    said = json.loads(payload)
    assert said["format"] == FORMAT
    assert 100 < said["descriptors"] == pair.new.service.room


@pytest.mark.parametrize("step", ["acknowledged", "committed"])
@in_reactor
async def test_what_was_acknowledged_outlives_the_old_worker(joined: Joined, step: str) -> None:
    pair, client, upstream = await joined()
    end, taker = await offered(pair)
    await client.send(b"meanwhile")
    await taker.receive(Kind.ACK)
    if step == "committed":
        taker.send(Kind.COMMIT)
        await until(lambda: pair.owned[1], "the session")
    else:
        assert pair.owned == (1, 0)
    taker.close()
    await until(lambda: pair.owned[1], "the session")
    # Its death closes the old worker's descriptors, and does nothing else to them.
    end.send(Kind.ACK)
    await until(lambda: pair.owned == (0, 1), "the old worker to be gone")
    assert await upstream.receive(9) == b"meanwhile"
    await answers(client, upstream)
    client.close()
    upstream.close()
    assert (await pair.new.record()).bytes_in == 5 + 9 + 8


@pytest.mark.parametrize("step", ["hello", "data", "batch"])
@in_reactor
async def test_an_old_worker_that_ends_before_it_was_answered_has_given_nothing(joined: Joined, step: str) -> None:
    pair, client, upstream = await joined()
    end, packets = await pair.freeze()
    taker = pair.take()
    if step == "hello":
        await taker.receive(Kind.HELLO)
    for packet in packets[: {"hello": 0, "data": -1, "batch": None}[step]]:
        taker.send(*packet)
    taker.close()  # with HELLO unread: the successor reads ECONNRESET, then what was queued
    for descriptor in packets[-1][2] if step != "batch" else ():
        os.close(descriptor)
    await settle()
    assert pair.owned == (1, 0)
    end.send(Kind.NACK)
    await answers(client, upstream)


@in_reactor
async def test_an_abort_that_was_queued_before_the_end_counts(joined: Joined) -> None:
    pair, client, upstream = await joined()
    end, taker = await offered(pair)
    await until(lambda: _has_something(taker), "the acknowledgement")
    taker.send(Kind.ABORT)
    taker.close()  # with ACK unread
    await settle()
    assert pair.owned == (1, 0)
    end.send(Kind.NACK)
    await answers(client, upstream)


def _has_something(end: End) -> bool:
    try:
        return bool(end._socket.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


@in_reactor
async def test_a_commit_that_was_queued_before_the_end_counts(joined: Joined) -> None:
    pair, client, upstream = await joined()
    end, taker = await offered(pair)
    await until(lambda: _has_something(taker), "the acknowledgement")
    taker.send(Kind.COMMIT)
    taker.send(Kind.END)
    taker.close()
    await until(lambda: pair.owned == (1, 1), "the session")
    end.send(Kind.ACK)
    await until(lambda: pair.owned == (0, 1), "the old worker to be gone")
    await answers(client, upstream)


# What is not whole is refused, and nothing of it stays open


def spoilt(packet: Packet, **changes: int) -> Packet:
    kind, payload, descriptors = packet
    header = json.loads(payload)
    for name, change in changes.items():
        header[name] += change
    return kind, json.dumps(header).encode(), descriptors


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda data, batch: ((), batch), "ValueError: a batch is not whole"),
        (lambda data, batch: ((data, data), batch), "ValueError: a batch is not whole"),
        (lambda data, batch: ((data,), spoilt(batch, descriptors=1)), "ValueError: a batch is not whole"),
        (lambda data, batch: ((data,), spoilt(batch, states=-1)), "JSONDecodeError: "),
        (lambda data, batch: ((data,), (batch[0], b"{}", batch[2])), "KeyError: 'data'"),
        (lambda data, batch: ((data,), (batch[0], b"[]", batch[2])), "TypeError: "),
        (lambda data, batch: ((data,), (batch[0], b"", batch[2])), "JSONDecodeError: "),
    ],
)
@in_reactor
async def test_what_is_not_whole_is_refused(
    joined: Joined, spoil: Callable[[Packet, Packet], tuple[tuple[Packet, ...], Packet]], told: str
) -> None:
    pair, client, upstream = await joined()
    end, (data, batch) = await pair.freeze()
    taker = pair.take()
    await taker.receive(Kind.HELLO)
    before = open_sockets()
    parts, batch = spoil(data, batch)
    for part in parts:
        taker.send(*part)
    taker.send(*batch)
    _, reason, _ = await taker.receive(Kind.NACK)
    assert reason.decode().startswith(told)
    assert open_sockets() == before
    end.send(Kind.NACK, reason)
    await answers(client, upstream)
    assert pair.owned == (1, 0)


@in_reactor
async def test_descriptors_that_are_no_sockets_or_too_few_are_refused_and_closed(joined: Joined) -> None:
    pair, client, upstream = await joined()
    end, (data, batch) = await pair.freeze()
    taker = pair.take()
    await taker.receive(Kind.HELLO)
    used = len(os.listdir("/proc/self/fd"))
    reader, writer = os.pipe()
    for descriptors, told in (([batch[2][0], reader], "OSError: "), ([writer], "ValueError: a batch is not whole")):
        taker.send(*data)
        taker.send(Kind.BATCH, batch[1], descriptors)
        assert (await taker.receive(Kind.NACK))[1].decode().startswith(told)
    assert len(os.listdir("/proc/self/fd")) == used - 1
    os.close(batch[2][1])
    end.send(Kind.NACK)
    await answers(client, upstream)


@in_reactor
async def test_more_data_than_a_batch_can_have_is_refused(joined: Joined, monkeypatch: pytest.MonkeyPatch) -> None:
    pair, client, upstream = await joined()
    monkeypatch.setattr("proxymux.supervisor.handover.taking.MOST_DATA", 100)
    pair.meet()
    await until(lambda: pair.given == [0], "the handover")
    assert any("refuses sessions: ValueError: a batch is not whole" in line for _, line in pair.old.lines)
    await answers(client, upstream)
    assert pair.owned == (1, 0)


@in_reactor
async def test_descriptors_that_the_system_has_cut_short_are_refused_and_closed(
    joined: Joined, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, client, upstream = await joined()
    # As where the process has no descriptor left: the message comes with fewer, and a flag.
    monkeypatch.setattr(packets_module, "_ANCILLARY", socket.CMSG_LEN(4))
    used = len(os.listdir("/proc/self/fd"))
    pair.meet()
    await until(lambda: pair.given == [0], "the handover")
    assert any("refuses sessions: ValueError: the descriptors have not come" in line for _, line in pair.old.lines)
    await settle()
    assert len(os.listdir("/proc/self/fd")) == used
    await answers(client, upstream)


# What fails when it is too late to refuse


@in_reactor
async def test_a_session_that_cannot_be_gone_on_with_is_lost_alone(
    start_pair: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch, net: Net
) -> None:
    pair = start_pair(lambda data: None)
    clients = [await pair.old.connect() for _ in range(2)]
    await until(lambda: pair.owned == (2, 0), "the clients")
    take, failures = pair.new.service.mover.take_connection, [OSError(28, "no more watches")]

    def fail_once(*arguments: object) -> object:
        if failures:
            raise failures.pop()
        return take(*arguments)

    monkeypatch.setattr(pair.new.service.mover, "take_connection", fail_once)
    lines: list[str] = []
    monkeypatch.setattr(pair.new.service.log, "failure", lines.append)
    pair.meet()
    await until(lambda: pair.given == [2], "the handover")
    await until(lambda: pair.owned == (0, 1), "the other session")
    assert pair.present == (0, 1)
    assert lines == ["a session that was handed over is lost because of an error in proxymux"]
    assert sum([client.has_something() for client in clients]) == 1
