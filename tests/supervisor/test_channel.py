"""The channel: messages and descriptors between the supervisor and a worker."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from proxymux.net.reactor.twisted_types import installed_reactor
from proxymux.supervisor import channel as channel_module
from proxymux.supervisor.channel import Channel, Message, open_channel, receive_first, send_now
from tests.services.peers import in_reactor, settle, turns, until


class Side:
    """A channel, with what it has been told."""

    def __init__(self, sock: socket.socket) -> None:
        self.messages: list[Message] = []
        self.descriptors: list[int] = []
        self.lost = 0
        self.channel = Channel(self._received, self._lost)
        open_channel(installed_reactor(), sock, self.channel)

    def _received(self, message: Message, descriptors: list[int]) -> None:
        self.messages.append(message)
        self.descriptors += descriptors

    def _lost(self) -> None:
        self.lost += 1

    async def has(self, count: int) -> list[Message]:
        await until(lambda: len(self.messages) >= count, f"{count} messages")
        return self.messages


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    pair = socket.socketpair()
    yield pair
    for end in pair:
        end.close()


@in_reactor
async def test_messages_and_descriptors_go_both_ways_and_stay_together(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    one, other = Side(ends[0]), Side(ends[1])
    reader, writer = os.pipe()
    one.channel.send({"a": 1})
    one.channel.send({"b": 2}, [reader, writer])
    other.channel.send({"c": "\N{SNOWMAN}", "long": "x" * 300_000})
    assert await other.has(2) == [{"a": 1}, {"b": 2}]
    assert await one.has(1) == [{"c": "\N{SNOWMAN}", "long": "x" * 300_000}]
    os.close(reader)
    os.close(writer)
    os.write(other.descriptors[1], b"through")
    assert os.read(other.descriptors[0], 99) == b"through"
    for descriptor in other.descriptors:
        os.close(descriptor)
    one.channel.close()
    await until(lambda: one.lost and other.lost, "the end")
    assert (one.lost, other.lost) == (1, 1)
    one.channel.send({"too": "late"})


@in_reactor
async def test_a_message_may_come_in_any_pieces(ends: tuple[socket.socket, socket.socket]) -> None:
    side = Side(ends[0])
    data = b"".join(struct.pack("!I", len(text)) + text for text in (b'{"a": 1}', b'{"b": [2, 3]}'))
    for place in range(len(data)):
        ends[1].send(data[place : place + 1])
        await settle()
    assert side.messages == [{"a": 1}, {"b": [2, 3]}]
    ends[1].close()
    await until(lambda: side.lost, "the end")


@in_reactor
async def test_a_message_that_cannot_be_understood_does_not_end_the_channel(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(channel_module, "_LOG", SimpleNamespace(failure=lines.append))
    side = Side(ends[0])
    side.channel._received = lambda message, _: {"known": side.messages.append}[message["is"]](message)
    for what in ("unknown", "known"):
        send_now(ends[1], {"is": what})
    assert await side.has(1) == [{"is": "known"}]
    assert lines == ["a message of the other process could not be understood"]
    ends[1].close()
    await until(lambda: side.lost, "the end")


@in_reactor
async def test_too_long_a_message_ends_the_channel(ends: tuple[socket.socket, socket.socket]) -> None:
    side = Side(ends[0])
    ends[1].send(struct.pack("!I", (64 << 20) + 1))
    await until(lambda: side.lost, "the end")
    assert ends[1].recv(1) == b""
    assert side.messages == []


@in_reactor
async def test_descriptors_without_a_message_are_bounded_and_closed(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    side = Side(ends[0])
    reader, writer = os.pipe()
    used = len(os.listdir("/proc/self/fd"))
    ends[1].send(struct.pack("!I", 1000))  # of a message that does not come
    for _ in range(100):
        socket.send_fds(ends[1], [b"x"], [reader])
        await turns(2)
    assert len(os.listdir("/proc/self/fd")) <= used + 64
    ends[1].close()
    await until(lambda: side.lost, "the end")
    os.close(reader)
    os.close(writer)


@in_reactor
async def test_a_message_that_names_more_descriptors_than_came_gets_those(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    side = Side(ends[0])
    text = b'{"do": "lend", "descriptors": 2}'
    ends[1].send(struct.pack("!I", len(text)) + text)
    assert await side.has(1) == [{"do": "lend"}]
    assert side.descriptors == []
    ends[1].close()
    await until(lambda: side.lost, "the end")


# Without a reactor


def test_the_first_message_is_waited_for(ends: tuple[socket.socket, socket.socket]) -> None:
    message: dict[str, Any] = {"launch": "x" * 500_000}
    sender = threading.Thread(target=send_now, args=(ends[0], message))
    sender.start()
    assert receive_first(ends[1]) == message
    sender.join()


def test_an_end_before_the_first_message_is_an_error(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[0].send(struct.pack("!I", 100) + b'{"a')
    ends[0].close()
    with pytest.raises(EOFError):
        receive_first(ends[1])
    with pytest.raises(OSError, match="Broken pipe"):
        send_now(ends[1], {})
