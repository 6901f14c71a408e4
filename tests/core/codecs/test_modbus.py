"""Modbus TCP."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.codecs import make_codec
from proxymux.core.codecs.modbus import Hint, ModbusReplies
from proxymux.errors import BadMessage
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
    ways,
)

modbus = make_codec("modbus")


def message(transaction: int, body: bytes = b"\x01\x03\x00\x6b\x00\x03") -> bytes:
    return transaction.to_bytes(2, "big") + b"\0\0" + len(body).to_bytes(2, "big") + body


#: Reading three registers: the example of the application protocol's section 6.3.
ASKED = message(1)
ANSWERED = message(1, b"\x01\x03\x06\x02\x2b\x00\x00\x00\x64")
EXCEPTION = message(0xFFFF, b"\x01\x83\x02")


def hint(transaction: int, unit: int = 1, function: int = 3) -> Hint:
    return Hint(transaction, unit, function)


def test_requests_and_what_their_replies_repeat() -> None:
    other = message(0, b"\xff\x2b\x0e\x01")
    check_requests(
        modbus, Said(ASKED, hint=hint(1)), Said(message(0xFFFF), hint=hint(0xFFFF)), Said(other, hint=hint(0, 255, 43))
    )
    check_requests(modbus, Said(ASKED, hint=hint(1)), tail=b"\0\2\0\0\0\6\1")


def test_replies() -> None:
    check_replies(modbus, [hint(1), hint(0xFFFF)], ANSWERED, EXCEPTION)
    check_replies(modbus, [hint(1), hint(2), hint(3)], ANSWERED, message(2), tail=b"\0\3")


@pytest.mark.parametrize("length", [2, 254])
def test_the_lengths_that_there_are(length: int) -> None:
    check_requests(modbus, Said(message(7, b"x" * length), hint=hint(7, 120, 120)))
    check_replies(modbus, [hint(7, 120, 120)], message(7, b"x" * length))


@pytest.mark.parametrize("length", [0, 1, 255, 65535])
def test_the_lengths_that_there_are_not(length: int) -> None:
    data = ASKED + message(2, b"x" * length)
    assert f"the length is {length}, not from 2 to 254" in bad_requests(modbus, data).problem
    assert bad_replies(modbus, [hint(1), hint(2)], data).finished == [len(ASKED)]


@pytest.mark.parametrize("protocol", [b"\0\1", b"\1\0"])
def test_another_protocol(protocol: bytes) -> None:
    data = b"\0\1" + protocol + b"\0\6\1\3\0\0\0\1"
    assert protocol.hex() in bad_requests(modbus, data).problem
    bad_replies(modbus, [hint(1)], data)
    bad_requests(modbus, data[:6])


@pytest.mark.parametrize(
    ("late", "what"),
    [
        (message(2), "the transaction id 2, unit 1 and function 3"),
        (message(3, b"\2\3\2\0\0"), "the transaction id 3, unit 2 and function 3"),
        (message(3, b"\1\4\2\0\0"), "the transaction id 3, unit 1 and function 4"),
        (message(3, b"\1\x84\2"), "the transaction id 3, unit 1 and function 132"),
    ],
)
def test_a_late_reply_to_another_request(late: bytes, what: str) -> None:
    bad = bad_replies(modbus, [hint(1), hint(3)], ANSWERED + late)
    assert bad.problem == f"Modbus: a reply with {what}, not the transaction id 3, unit 1 and function 3"
    assert bad.finished == [len(ANSWERED)]


def test_a_late_reply_is_known_by_its_head() -> None:
    bad_replies(modbus, [hint(3)], message(2)[:8])


def test_a_reply_too_many() -> None:
    bad = bad_replies(modbus, [hint(1)], ANSWERED * 2)
    assert bad.finished == [len(ANSWERED)]


def test_a_failure_is_an_exception_reply_to_the_request() -> None:
    failure = modbus.failure_for(message(0x1234, b"\7\x10rest") + ASKED, "no upstream")
    assert failure == b"\x12\x34\0\0\0\3\7\x90\x0b"
    check_replies(modbus, [hint(0x1234, 7, 0x10)], failure)
    assert modbus.failure("no upstream") == b""


# --- ids of the connection's own ---


def rewriter(*requests: bytes) -> tuple[ModbusReplies, list[bytes]]:
    """A connection on which these requests were sent, and the ids that they were sent with."""
    replies = ModbusReplies()
    ids = []
    for request in requests:
        [found] = modbus.requests().feed(request)
        assert isinstance(found.hint, Hint)
        replies.expect(found.hint)
        sent = replies.outgoing(request)
        assert sent[2:] == request[2:]
        ids.append(sent[:2])
    return replies, ids


def pass_on(replies: ModbusReplies, pieces: Iterable[bytes], passed: list[bytes]) -> None:
    """Append to ``passed`` what clients get of these pieces; every reply in it is whole."""
    for piece in pieces:
        came = replies.incoming(piece)
        passed.append(came)
        ends = replies.feed(came)
        assert (ends[-1] if ends else 0) == len(came)


def test_equal_ids_do_not_meet_on_a_connection() -> None:
    replies, ids = rewriter(ASKED, ASKED, message(1, b"\2\3\0\0\0\1"))
    assert len(set(ids)) == 3
    sent = ids[0] + ANSWERED[2:] + ids[1] + EXCEPTION[2:] + ids[2] + message(9, b"\2\3\0")[2:]
    expected = ANSWERED + b"\0\1" + EXCEPTION[2:] + message(1, b"\2\3\0")
    for pieces in ways(sent):
        replies, _ = rewriter(ASKED, ASKED, message(1, b"\2\3\0\0\0\1"))
        passed: list[bytes] = []
        pass_on(replies, pieces, passed)
        assert b"".join(passed) == expected
        assert replies.is_between


def test_several_requests_are_sent_with_an_id_each() -> None:
    replies = ModbusReplies()
    out = replies.outgoing(ASKED + message(9, b"\1\3") + ASKED)
    assert out == message(1) + message(2, b"\1\3") + message(3)


def test_ids_begin_again_after_the_last() -> None:
    replies = ModbusReplies()
    ids = [replies.outgoing(ASKED)[:2] for _ in range(0x10001)]
    assert len(set(ids)) == 0x10000
    assert ids[-1] == ids[0]


@pytest.mark.parametrize("other", [b"\0\0", b"\0\2", b"\0\3", b"\1\1"])
def test_a_late_reply_reaches_nobody_though_the_client_has_used_its_id(other: bytes) -> None:
    late = other + ANSWERED[2:]
    for pieces in ways(late):
        replies, ids = rewriter(message(int.from_bytes(other, "big")))
        assert ids == [b"\0\1"]
        passed: list[bytes] = []
        with pytest.raises(BadMessage, match="another transaction id"):
            pass_on(replies, pieces, passed)
        assert b"".join(passed) == b""


def test_what_came_before_a_late_reply_is_not_lost() -> None:
    replies, ids = rewriter(message(7), message(8))
    came = replies.incoming(ids[0] + ANSWERED[2:] + b"\7\7" + ANSWERED[2:])
    assert came == b"\0\7" + ANSWERED[2:]
    with pytest.raises(BadMessage, match="another transaction id") as error:
        replies.feed(came)
    assert error.value.finished == [len(came)]


def test_a_reply_before_the_request_is_sent_reaches_nobody() -> None:
    replies = ModbusReplies()
    replies.expect(hint(1))
    assert replies.incoming(ANSWERED) == b""
    with pytest.raises(BadMessage, match="nothing was sent for"):
        replies.feed(b"")


streams = st.lists(st.builds(message, st.integers(1, 3), st.binary(min_size=2, max_size=9)), max_size=5).map(b"".join)


@quick
@given(spoilt(streams, bytes(range(8))), places)
def test_the_same_however_it_is_cut(data: bytes, at: list[int]) -> None:
    check_any_requests(modbus, data, at)
    check_any_replies(modbus, [hint(1), hint(2), hint(3)], data, at)
