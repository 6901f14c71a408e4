from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.admin.access_log import AccessLog, to_json
from proxymux.core.outcome import Outcome, Record
from proxymux.errors import ConfigError

RECORD = Record(
    time=1700000000.25,
    service="router",
    session=7,
    client="192.0.2.1:50000",
    local="192.0.2.2:5432",
    target="db.example:5432",
    outcome=Outcome.COMPLETED,
    reason=None,
    bytes_in=10,
    bytes_out=2000,
    decide_seconds=0.001,
    connect_seconds=0.002,
    first_byte_seconds=0.003,
    seconds=1.5,
)
REFUSED = RECORD._replace(
    target=None,
    outcome=Outcome.REFUSED,
    reason="address denied (--deny, --deny-file)",
    decide_seconds=None,
    connect_seconds=None,
    first_byte_seconds=None,
)
#: As the contract's A8 lists them.
KEYS = [
    "time",
    "service",
    "session",
    "client",
    "local",
    "target",
    "outcome",
    "reason",
    "bytes_in",
    "bytes_out",
    "decide_seconds",
    "connect_seconds",
    "first_byte_seconds",
    "seconds",
]
#: With its key in a line only where there is one.
NOTE = {"tenant": "blue", "user": "Jos\u00e9 \x1b[31m"}
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


class Reports:
    def __init__(self) -> None:
        self.errors: list[str] = []

    def __call__(self, problem: str) -> None:
        self.errors.append(problem)


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


@pytest.fixture
def log(path: Path, reports: Reports) -> Iterator[AccessLog]:
    log = AccessLog(str(path), io.StringIO(), reports)
    yield log
    log.close()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def sessions(path: Path) -> list[int]:
    return [line["session"] for line in lines(path)]


def numbered(session: int) -> Record:
    return RECORD._replace(session=session)


# The line


def test_a_line_is_an_object_of_these_keys_in_this_order() -> None:
    assert list(json.loads(to_json(RECORD))) == KEYS


def test_a_line_says_what_the_record_says() -> None:
    assert json.loads(to_json(RECORD)) == {
        "time": "2023-11-14T22:13:20.250Z",
        "service": "router",
        "session": 7,
        "client": "192.0.2.1:50000",
        "local": "192.0.2.2:5432",
        "target": "db.example:5432",
        "outcome": "completed",
        "reason": None,
        "bytes_in": 10,
        "bytes_out": 2000,
        "decide_seconds": 0.001,
        "connect_seconds": 0.002,
        "first_byte_seconds": 0.003,
        "seconds": 1.5,
    }


def test_what_does_not_apply_is_null() -> None:
    line = json.loads(to_json(REFUSED))
    assert list(line) == KEYS
    for name in ("target", "decide_seconds", "connect_seconds", "first_byte_seconds"):
        assert line[name] is None
    assert line["reason"] == "address denied (--deny, --deny-file)"


@pytest.mark.parametrize("outcome", Outcome)
def test_an_outcome_is_its_word(outcome: Outcome) -> None:
    assert json.loads(to_json(RECORD._replace(outcome=outcome)))["outcome"] == outcome.value


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1700000000.0, "2023-11-14T22:13:20.000Z"),
        (1700000000.9996, "2023-11-14T22:13:20.999Z"),
        (951782400.5, "2000-02-29T00:00:00.500Z"),
    ],
)
def test_the_time_is_rfc_3339_in_utc(time: float, text: str) -> None:
    assert json.loads(to_json(RECORD._replace(time=time)))["time"] == text


@settings(database=None, deadline=None)
@given(st.floats(0, 4e9), st.floats(0, 1e6), st.text())
def test_whatever_a_record_says_is_one_line_of_strict_json(time: float, seconds: float, text: str) -> None:
    record = RECORD._replace(time=time, seconds=seconds, reason=text, target=text)
    line = to_json(record)
    assert len(line.splitlines()) == 1
    assert line.isascii()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    read = json.loads(line, parse_constant=refuse)
    assert RFC_3339.fullmatch(read["time"])
    assert (read["reason"], read["target"]) == (text, text)
    assert read["seconds"] == pytest.approx(seconds, abs=1e-6)


def test_numbers_have_no_more_digits_than_they_are_worth() -> None:
    record = RECORD._replace(decide_seconds=1 / 3, seconds=0.1 + 0.2)
    assert '"decide_seconds": 0.333333' in to_json(record)
    assert '"seconds": 0.3}' in to_json(record)


# The file


def test_a_line_is_in_the_file_when_write_returns(log: AccessLog, path: Path) -> None:
    log.write(numbered(1))
    assert sessions(path) == [1]
    log.write(numbered(2))
    assert sessions(path) == [1, 2]
    assert path.read_text().endswith("}\n")


def test_the_file_is_there_before_the_first_line(log: AccessLog, path: Path) -> None:
    assert path.read_text() == ""


