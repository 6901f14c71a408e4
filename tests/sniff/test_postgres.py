from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux import NEED_DATA
from proxymux.sniff import Parameters, Postgres, postgres
from proxymux.sniff.postgres import LIMIT
from tests.sniff.checks import answers, is_read, is_refused, milliseconds

SSL, GSS, CANCEL = 80877103, 80877104, 80877102
#: As psql 15 sends it.
PSQL = b"\0\0\x006\0\3\0\0user\0bob\0database\0shop\0application_name\0psql\0\0"


def packet(code: int, rest: bytes = b"") -> bytes:
    return struct.pack("!II", 8 + len(rest), code) + rest


def startup(*texts: bytes, protocol: int = 0x30000) -> bytes:
    return packet(protocol, b"".join(text + b"\0" for text in texts) + b"\0")


def started(length: int, **parameters: str) -> Postgres:
    return Postgres("startup", length, Parameters(parameters.items()))


@pytest.mark.parametrize(
    ("data", "value"),
    [
        pytest.param(PSQL, started(54, user="bob", database="shop", application_name="psql"), id="psql"),
        pytest.param(b"\0\0\0\x08\4\xd2\x16/", Postgres("ssl", 8), id="psql, SSL"),
        pytest.param(packet(GSS), Postgres("gss", 8), id="GSS"),
        pytest.param(packet(CANCEL, bytes(8)), Postgres("cancel", 16), id="cancel"),
        pytest.param(packet(CANCEL, bytes(36)), Postgres("cancel", 44), id="cancel of protocol 3.2"),
        pytest.param(packet(CANCEL, bytes(260)), Postgres("cancel", 268), id="cancel with the longest key"),
        pytest.param(startup(), started(9), id="nothing"),
        pytest.param(startup(b"user", b""), started(15, user=""), id="empty value"),
        pytest.param(startup(b"user", b"bob", protocol=0x30002), started(18, user="bob"), id="protocol 3.2"),
        pytest.param(startup(b"user", b"bob", protocol=0x3270F), started(18, user="bob"), id="protocol 3.9999"),
        pytest.param(startup(b"user", b"a", b"user", b"b"), started(23, user="b"), id="the last counts"),
        pytest.param(startup(b"user", b"j\xc3\xb6rg"), started(20, user="jörg"), id="UTF-8"),
        pytest.param(startup(b"user", b"j\xf6rg"), started(19, user="j\ufffdrg"), id="Latin 1"),
    ],
)
def test_what_clients_send_is_read(data: bytes, value: Postgres) -> None:
    is_read(postgres, data, value)
    assert value.length == len(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\1", id="16 MB"),
        pytest.param(b"\0\1", id="64 KB"),
        pytest.param(b"\0\0\x28", id="10240 bytes"),
        pytest.param(b"\0\0\x27\x15", id="10005 bytes"),
        pytest.param(b"\0\0\0\0", id="length 0"),
        pytest.param(b"\0\0\0\7", id="length 7"),
        pytest.param(b"\0\0\0\x08\0", id="start-up of 8 bytes"),
        pytest.param(b"\0\0\0\x10\1", id="no code"),
        pytest.param(b"\0\0\0\x10\0\2", id="protocol 2"),
        pytest.param(b"\0\0\0\x10\0\4", id="protocol 4"),
        pytest.param(b"\0\0\0\x10\4\xd2\x16\x2d", id="code before those that there are"),
        pytest.param(b"\0\0\0\x08\4\xd2\x16\x31", id="code behind those that there are"),
        pytest.param(b"\0\0\0\x09\4", id="SSL of 9 bytes"),
        pytest.param(b"\0\0\0\x10\4\xd2\x16\x2f", id="SSL of 16 bytes"),
        pytest.param(b"\0\0\0\x08\4\xd2\x16\x2e", id="cancel of 8 bytes"),
        pytest.param(b"\0\0\0\x0f\4", id="cancel of 15 bytes"),
        pytest.param(b"\0\0\1\x0d\4", id="cancel of 269 bytes"),
        pytest.param(packet(0x30000, b"\0\0")[:-1], id="end before the end"),
        pytest.param(packet(0x30000, b"a\0b\0\0\0")[:-1], id="end before the end, after a pair"),
        pytest.param(packet(0x30000, b"\0b\0\0")[:9], id="empty name"),
        pytest.param(packet(0x30000, b"user\0"), id="no value"),
        pytest.param(packet(0x30000, b"user\0\0"), id="no end"),
        pytest.param(packet(0x30000, b"a\0b\0c"), id="half a name"),
        pytest.param(packet(0x30000, b"a\0b\0c\0\0"), id="name without a value"),
        pytest.param(packet(0x30000, b"a"), id="no NUL"),
    ],
)
def test_what_is_not_postgres_is_known_at_the_byte_that_shows_it(data: bytes) -> None:
    is_refused(postgres, data)


def test_the_largest_packet_is_read() -> None:
    """The server takes 10000 bytes behind those four that hold the length."""
    data = startup(b"user", b"x" * (LIMIT - 8 - 5 - 2))
    assert len(data) == LIMIT == 10004
    assert postgres(data[:-1]) is NEED_DATA
    assert postgres(data) == started(10004, user="x" * 9989)
    assert postgres(startup(b"user", b"x" * (LIMIT - 8 - 5 - 1))) is None


@pytest.mark.parametrize("filling", [b"\0", b"a\0", b"a\0\0", b"a"])
def test_no_answer_takes_long(filling: bytes) -> None:
    data = packet(0x30000, (filling * 10000)[: LIMIT - 8])
    assert milliseconds(postgres, data[:-1]) < 4
    assert milliseconds(postgres, data) < 4


@pytest.mark.parametrize(
    ("data", "user", "database"),
    [
        (PSQL, "bob", "shop"),
        (startup(b"user", b"bob"), "bob", "bob"),
        (startup(b"user", b"bob", b"database", b""), "bob", "bob"),
        (startup(b"database", b"shop"), None, "shop"),
        (startup(), None, None),
        (packet(SSL), None, None),
    ],
)
def test_user_and_database(data: bytes, user: str | None, database: str | None) -> None:
    found = postgres(data)
    assert isinstance(found, Postgres)
    assert (found.user, found.database) == (user, database)


def test_parameters_are_a_mapping_that_cannot_change() -> None:
    found = postgres(PSQL)
    assert isinstance(found, Postgres)
    parameters = found.parameters
    assert list(parameters) == ["user", "database", "application_name"]
    assert parameters["application_name"] == "psql"
    assert parameters.get("options") is None
    assert parameters == {"user": "bob", "database": "shop", "application_name": "psql"}
    assert len(parameters) == 3
    assert "user" in parameters
    assert repr(parameters) == "{'user': 'bob', 'database': 'shop', 'application_name': 'psql'}"
    with pytest.raises(TypeError):
        parameters["user"] = "eve"  # type: ignore[index]
    assert {found: 1}[Postgres("startup", 54, Parameters(parameters.items()))] == 1


TEXT = st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=6), st.integers(0, 65535), st.binary(max_size=9))
def test_whatever_is_put_into_a_startup_is_read_from_it(pairs: list[tuple[str, str]], minor: int, more: bytes) -> None:
    data = startup(*(text.encode() for pair in pairs for text in pair), protocol=0x30000 + minor)
    value = Postgres("startup", len(data), Parameters(pairs))
    assert answers(postgres, data) == [NEED_DATA] * len(data) + [value]
    assert postgres(data + more) == value
