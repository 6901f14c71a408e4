"""The PROXY protocol against vectors written by hand or taken from other implementations."""

from __future__ import annotations

from typing import Any

import pytest

from proxymux.core.proxy_protocol import Header, encode, parse
from proxymux.errors import BadHeader
from tests.core.proxy_protocol.vectors import ENCODED, INVALID, NOT_ENCODED, SIG, TCP4, VALID, outcome


@pytest.mark.parametrize(("data", "header"), VALID.values(), ids=VALID)
class TestValid:
    def test_whole(self, data: bytes, header: Header) -> None:
        assert parse(data) == (header, len(data))
        assert parse(bytearray(data)) == parse(memoryview(data)) == (header, len(data))

    def test_byte_by_byte(self, data: bytes, header: Header) -> None:
        assert [parse(data[:end]) for end in range(len(data))] == [None] * len(data)

    def test_trailing_bytes(self, data: bytes, header: Header) -> None:
        for rest in (b"\r\n", b"\0", b"GET / HTTP/1.1\r\n", b"\xff" * 9000, SIG, data):
            assert parse(data + rest) == (header, len(data))


@pytest.mark.parametrize(("data", "at"), INVALID.values(), ids=INVALID)
def test_invalid(data: bytes, at: int) -> None:
    """Not refused before it must be, then at once, and then for ever."""
    longer = data + b"\r\n\r\n"
    outcomes = [outcome(longer[:end]) for end in range(len(longer) + 1)]
    assert outcomes == [None] * at + ["refused"] * (len(outcomes) - at)


@pytest.mark.parametrize(("arguments", "data"), ENCODED.values(), ids=ENCODED)
def test_encode(arguments: tuple[Any, ...], data: bytes) -> None:
    assert encode(*arguments) == data


@pytest.mark.parametrize(("arguments", "reason"), NOT_ENCODED.values(), ids=NOT_ENCODED)
def test_encode_refuses(arguments: tuple[Any, ...], reason: str) -> None:
    with pytest.raises(BadHeader) as caught:
        encode(*arguments)
    assert str(caught.value) == reason


def test_first_segments_of_any_size() -> None:
    """Twisted closes if the first segment has less than 8 bytes of v1 or 16 of v2."""
    for data in (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", SIG + b"\x21\x11\x00\x0c" + TCP4):
        assert all(parse(data[:size]) is None for size in range(16))
        assert parse(b"") is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n", r"b'GET / HTTP/1' is the start of neither version of the PROXY protocol"),
        (b"PROXY TCP5 ", r"v1: the protocol b'TCP5' is not TCP4, TCP6 or UNKNOWN"),
        (b"PROXY TCP4 01", r"v1: the source address b'01' is not an IPv4 address"),
        (b"PROXY TCP6 :: 1\n", r"v1: the destination address b'1\n' is not an IPv6 address"),
        (b"PROXY TCP6 :: :: 00", r"v1: the source port b'00' is not a number from 0 to 65535"),
        (b"PROXY TCP6 ::\r", r"v1: the line ends without a destination address"),
        (b"PROXY TCP6 :: :: 0 0 ", r"v1: more follows after the destination port"),
        (b"PROXY UNKNOWN " + b"x" * 92, r"v1: no CRLF in the first 107 bytes"),
        (SIG + b"\x12", r"v2: version and command 0x12 are neither LOCAL (0x20) nor PROXY (0x21)"),
        (SIG + b"\x21\x14", r"v2: address family and protocol 0x14 are not specified"),
        (SIG + b"\x21\x12", r"v2: the protocol 0x12 is one of datagrams, not a stream"),
        (SIG + b"\x21\x11\x10", r"v2: the header has at least 4112 bytes, more than 4096"),
        (SIG + b"\x21\x11\x00\x05", r"v2: 5 bytes are too few for addresses of the family 0x11"),
        (SIG + b"\x21\x11\x00\x10" + TCP4 + b"\1\0\2", r"v2: 4 bytes are left where a TLV of at least 5 bytes begins"),
    ],
)
def test_reasons(data: bytes, reason: str) -> None:
    with pytest.raises(BadHeader) as caught:
        parse(data)
    assert str(caught.value) == reason


def test_a_checksum_is_computed_over_the_whole_header_and_noted() -> None:
    data = encode("v2", ("192.0.2.1", 1), ("192.0.2.2", 2), [(5, b"id")], has_checksum=True)
    assert data[-7:-4] == b"\x03\x00\x04"
    parsed = parse(data)
    assert parsed is not None
    assert (parsed[0].has_checksum, parsed[0].tlvs) == (True, ((5, b"id"),))
    for place in (*range(16, 28), 31, 32, *range(36, len(data))):  # addresses, ports, the ID, the checksum itself
        with pytest.raises(BadHeader, match="checksum is wrong"):
            parse(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])


def test_the_checksum_of_others_is_the_one_that_we_compute() -> None:
    data, header = VALID["v2 with the checksum only"]
    assert encode("v2", header.source, header.destination, (), has_checksum=True) == data
