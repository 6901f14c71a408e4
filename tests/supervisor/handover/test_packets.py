"""The packets of a handover."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from proxymux.supervisor.handover.packets import (
    MAX_DESCRIPTORS,
    MAX_PACKET,
    Kind,
    PacketOwner,
    PacketSocket,
    close_all,
    decode,
    encode,
    in_pieces,
)
from tests.services.peers import in_reactor, settle, until
from tests.supervisor.handover.pair import socket_pair


class Owner(PacketOwner):
    """A socket, with what it has brought."""

    def __init__(self, sock: socket.socket) -> None:
        from twisted.internet import reactor

        self.packets: list[tuple[Kind, bytes, int, bool]] = []
        self.descriptors: list[int] = []
        self.errors: list[OSError] = []
        self.ends = 0
        self.socket = PacketSocket(reactor, sock, self)  # type: ignore[arg-type]
        self.socket.start()

    def packet(self, kind: Kind, payload: bytes, descriptors: list[int], is_whole: bool) -> None:
        self.packets.append((kind, payload, len(descriptors), is_whole))
        self.descriptors += descriptors

    def unsent(self, error: OSError) -> None:
        self.errors.append(error)

    def ended(self) -> None:
        self.ends += 1


@in_reactor
async def test_packets_come_whole_and_in_order_however_many_wait() -> None:
    one, other = (Owner(sock) for sock in socket_pair())
    sent = [bytes([number]) * MAX_PACKET for number in range(40)]
    for payload in sent:
        one.socket.send(Kind.DATA, payload[:-1])
    assert not one.packets
    await until(lambda: len(other.packets) == 40, "the packets")
    assert [payload for _, payload, _, _ in other.packets] == [payload[:-1] for payload in sent]
    assert other.socket.send_now(Kind.ACK)
    await until(lambda: one.packets, "the answer")
    assert one.packets == [(Kind.ACK, b"", 0, True)]
    one.socket.close()
    await until(lambda: other.ends, "the end")
    assert not other.socket.is_open
    assert other.ends == 1
    assert one.ends == 0


@in_reactor
async def test_as_many_descriptors_as_the_system_lets_come_together() -> None:
    one, other = (Owner(sock) for sock in socket_pair())
    reader, writer = os.pipe()
    one.socket.send(Kind.BATCH, b"x", [reader] * MAX_DESCRIPTORS)
    await until(lambda: other.packets, "the packet")
    assert other.packets == [(Kind.BATCH, b"x", MAX_DESCRIPTORS, True)]
    assert not any(os.get_inheritable(descriptor) for descriptor in other.descriptors)
    close_all(other.descriptors)
    one.socket.send(Kind.BATCH, b"x", [reader] * (MAX_DESCRIPTORS + 1))
    one.socket.send(Kind.DATA)
    await until(lambda: one.errors, "the refusal")
    await settle()
    assert len(other.packets) == len(one.errors) == 1  # nothing after it is sent either
    close_all([reader, writer])
    one.socket.close()
    await until(lambda: other.ends, "the end")


@in_reactor
async def test_a_reset_is_read_past() -> None:
    ours, theirs = socket_pair()
    owner = Owner(ours)
    owner.socket.send(Kind.HELLO)
    await settle()
    theirs.send(bytes([Kind.COMMIT]))
    theirs.close()  # with HELLO unread
    await until(lambda: owner.ends, "the end")
    assert owner.packets == [(Kind.COMMIT, b"", 0, True)]


@in_reactor
async def test_a_packet_that_is_too_long_is_not_whole() -> None:
    ours, theirs = socket_pair()
    owner = Owner(ours)
    theirs.send(bytes([Kind.DATA]) + bytes(MAX_PACKET + 1))
    await until(lambda: owner.packets, "the packet")
    assert owner.packets[0][3] is False
    theirs.close()
    await until(lambda: owner.ends, "the end")


@in_reactor
async def test_nothing_is_sent_where_nobody_is() -> None:
    one, other = (Owner(sock) for sock in socket_pair())
    other.socket.close()
    other.socket.send(Kind.DATA)
    assert not other.socket.send_now(Kind.ACK)
    assert not one.socket.send_now(Kind.COMMIT)
    await until(lambda: one.ends, "the end")


@pytest.mark.parametrize("size", [0, 1, MAX_PACKET - 1, MAX_PACKET, MAX_PACKET + 1, 3 * MAX_PACKET])
def test_data_is_cut_into_packets(size: int) -> None:
    data, pieces = os.urandom(size), list[bytes]()
    in_pieces(data, pieces.append)
    assert b"".join(pieces) == data
    assert all(0 < len(piece) < MAX_PACKET for piece in pieces)


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True, "\N{SNOWMAN}\udcff"]}, [], "x"])
def test_values_come_back(value: Any) -> None:
    assert decode(encode(value)) == value
