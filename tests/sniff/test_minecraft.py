from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux import NEED_DATA
from proxymux.sniff import Minecraft, minecraft
from proxymux.sniff.minecraft import LIMIT
from tests.sniff.checks import answers, is_read, is_refused

#: The table of sample VarInts of wiki.vg, "Protocol": values and bytes.
VARINTS = {
    0: "00",
    1: "01",
    2: "02",
    127: "7f",
    128: "8001",
    255: "ff01",
    25565: "ddc701",
    2097151: "ffff7f",
    2147483647: "ffffffff07",
    -1: "ffffffff0f",
    -2147483648: "8080808008",
}


def varint(value: int) -> bytes:
    value &= 0xFFFFFFFF
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def handshake(address: str | bytes, port: int = 25565, state: int = 2, protocol: int = 767) -> bytes:
    """A handshake as wiki.vg has it: packet id 0, protocol version, server address, server port, next state."""
    data = address.encode() if isinstance(address, str) else address
    body = b"\0" + varint(protocol) + varint(len(data)) + data + port.to_bytes(2, "big") + varint(state)
    return varint(len(body)) + body


def old_ping(host: str, port: int = 25565, protocol: int = 0x4A) -> bytes:
    """The ping of 1.6, as wiki.vg's "Server List Ping" has it, byte by byte."""
    name = host.encode("utf-16-be")
    return (
        bytes.fromhex("fe01fa000b004d0043007c00500069006e00670048006f00730074")
        + (7 + len(name)).to_bytes(2, "big")
        + bytes([protocol])
        + (len(name) // 2).to_bytes(2, "big")
        + name
        + port.to_bytes(4, "big")
    )


@pytest.mark.parametrize("value", VARINTS)
def test_a_protocol_version_is_a_varint_of_32_bits(value: int) -> None:
    assert varint(value).hex() == VARINTS[value]
    is_read(minecraft, handshake("a", protocol=value), Minecraft("a", 25565, 2, value))


@pytest.mark.parametrize(
    ("data", "value"),
    [
        # 1.7.2 asks for the status of localhost; written out by hand from the table on wiki.vg.
        (bytes.fromhex("0f00" + "04" + "09" + b"localhost".hex() + "63dd" + "01"), Minecraft("localhost", 25565, 1, 4)),
        (handshake("mc.example.com"), Minecraft("mc.example.com", 25565, 2, 767)),
        (handshake("Mc.Example.COM.", 1, 1), Minecraft("mc.example.com", 1, 1, 767)),
        (handshake("mc.example.com", 65535, 3), Minecraft("mc.example.com", 65535, 3, 767)),
        (handshake("192.0.2.1"), Minecraft("192.0.2.1", 25565, 2, 767)),
        (handshake("m\xfcll.example"), Minecraft("m\xfcll.example", 25565, 2, 767)),
        (handshake("mc.example.com\0FML\0"), Minecraft("mc.example.com", 25565, 2, 767, "\0FML\0")),
        (handshake("mc.example.com\0FML2\0"), Minecraft("mc.example.com", 25565, 2, 767, "\0FML2\0")),
        (handshake("mc.example.com.\0FML3\0"), Minecraft("mc.example.com", 25565, 2, 767, "\0FML3\0")),
        (handshake("mc.example.com\0FORGE"), Minecraft("mc.example.com", 25565, 2, 767, "\0FORGE")),
        (handshake("a\x00192.0.2.7\0" + "0" * 32), Minecraft("a", 25565, 2, 767, "\x00192.0.2.7\0" + "0" * 32)),
        (handshake(""), Minecraft("", 25565, 2, 767)),
        (handshake("a" * 255), Minecraft("a" * 255, 25565, 2, 767)),
        (handshake("a" * 244), Minecraft("a" * 244, 25565, 2, 767)),  # its length is FE 01, as an old ping begins
        (old_ping("localhost"), Minecraft("localhost", 25565, 1, 74, "", True)),
        (old_ping("Mc.Example.com.", 65535, 127), Minecraft("mc.example.com", 65535, 1, 127, "", True)),
        (old_ping(""), Minecraft("", 25565, 1, 74, "", True)),
        (old_ping("a" * 255), Minecraft("a" * 255, 25565, 1, 74, "", True)),
    ],
    ids=lambda value: value.hex()[:60] if isinstance(value, bytes) else "",
)
def test_what_clients_send_is_read(data: bytes, value: Minecraft) -> None:
    is_read(minecraft, data, value)


def test_the_login_that_follows_is_not_looked_at() -> None:
    assert minecraft(handshake("a") + bytes.fromhex("0700054e6f746368")) == Minecraft("a", 25565, 2, 767)


@pytest.mark.parametrize("data", [b"\xfe", b"\xfe\1"])
def test_the_pings_of_still_older_versions_may_become_another(data: bytes) -> None:
    assert minecraft(data) is NEED_DATA


OLD = old_ping("")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\0", id="length 0"),
        pytest.param(b"\5", id="too short"),
        pytest.param(b"\x85\0", id="too short, in two bytes"),
        pytest.param(b"\x80\x80", id="a length of three bytes"),
        pytest.param(varint(777), id="too long"),
        pytest.param(b"\x10\1", id="another packet"),
        pytest.param(b"\x10\0\xff\xff\xff\xff\x1f", id="a protocol version of 33 bits"),
        pytest.param(b"\x10\0\xff\xff\xff\xff\xff", id="a protocol version of six bytes"),
        pytest.param(b"\6\0\x80", id="no room for the rest"),
        pytest.param(b"\x10\0\4\x0b", id="too long an address"),
        pytest.param(b"\x10\0\4\x09", id="too short an address"),
        pytest.param(b"\x10\0\4\xff", id="a length of an address of two bytes that says too much"),
        pytest.param(b"\x10\0\4\x89\x80", id="a length of an address of three bytes"),
        pytest.param(handshake(b"\xff")[:6], id="bad UTF-8"),
        pytest.param(handshake("a", state=0), id="state 0"),
        pytest.param(handshake("a", state=4), id="state 4"),
        pytest.param(b"\xfe\1\xfa\1", id="another plugin message"),
        pytest.param(OLD[:26] + b"\1", id="another channel"),
        pytest.param(OLD[:27] + b"\0\6\x4a\0\0", id="too short a rest"),
        pytest.param(OLD[:27] + b"\0\x09\x4a\0\0", id="too long a rest"),
        pytest.param(OLD[:27] + b"\2\7\x4a\1\0", id="too long a host name"),
        pytest.param(OLD[:27] + b"\0\x09\x4a\0\1\xd8\0", id="bad UTF-16"),
        pytest.param(OLD[:-4] + b"\1", id="port 16777216"),
        pytest.param(OLD[:-4] + b"\0\1", id="port 65536"),
    ],
)
def test_what_is_not_minecraft_is_known_at_the_byte_that_shows_it(data: bytes) -> None:
    is_refused(minecraft, data)


