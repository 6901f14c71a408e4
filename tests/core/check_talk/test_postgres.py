from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.check_talk.postgres import LONGEST, PostgresTalk
from proxymux.core.check_talk.talk import Step
from proxymux.core.decision import NEED_DATA
from proxymux.sniff.postgres import Postgres, postgres
from tests.core.check_talk.talks import bytes_taken, ends, heard, is_judged


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (4 + len(body)).to_bytes(4, "big") + body


def error(code: str, text: str) -> bytes:
    return message(b"E", f"SFATAL\0VFATAL\0C{code}\0M{text}\0Fpostmaster.c\0\0".encode())


def test_it_begins_a_connection_as_a_client_does() -> None:
    step = PostgresTalk().begin()
    assert step.verdict is NEED_DATA
    found = postgres(step.send)
    assert isinstance(found, Postgres)
    assert (found.kind, found.length) == ("startup", len(step.send))
    assert dict(found.parameters) == {"user": "proxymux", "database": "postgres"}


@pytest.mark.parametrize(
    "body",
    [
        (10).to_bytes(4, "big") + b"SCRAM-SHA-256\0\0",
        (5).to_bytes(4, "big") + b"salt",
        (3).to_bytes(4, "big"),
    ],
)
def test_a_server_that_asks_for_a_password_serves(body: bytes) -> None:
    is_judged(PostgresTalk, message(b"R", body), None)


def test_where_no_password_is_needed_the_connection_is_ended_in_good_order() -> None:
    is_judged(PostgresTalk, message(b"R", bytes(4)), None, b"X\0\0\0\4")


@pytest.mark.parametrize("code", ["28000", "28P01", "3D000", "42501", "0A000", "08P01"])
def test_a_server_that_refuses_the_user_or_the_database_serves(code: str) -> None:
    is_judged(PostgresTalk, error(code, "role does not exist"), None)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("57P03", "the database system is starting up"),
        ("57P01", "terminating connection due to administrator command"),
        ("53300", "sorry, too many clients already"),
        ("58000", "could not open file"),
        ("XX000", "cache lookup failed"),
    ],
)
def test_a_server_that_cannot_serve_is_bad(code: str, text: str) -> None:
    is_judged(PostgresTalk, error(code, text), f"answered with the error {code!r}, {text!r}")


@pytest.mark.parametrize("answer", [b"S", b"N", b"H", b"\0", b"r"])
def test_what_is_not_postgresqls_is_known_by_its_first_byte(answer: bytes) -> None:
    is_judged(PostgresTalk, answer, "the answer is not PostgreSQL's")


@pytest.mark.parametrize("answer", [b"R\0\0\0\7", b"E\0\0\0\0", b"R\xff\xff\xff\xff", b"Ecoul", b"RTSP/"])
def test_an_impossible_length_is_bad(answer: bytes) -> None:
    is_judged(PostgresTalk, answer, "the answer is not PostgreSQL's")


def test_an_end_before_the_answer_is_whole() -> None:
    assert ends(PostgresTalk) == "ended without an answer"
    assert ends(PostgresTalk, error("57P03", "starting")[:-1]) == "ended before its answer was whole"


def test_no_message_is_longer_than_the_limit() -> None:
    long = error("57P03", "x" * (LONGEST - 60))
    assert str(heard(PostgresTalk(), long)[-1].verdict).startswith("answered with the error '57P03', 'xxx")
    begun = b"R" + LONGEST.to_bytes(4, "big")
    talk = PostgresTalk()
    assert heard(talk, begun)[-1] == Step(NEED_DATA)
    assert bytes_taken(lambda: talk, b"x") <= LONGEST + 1000


@given(st.sampled_from([b"R", b"E"]), st.binary(min_size=4, max_size=100))
def test_whatever_is_answered_is_judged_in_one_line(kind: bytes, body: bytes) -> None:
    for step in heard(PostgresTalk(), message(kind, body)):
        if isinstance(step.verdict, str):
            assert step.verdict.isprintable()
