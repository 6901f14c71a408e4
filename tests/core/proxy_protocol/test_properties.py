"""The PROXY protocol, whatever comes: properties."""

from __future__ import annotations

import ipaddress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core.proxy_protocol import encode, parse
from proxymux.errors import BadHeader
from tests.core.proxy_protocol.vectors import INVALID, SIG, TCP4, VALID, outcome

# No database: a test run leaves no files behind.  No deadline: machines differ.
quick = settings(database=None, deadline=None, max_examples=300)

PORTS = st.integers(0, 65535)
INET = st.tuples(st.one_of(st.ip_addresses(), st.ip_addresses(network="::ffff:0:0/96")).map(str), PORTS)
PATHS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=27)
ENDS = st.one_of(
    st.tuples(INET, INET),
    st.tuples(PATHS, PATHS),
    st.tuples(PATHS, INET),
    st.tuples(INET, st.none()),
    st.just((None, None)),
)
TLVS = st.lists(
    st.tuples(st.integers(0, 255).filter(lambda kind: kind not in (3, 4, 0x20)), st.binary(max_size=120)), max_size=8
).map(tuple)
START = st.sampled_from([*(data for data, _ in VALID.values()), *(data for data, _ in INVALID.values())])


def same_end(found: object, given: object) -> bool:
    if isinstance(found, tuple) and isinstance(given, tuple):
        mine, theirs = ipaddress.ip_address(found[0]), ipaddress.ip_address(given[0])
        if mine.version != theirs.version:
            mine = getattr(mine, "ipv4_mapped", mine)
        return (mine, found[1]) == (theirs, given[1])
    return found == given


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A vector of which some bytes are others, gone or new."""
    data = bytearray(draw(START)[:300])
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 2))] = draw(
            st.one_of(st.binary(max_size=2), st.sampled_from([b":", b" ", b"0", b"\r\n"]))
        )
    return bytes(data)


def block(command_and_family: bytes, rest: bytes) -> bytes:
    return SIG + command_and_family + len(rest).to_bytes(2, "big") + rest


BLOCKS = st.builds(block, st.sampled_from([b"\x21\x11", b"\x21\x00", b"\x20\x00"]), st.binary(max_size=40))
SMALL_TLVS = st.lists(
    st.builds(
        lambda kind, size, value: bytes([kind, 0, size]) + value,
        st.sampled_from([1, 3, 4, 5, 0x20]),
        st.integers(0, 9),
        st.binary(max_size=9),
    ),
    max_size=4,
)
TLV_BLOCKS = st.builds(lambda tlvs: block(b"\x21\x11", TCP4 + b"".join(tlvs)), SMALL_TLVS)
ANYTHING = st.one_of(st.binary(max_size=200), damaged(), BLOCKS, TLV_BLOCKS)


@quick
@given(ENDS, TLVS)
def test_v2_round_trip(ends: tuple[Any, Any], tlvs: tuple[tuple[int, bytes], ...]) -> None:
    data = encode("v2", *ends, tlvs)
    result = parse(data + b"rest")
    assert result is not None
    header, length = result
    known = type(ends[0]) is type(ends[1]) and ends[0] is not None
    assert (header.version, header.local, length) == (2, not known, len(data))
    assert header.tlvs == (tlvs if known else ())
    assert same_end(header.source, ends[0] if known else None)
    assert same_end(header.destination, ends[1] if known else None)
    if known:
        assert encode("v2", header.source, header.destination, header.tlvs) == data


@quick
@given(ENDS)
def test_v1_round_trip(ends: tuple[Any, Any]) -> None:
    data = encode("v1", *ends)
    result = parse(data + b"rest")
    assert result is not None
    header, length = result
    assert (header.version, header.local, header.tlvs, length) == (1, False, (), len(data))
    known = isinstance(ends[0], tuple) and isinstance(ends[1], tuple)
    assert same_end(header.source, ends[0] if known else None)
    assert same_end(header.destination, ends[1] if known else None)
    assert encode("v1", header.source, header.destination) == data


@quick
@given(ENDS, st.lists(st.tuples(st.integers(-1, 256), st.binary(max_size=140)), max_size=3))
def test_what_encode_returns_is_a_header(ends: tuple[Any, Any], tlvs: list[tuple[int, bytes]]) -> None:
    try:
        data = encode("v2", *ends, tlvs)
    except BadHeader:
        return
    result = parse(data)
    assert result is not None
    assert result[1] == len(data)


@settings(quick, max_examples=500)
@given(ANYTHING)
def test_more_bytes_change_nothing(data: bytes) -> None:
    """None at first, perhaps; then one answer, whatever follows.  And BadHeader is the only exception."""
    outcomes = [outcome(data[:end]) for end in range(len(data) + 1)]
    decided = [each for each in outcomes if each is not None]
    assert outcomes == [None] * (len(outcomes) - len(decided)) + decided
    assert all(each == decided[0] for each in decided)
    if decided and decided[0] != "refused":
        assert outcome(data + b"\0\xff\r\n") == decided[0]
        assert isinstance(decided[0], tuple)
        assert outcomes[decided[0][1]] == decided[0]


ENDINGS = [
    line[at:]
    for line in (
        b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n",
        b"PROXY TCP6 :: :: 0 0\r\n",
        b"PROXY TCP6 0:0:0:0:0:0:0:0 0:0:0:0:0:0:0:0 0 0\r\n",
        b"PROXY TCP6 ::0.0.0.0 ::0.0.0.0 0 0\r\n",
        b"PROXY UNKNOWN\r\n",
    )
    for at in range(len(line))
]


@quick
@given(damaged().filter(lambda data: data.startswith(b"P")), st.integers(0, 110))
def test_v1_none_means_that_it_can_be_completed(data: bytes, end: int) -> None:
    if outcome(data[:end]) is None:
        assert any(isinstance(outcome(data[:end] + ending), tuple) for ending in ENDINGS)


def is_address(kind: type[ipaddress.IPv4Address | ipaddress.IPv6Address], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


@st.composite
def nearly(draw: st.DrawFn, network: str, letters: str) -> str:
    """An address of the network, short or long, with a letter replaced, gone or added."""
    address = draw(st.ip_addresses(network=network))
    text = str(draw(st.sampled_from([address.compressed, address.exploded])))
    at = draw(st.integers(0, len(text)))
    return text[:at] + str(draw(st.sampled_from(["", *letters]))) + text[at + draw(st.integers(0, 1)) :]


@quick
@given(nearly("0.0.0.0/0", "0129."))
def test_v1_ipv4_is_what_ipaddress_says(text: str) -> None:
    result = outcome(f"PROXY TCP4 {text} 0.0.0.0 0 0\r\n".encode())
    assert isinstance(result, tuple) == is_address(ipaddress.IPv4Address, text)


@quick
@given(
    st.one_of(nearly("::/0", "0fF:g"), nearly("::/48", "0:"), nearly("1::/64", "0:")).filter(
        lambda text: "." not in text
    )
)
def test_v1_ipv6_is_what_ipaddress_says(text: str) -> None:
    result = outcome(f"PROXY TCP6 {text} :: 0 0\r\n".encode())
    assert isinstance(result, tuple) == is_address(ipaddress.IPv6Address, text)