def test_the_longest_handshake_is_of_the_documented_length() -> None:
    longest = handshake(("\u20ac" * 255).encode(), protocol=-1)
    assert len(longest) == LIMIT == 778
    is_read(minecraft, longest, Minecraft("\u20ac" * 255, 25565, 2, -1))


HOST = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)


@settings(max_examples=200, deadline=None)
@given(
    HOST,
    st.sampled_from(["", "\0FML\0", "\0FML2\0"]),
    st.integers(0, 65535),
    st.sampled_from([1, 2, 3]),
    st.integers(-(2**31), 2**31 - 1),
)
def test_whatever_is_put_into_a_handshake_is_read_from_it(
    host: str, suffix: str, port: int, state: int, protocol: int
) -> None:
    data = handshake(host + suffix, port, state, protocol)
    value = Minecraft(host.removesuffix(".").lower(), port, state, protocol, suffix)
    assert answers(minecraft, data) == [NEED_DATA] * len(data) + [value]


@settings(max_examples=100, deadline=None)
@given(HOST.filter(lambda host: len(host.encode("utf-16-be")) <= 510), st.integers(0, 65535), st.integers(0, 255))
def test_whatever_is_put_into_an_old_ping_is_read_from_it(host: str, port: int, protocol: int) -> None:
    data = old_ping(host, port, protocol)
    value = Minecraft(host.removesuffix(".").lower(), port, 1, protocol, "", True)
    assert answers(minecraft, data) == [NEED_DATA] * len(data) + [value]
