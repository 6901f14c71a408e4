"""What an instance says of itself, and what is made of what others have written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.fleet.instance_record import MAX_ADDRESSES, MAX_TEXT, InstanceRecord, parse_record

RECORD = InstanceRecord(
    id="9f0c",
    name="gateway",
    addresses=("10.0.0.5:8000", "unix:/run/p"),
    version="1.2.3",
    started="2026-01-02T03:04:05Z",
    connections=7,
    draining=False,
    admin="127.0.0.1:9090",
    pid=42,
    host="one",
)
EMPTY = InstanceRecord("x", "", (), "", "", 0, False, None, 0, "")


def test_what_was_written_is_read() -> None:
    assert parse_record("9f0c", RECORD.to_value().encode()) == RECORD


def test_a_line_has_everything() -> None:
    assert RECORD.line == (
        "9f0c 10.0.0.5:8000,unix:/run/p name=gateway version=1.2.3 started=2026-01-02T03:04:05Z connections=7"
        " host=one pid=42 admin=127.0.0.1:9090"
    )
    assert EMPTY.line == "x - name= version= started= connections=0 host= pid=0"


def test_a_line_is_one_line_whatever_others_have_written() -> None:
    value = json.dumps({"host": "a\nb\x1b[2J", "addresses": ["\u202e1:2"], "draining": True}).encode()
    line = parse_record("i\r", value).line
    assert line.isprintable()
    assert line.startswith("i\\r \\u202e1:2 ")
    assert line.endswith(" draining")
    assert "host=a\\nb\\x1b[2J" in line


@pytest.mark.parametrize("value", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 70000, b"7" * 100])
def test_what_is_no_record_is_an_empty_one(value: bytes) -> None:
    assert parse_record("x", value) == EMPTY


def test_what_is_of_another_type_or_too_long_is_left_out_or_cut() -> None:
    given = {
        "name": "n" * 1000,
        "addresses": ["a" * 1000, 7, *["b"] * 1000],
        "connections": True,
        "pid": -1,
        "admin": 9090,
        "draining": 1,
        "host": ["one"],
        "more": "of a later version",
    }
    record = parse_record("x" * 1000, json.dumps(given).encode())
    assert record.id == "x" * MAX_TEXT
    assert record.name == "n" * MAX_TEXT
    assert record.addresses == ("a" * MAX_TEXT, "", *["b"] * (MAX_ADDRESSES - 2))
    assert (record.connections, record.pid, record.admin, record.draining, record.host) == (0, 0, None, False, "")


_PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_NAMES = ["name", "addresses", "connections", "pid", "admin", "host", "version"]


@settings(database=None, deadline=None)
@given(st.dictionaries(st.sampled_from(_NAMES), _PLAIN | st.lists(_PLAIN, max_size=3), max_size=4))
def test_anything_is_read(given: dict[str, object]) -> None:
    assert parse_record("x", json.dumps(given).encode()).line.isprintable()