def test_a_file_that_is_there_is_appended_to(path: Path, reports: Reports) -> None:
    for session in (1, 2):
        log = AccessLog(str(path), io.StringIO(), reports)
        log.write(numbered(session))
        log.close()
    assert sessions(path) == [1, 2]


@pytest.mark.parametrize("name", ["nowhere/access.log", ".", ""])
def test_a_file_that_cannot_be_opened_is_a_bad_option(tmp_path: Path, reports: Reports, name: str) -> None:
    path = str(tmp_path / name) if name else ""
    with pytest.raises(ConfigError, match=r"^--access-log: .*; name a file that can be written, or -$"):
        AccessLog(path, io.StringIO(), reports)
    assert reports.errors == []


# Rotation


def test_after_a_rename_lines_go_to_the_new_file_once_it_is_reopened(
    log: AccessLog, path: Path, reports: Reports
) -> None:
    rotated = path.with_suffix(".1")
    log.write(numbered(1))
    os.rename(path, rotated)
    log.write(numbered(2))
    assert not path.exists()
    log.reopen()
    log.write(numbered(3))
    assert sessions(rotated) == [1, 2]
    assert sessions(path) == [3]
    assert reports.errors == []


def test_reopening_without_a_rename_goes_on_in_the_same_file(log: AccessLog, path: Path) -> None:
    log.write(numbered(1))
    log.reopen()
    log.write(numbered(2))
    assert sessions(path) == [1, 2]


def test_reopening_a_file_that_was_deleted_makes_it_again(log: AccessLog, path: Path) -> None:
    log.write(numbered(1))
    path.unlink()
    log.reopen()
    log.write(numbered(2))
    assert sessions(path) == [2]


def test_reopening_where_it_cannot_be_written_is_reported_and_the_old_file_goes_on(
    log: AccessLog, path: Path, reports: Reports
) -> None:
    rotated = path.with_suffix(".1")
    os.rename(path, rotated)
    path.mkdir()
    log.reopen()
    assert len(reports.errors) == 1
    assert reports.errors[0].startswith(f"not reopened, the old file stays: --access-log: {path}: Is a directory; ")
    log.write(numbered(1))
    assert sessions(rotated) == [1]


# A disk that is full


@pytest.fixture
def full(path: Path) -> Path:
    path.symlink_to("/dev/full")
    return path


def test_a_line_that_cannot_be_written_is_reported_and_nothing_is_raised(full: Path, reports: Reports) -> None:
    log = AccessLog(str(full), io.StringIO(), reports)
    log.write(RECORD)
    assert len(reports.errors) == 1
    assert reports.errors[0] == f"--access-log: {full}: a record is lost: No space left on device"
    log.write(RECORD)
    assert len(reports.errors) == 2
    full.unlink()
    log.reopen()
    log.close()


def test_closing_on_a_full_disk_raises_nothing(full: Path, reports: Reports) -> None:
    log = AccessLog(str(full), io.StringIO(), reports)
    log.write(RECORD)
    log.close()


def test_reopening_on_a_full_disk_raises_nothing_and_later_lines_go_to_the_new_file(
    full: Path, reports: Reports
) -> None:
    log = AccessLog(str(full), io.StringIO(), reports)
    log.write(numbered(1))
    full.unlink()
    log.reopen()
    log.write(numbered(2))
    log.close()
    assert 2 in sessions(full)


# Standard output


def test_a_dash_is_standard_output(reports: Reports) -> None:
    stdout = io.StringIO()
    log = AccessLog("-", stdout, reports)
    log.write(RECORD)
    assert json.loads(stdout.getvalue())["session"] == 7
    assert stdout.getvalue().endswith("}\n")


def test_standard_output_is_neither_reopened_nor_closed(reports: Reports) -> None:
    stdout = io.StringIO()
    log = AccessLog("-", stdout, reports)
    log.write(RECORD)
    log.reopen()
    log.write(RECORD)
    log.close()
    assert not stdout.closed
    assert len(stdout.getvalue().splitlines()) == 2


def test_standard_output_that_nobody_reads_is_reported(reports: Reports) -> None:
    class Broken(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError(32, "Broken pipe")

    log = AccessLog("-", Broken(), reports)
    log.write(RECORD)
    assert reports.errors == ["--access-log: -: a record is lost: Broken pipe"]


@pytest.mark.parametrize("note", [None, {}])
def test_a_line_has_no_note_where_nothing_was_noted(note: dict[str, str] | None) -> None:
    assert list(json.loads(to_json(RECORD._replace(note=note)))) == KEYS


def test_what_was_noted_is_the_last_of_the_line() -> None:
    line = to_json(RECORD._replace(note=NOTE))
    assert list(json.loads(line)) == [*KEYS, "note"]
    assert json.loads(line)["note"] == NOTE
    assert line.isprintable()
