"""Modbus TCP."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.codecs import make_codec
from tests.core.codecs.checks import (
    Said,
    bad_replies,
    bad_requests,
    check_any_replies,
    check_any_requests,
    check_replies,
    check_requests,
    places,
    quick,
    spoilt,
)

modbus = make_codec("modbus")


def message(transaction: int, body: bytes = b"\x01\x03\x00\x6b\x00\x03") -> bytes:
    return transaction.to_bytes(2, "big") + b"\0\0" + len(body).to_bytes(2, "big") + body


#: Reading three registers: the example of the application protocol's section 6.3.
ASKED = message(1)
ANSWERED = message(1, b"\x01\x03\x06\x02\x2b\x00\x00\x00\x64")
EXCEPTION = message(0xFFFF, b"\x01\x83\x02")


def test_requests_and_their_transaction_ids() -> None:
    check_requests(modbus, Said(ASKED, hint=1), Said(message(0xFFFF), hint=0xFFFF), Said(message(0), hint=0))
    check_requests(modbus, Said(ASKED, hint=1), tail=b"\0\2\0\0\0\6\1")


def test_replies() -> None:
    check_replies(modbus, [1, 0xFFFF], ANSWERED, EXCEPTION)
    check_replies(modbus, [1, 2, 3], ANSWERED, message(2), tail=b"\0\3")


@pytest.mark.parametrize("length", [2, 254])
def test_the_lengths_that_there_are(length: int) -> None:
    check_requests(modbus, Said(message(7, b"x" * length), hint=7))
    check_replies(modbus, [7], message(7, b"x" * length))


@pytest.mark.parametrize("length", [0, 1, 255, 65535])
def test_the_lengths_that_there_are_not(length: int) -> None:
    data = ASKED + message(2, b"x" * length)
    assert f"the length is {length}, not from 2 to 254" in bad_requests(modbus, data).problem
    assert bad_replies(modbus, [1, 2], data).finished == [len(ASKED)]


@pytest.mark.parametrize("protocol", [b"\0\1", b"\1\0"])
def test_another_protocol(protocol: bytes) -> None:
    data = b"\0\1" + protocol + b"\0\6\1\3\0\0\0\1"
    assert protocol.hex() in bad_requests(modbus, data).problem
    bad_replies(modbus, [1], data)


def test_a_late_reply_to_someone_else() -> None:
    bad = bad_replies(modbus, [1, 3], ANSWERED + message(2))
    assert bad.problem == "Modbus: a reply with the transaction id 2, not 3"
    assert bad.finished == [len(ANSWERED)]


def test_a_late_reply_is_known_by_its_head() -> None:
    bad_replies(modbus, [3], message(2)[:6])


def test_a_reply_too_many() -> None:
    bad = bad_replies(modbus, [1], ANSWERED * 2)
    assert bad.finished == [len(ANSWERED)]


streams = st.lists(st.builds(message, st.integers(1, 3), st.binary(min_size=2, max_size=9)), max_size=5).map(b"".join)


@quick
@given(spoilt(streams, bytes(range(8))), places)
def test_the_same_however_it_is_cut(data: bytes, at: list[int]) -> None:
    check_any_requests(modbus, data, at)
    check_any_replies(modbus, [1, 2, 3], data, at)
