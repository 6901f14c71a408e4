from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.check_talk.mysql import LONGEST, MysqlTalk
from proxymux.core.check_talk.talk import Step, Talk
from proxymux.core.decision import NEED_DATA
from tests.core.check_talk.talks import bytes_taken, ends, heard, is_judged, pieces

#: What MariaDB 10.11.19 has sent.
GREETING = bytes.fromhex(
    "640000000a352e352e352d31302e31312e31392d4d6172696144422d302b64656231327531000400"
    "0000344952412d5d6e3200fef7080200ff81150000000000001d0000004a5f222638296234792856"
    "59006d7973716c5f6e61746976655f70617373776f726400"
)


def packet(number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload


def greeting(plugin: bytes = b"mysql_native_password", salt: int = 21) -> bytes:
    """One of protocol 10, with this way to log in and so many bytes of salt."""
    high = 0x8 if plugin else 0
    fixed = struct.pack("<I8sxHBHHB10x", 7, b"saltsalt", 0xF7FF, 45, 2, high, salt)
    rest = b"s" * max(13, salt - 8) + plugin + b"\0" if plugin else b"s" * 13
    return packet(0, b"\x0a8.0.36\0" + fixed + rest)


def error(number: int, code: int, text: bytes) -> bytes:
    return packet(number, b"\xff" + code.to_bytes(2, "little") + text)


DENIED = error(2, 1045, b"#28000Access denied for user 'proxymux'@'10.0.0.1' (using password: NO)")


class Greeted:
    """A talk that has had its greeting; what comes is what answers the login."""

    def __init__(self) -> None:
        self._talk = MysqlTalk()
        self._talk.begin()
        self._talk.received(greeting())

    def begin(self) -> Step:
        return Step(NEED_DATA)

    def received(self, data: bytes) -> Step:
        return self._talk.received(data)

    def ended(self) -> str | None:
        return self._talk.ended()


def login(data: bytes) -> tuple[int, int, bytes, bytes]:
    """The number of the packet, the capabilities, the user and what stands behind the password."""
    assert int.from_bytes(data[:3], "little") == len(data) - 4
    capabilities, most, charset = struct.unpack_from("<IIB23x", data, 4)
    assert (most, charset) == (1 << 24, 33)
    user, _, rest = data[36:].partition(b"\0")
    assert rest[:1] == b"\0"  # an empty password
    return data[3], capabilities, user, rest[1:]


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_greeting_is_answered_by_a_login_without_a_password(size: int) -> None:
    *before, step = heard(MysqlTalk(), *pieces(greeting(), size))
    assert all(each == Step(NEED_DATA) for each in before)
    assert step.verdict is NEED_DATA
    assert login(step.send) == (1, 0x88200, b"proxymux", b"mysql_native_password\0")


@pytest.mark.parametrize("salt", [0, 8, 21, 40])
def test_the_login_is_of_the_kind_that_the_server_begins_with(salt: int) -> None:
    [_, step] = heard(MysqlTalk(), greeting(b"caching_sha2_password", salt))
    assert login(step.send)[3] == b"caching_sha2_password\0"
    [_, step] = heard(MysqlTalk(), greeting(b""))
    assert login(step.send)[1:] == (0x8200, b"proxymux", b"")
    [_, step] = heard(MysqlTalk(), packet(0, b"\x0a5.0\0" + b"short"))
    assert login(step.send)[1:] == (0x8200, b"proxymux", b"")


def test_the_greeting_of_a_real_server() -> None:
    length = int.from_bytes(GREETING[:3], "little")
    assert length == len(GREETING) - 4
    [_, step] = heard(MysqlTalk(), GREETING)
    assert login(step.send)[3] == b"mysql_native_password\0"


def test_whatever_answers_the_login_is_a_server_that_serves() -> None:
    is_judged(Greeted, DENIED, None)
    is_judged(Greeted, error(2, 1251, b"Client does not support authentication protocol"), None)
    is_judged(Greeted, packet(2, b"\1\4"), None)


def test_a_login_that_succeeds_is_ended_in_good_order() -> None:
    is_judged(Greeted, packet(2, b"\0\0\0\2\0\0\0"), None, b"\1\0\0\0\1")


def test_another_way_to_log_in_gets_an_empty_answer_a_few_times() -> None:
    talk = MysqlTalk()
    switch = b"\xfeclient_ed25519\0salt"
    heard(talk, greeting())
    assert talk.received(packet(2, switch)) == Step(NEED_DATA, b"\0\0\0\3")
    assert talk.received(packet(255, switch)) == Step(NEED_DATA, b"\0\0\0\0")
    assert talk.received(packet(2, switch)) == Step(None)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (1040, "Too many connections"),
        (1129, "Host '10.0.0.1' is blocked because of many connection errors"),
        (1130, "Host '10.0.0.1' is not allowed to connect to this MariaDB server"),
    ],
)
def test_an_error_in_the_place_of_the_greeting_is_bad(code: int, text: str) -> None:
    verdict = f"answered with the error {code}, {text!r}"
    is_judged(MysqlTalk, error(0, code, text.encode()), verdict)
    is_judged(MysqlTalk, error(0, code, b"#08004" + text.encode()), verdict)


@pytest.mark.parametrize("code", [1040, 1053])
def test_an_error_of_the_servers_own_after_the_login_is_bad(code: int) -> None:
    is_judged(Greeted, error(2, code, b"#08004no"), f"answered with the error {code}, 'no'")


@pytest.mark.parametrize("payload", [b"\x09old", b"\x0b", b"\0", b"HTTP"])
def test_another_protocol_is_bad(payload: bytes) -> None:
    is_judged(MysqlTalk, packet(0, payload), "the answer is not a greeting of MySQL's protocol 10")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400", b"SSH-2.0-x", bytes(4), b"\0\0\1\0"])
def test_what_has_no_packets_is_known_by_its_first_bytes(answer: bytes) -> None:
    is_judged(MysqlTalk, answer[:4], "the answer is not MySQL's")


def test_an_end_before_the_answer_is_whole() -> None:
    assert ends(MysqlTalk) == "ended before its greeting was whole"
    assert ends(MysqlTalk, greeting()[:-1]) == "ended before its greeting was whole"
    assert ends(Greeted) == "ended without an answer to the login"
    assert ends(Greeted, DENIED[:-1]) == "ended without an answer to the login"


def test_no_packet_is_longer_than_the_limit() -> None:
    assert bytes_taken(MysqlTalk, packet(0, b"")[:3].replace(b"\0", b"\xff")) == 1000
    whole = packet(0, b"\x0a8.0\0" + b"x" * (LONGEST - 5))
    assert heard(MysqlTalk(), whole)[-1].send


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_whatever_is_answered_is_judged_in_one_line(payloads: list[bytes]) -> None:
    talks: list[Talk] = [MysqlTalk(), Greeted()]
    for talk in talks:
        for step in heard(talk, *(packet(number, payload) for number, payload in enumerate(payloads))):
            if isinstance(step.verdict, str):
                assert step.verdict.isprintable()
