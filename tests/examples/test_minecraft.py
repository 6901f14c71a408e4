"""docs/examples/minecraft.py with handshakes as Minecraft sends them."""

from __future__ import annotations

import json
import socket

import pytest

from proxymux import NEED_DATA, Forward, Reject
from proxymux.testing import decide, every_split, forward_of, reject_of
from tests.examples.conftest import EXAMPLES, Echo, Example, Serve, check
from tests.sniff.test_minecraft import handshake, old_ping
from tests.system.conftest import Start, read_all

ROUTER = str(EXAMPLES / "minecraft.py")
LOBBY, PLAY = "127.0.0.1:25570", "127.0.0.1:25571"
STATUS_REQUEST = b"\1\0"


def content_of(packet: bytes) -> object:
    """What is in a packet with the id 0 and a text."""
    body = measured(packet)
    assert body[0] == 0
    return json.loads(measured(body[1:]))


def measured(data: bytes) -> bytes:
    """What follows the length that ``data`` begins with, which is right."""
    length, size = (data[0], 1) if data[0] < 0x80 else (data[0] & 0x7F | data[1] << 7, 2)
    assert len(data) == size + length
    return data[size:]


@pytest.mark.parametrize(
    ("address", "server"),
    [
        ("lobby.example", LOBBY),
        ("Lobby.Example.\0FML2\0", LOBBY),
        ("sky.play.example", PLAY),
        ("SKY.play.example.", PLAY),
    ],
)
def test_the_name_decides(address: str, server: str) -> None:
    assert forward_of(decide(ROUTER, handshake(address))).remote == server


@pytest.mark.parametrize("address", ["play.example", "a.b.play.example", "192.0.2.1", ""])
def test_who_asks_for_another_is_told_so(address: str) -> None:
    text = f"There is no server {address} here."
    assert content_of(reject_of(decide(ROUTER, handshake(address, state=2))).last_word) == text
    status = content_of(reject_of(decide(ROUTER, handshake(address, state=1))).last_word)
    assert isinstance(status, dict)
    assert status["description"] == text


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", old_ping("lobby.example")])
def test_what_is_no_handshake_is_closed(data: bytes) -> None:
    assert decide(ROUTER, data) == Reject()


def test_it_does_not_depend_on_segments() -> None:
    data = handshake("sky.play.example", state=1) + STATUS_REQUEST
    for chunks in every_split(data):
        assert decide(ROUTER, *chunks) == Forward(PLAY)
    assert decide(ROUTER, data[:-3]) is NEED_DATA


def test_check_finds_it_split_invariant(example: Example) -> None:
    checked = check(example("minecraft.py"), handshake("lobby.example"), handshake("other.example"))
    assert checked.stdout.count("split-invariant: all") == 2, checked.stdout + checked.stderr
    assert checked.returncode == 0


def test_the_server_gets_all_that_the_client_sends(start: Start, example: Example, serve: Serve) -> None:
    proxy = start(example("minecraft.py", {LOBBY: f"127.0.0.1:{serve(Echo)}"}))
    data = handshake("lobby.example", state=1) + STATUS_REQUEST
    assert proxy.ask(data) == data
    with socket.create_connection(("127.0.0.1", proxy.port), 60) as client:
        client.sendall(handshake("other.example"))
        assert content_of(read_all(client)) == "There is no server other.example here."
