from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux import NEED_DATA
from proxymux.sniff import MysqlGreeting, mysql_greeting
from proxymux.sniff.mysql import LIMIT
from tests.sniff.checks import answers, is_refused

#: MySQL's documentation, "Protocol::HandshakeV10", the example of a server 5.5.2-m2.
EXAMPLE = bytes.fromhex(
    "36000000" + "0a" + "352e352e322d6d3200" + "0b000000" + "6476486f6a5c2e4f" + "00" + "fff7" + "08" + "0200" + "0000"
    "00" + "00" * 10 + "2a34647c63585a4d2b5e7b2c" + "00"
)


def greeting(version: bytes, connection_id: int = 7, capabilities: int = 0xDFFFF7FF, rest: bytes = bytes(30)) -> bytes:
    body = b"\x0a" + version + b"\0" + connection_id.to_bytes(4, "little") + b"saltsalt\0"
    body += (capabilities & 0xFFFF).to_bytes(2, "little") + b"\xff\2\0" + (capabilities >> 16).to_bytes(2, "little")
    body += rest
    return len(body).to_bytes(3, "little") + b"\0" + body


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (EXAMPLE, MysqlGreeting("5.5.2-m2", 11, 0xF7FF)),
        (greeting(b"8.0.36"), MysqlGreeting("8.0.36", 7, 0xDFFFF7FF)),
        (
            greeting(b"5.5.5-10.11.6-MariaDB-0+deb12u1", 2**32 - 1),
            MysqlGreeting("5.5.5-10.11.6-MariaDB-0+deb12u1", 2**32 - 1, 0xDFFFF7FF),
        ),
        (greeting(b"8.0.36", rest=b""), MysqlGreeting("8.0.36", 7, 0xDFFFF7FF)),
        (greeting(b"v" * 255), MysqlGreeting("v" * 255, 7, 0xDFFFF7FF)),
    ],
    ids=["the documentation's", "8.0", "MariaDB", "short", "a long version"],
)
def test_what_servers_say_is_read(data: bytes, value: MysqlGreeting) -> None:
    found = answers(mysql_greeting, data)
    needed = 4 + 1 + len(value.version) + 1 + 20
    assert needed <= LIMIT == 281
    assert found == [NEED_DATA] * needed + [value] * (len(data) + 1 - needed)
    assert mysql_greeting(data + b"\0\xff") == value


def test_a_flag_says_whether_there_is_tls() -> None:
    for capabilities, has_tls in ((0x0800, True), (0xF7FF, False), (0xDFFFFFFF, True), (0, False)):
        found = mysql_greeting(greeting(b"8", capabilities=capabilities))
        assert isinstance(found, MysqlGreeting)
        assert found.has_tls is has_tls


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x16\0", id="too short"),
        pytest.param(b"\x50\0\1", id="64 KiB"),
        pytest.param(b"\x50\0\0\1", id="another packet"),
        pytest.param(b"\x50\0\0\0\xff", id="an error, such as too many connections"),
        pytest.param(b"\x50\0\0\0\x09", id="protocol 9"),
        pytest.param(b"\x50\0\0\0\x0a\0", id="no version"),
        pytest.param(b"\x50\0\0\0\x0a8\n", id="LF in the version"),
        pytest.param(b"\x50\0\0\0\x0a8\xff", id="not ASCII"),
        pytest.param(b"\x50\0\0\0\x0a" + b"8" * 59, id="no room for the rest"),
        pytest.param(b"\xff\xff\0\0\x0a" + b"8" * 256, id="a version without an end"),
        pytest.param(greeting(b"8")[:19] + b"\1", id="no filler"),
    ],
)
def test_what_is_no_greeting_is_known_at_the_byte_that_shows_it(data: bytes) -> None:
    is_refused(mysql_greeting, data)


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=60),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=40),
)
def test_whatever_is_put_into_a_greeting_is_read_from_it(version: str, number: int, flags: int, rest: bytes) -> None:
    data = greeting(version.encode(), number, flags, rest)
    assert mysql_greeting(data) == MysqlGreeting(version, number, flags)
    assert mysql_greeting(data[: len(data) - len(rest)]) == MysqlGreeting(version, number, flags)
    assert mysql_greeting(data[: len(data) - len(rest) - 1]) is NEED_DATA
