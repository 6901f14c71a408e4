from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock

from proxymux.admin.access_log import AccessLog, to_json
from proxymux.admin.log_queue import STOP_LIMIT
from proxymux.core.outcome import Outcome, Record
from proxymux.errors import ConfigError
from tests.admin.records import RECORD, REFUSED
from tests.conftest import until

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


class Threads:
    """What a reactor has for other threads: they do it themselves."""

    def callFromThread(self, call: Callable[[], None]) -> None:
        call()


def close(log: AccessLog) -> None:
    over: list[None] = []
    log.close(cast("IReactorFromThreads", Threads()), Clock()).addCallback(over.append)
    until(lambda: over, "the log to be closed")


@pytest.fixture
def log(path: Path, reports: Reports) -> Iterator[AccessLog]:
    log = AccessLog(str(path), 1, reports)
    yield log
    close(log)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def until_written(path: Path, *numbers: int) -> None:
    """Wait until these sessions, and no others, have lines in the file, each of them whole."""
    until(lambda: path.exists() and path.read_text().count("\n") >= len(numbers), f"{len(numbers)} lines")
    assert sessions(path) == list(numbers)


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
    assert line["reason"] == "address denied (--deny, --deny-file, --deny-cluster)"


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


def test_a_line_is_in_the_file_as_soon_as_it_can_be(log: AccessLog, path: Path) -> None:
    log.write(numbered(1))
    until_written(path, 1)
    log.write(numbered(2))
    until_written(path, 1, 2)
    assert path.read_text().endswith("}\n")


def test_the_file_is_there_before_the_first_line(log: AccessLog, path: Path) -> None:
    assert path.read_text() == ""


def test_a_file_that_is_there_is_appended_to(path: Path, reports: Reports) -> None:
    for session in (1, 2):
        log = AccessLog(str(path), 1, reports)
        log.write(numbered(session))
        close(log)
    assert sessions(path) == [1, 2]


@pytest.mark.parametrize("name", ["nowhere/access.log", ".", ""])
def test_a_file_that_cannot_be_opened_is_a_bad_option(tmp_path: Path, reports: Reports, name: str) -> None:
    path = str(tmp_path / name) if name else ""
    with pytest.raises(ConfigError, match=r"^--access-log: .*; name a file that can be written, or -$"):
        AccessLog(path, 1, reports)
    assert reports.errors == []


# Rotation


def test_after_a_rename_lines_go_to_the_new_file_once_it_is_reopened(path: Path, reports: Reports) -> None:
    log = AccessLog(str(path), 1, reports)
    rotated = path.with_suffix(".1")
    log.write(numbered(1))
    os.rename(path, rotated)
    log.write(numbered(2))
    log.reopen()
    log.write(numbered(3))
    close(log)
    assert sessions(rotated) == [1, 2]
    assert sessions(path) == [3]
    assert reports.errors == []


def test_reopening_a_file_that_was_deleted_makes_it_again(log: AccessLog, path: Path) -> None:
    log.write(numbered(1))
    until_written(path, 1)
    path.unlink()
    log.reopen()
    log.write(numbered(2))
    until_written(path, 2)


def test_reopening_where_it_cannot_be_written_is_reported_and_the_old_file_goes_on(
    log: AccessLog, path: Path, reports: Reports
) -> None:
    rotated = path.with_suffix(".1")
    os.rename(path, rotated)
    path.mkdir()
    log.reopen()
    until(lambda: reports.errors, "the report")
    assert reports.errors == [f"--access-log: {path}: not reopened, the old file stays: Is a directory"]
    log.write(numbered(1))
    until_written(rotated, 1)


# A disk that is full


def test_a_full_disk_is_reported_once_and_its_lines_are_in_the_file_that_is_opened_instead(
    path: Path, reports: Reports
) -> None:
    path.symlink_to("/dev/full")
    log = AccessLog(str(path), 1, reports)
    for number in range(3):
        log.write(numbered(number))
    until(lambda: reports.errors, "the report")
    path.unlink()
    log.reopen()
    until_written(path, 0, 1, 2)
    close(log)
    assert reports.errors == [
        f"--access-log: {path}: cannot be written: No space left on device; up to 4 MiB of records are kept",
        f"--access-log: {path}: written again; 0 records were lost",
    ]


# Standard output


def test_a_dash_is_standard_output_which_is_neither_reopened_nor_closed(reports: Reports) -> None:
    reads, writes = os.pipe()
    log = AccessLog("-", writes, reports)
    log.write(numbered(1))
    log.reopen()
    log.write(numbered(2))
    close(log)
    os.close(writes)
    with open(reads, "rb") as output:
        assert [json.loads(line)["session"] for line in output] == [1, 2]


def test_standard_output_that_nobody_reads_is_reported_and_keeps_nobody_waiting(reports: Reports) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    log = AccessLog("-", writes, reports)
    log.write(RECORD)
    until(lambda: reports.errors, "the report")
    assert reports.errors == ["--access-log: -: cannot be written: Broken pipe; up to 4 MiB of records are kept"]
    over: list[None] = []
    clock = Clock()
    log.close(cast("IReactorFromThreads", Threads()), clock).addCallback(over.append)
    clock.advance(STOP_LIMIT)
    assert over == [None]
    assert reports.errors[1:] == ["--access-log: -: 1 records were lost at the stop: Broken pipe"]
    os.close(writes)


@pytest.mark.parametrize("note", [None, {}])
def test_a_line_has_no_note_where_nothing_was_noted(note: dict[str, str] | None) -> None:
    assert list(json.loads(to_json(RECORD._replace(note=note)))) == KEYS


def test_what_was_noted_is_the_last_of_the_line() -> None:
    line = to_json(RECORD._replace(note=NOTE))
    assert list(json.loads(line)) == [*KEYS, "note"]
    assert json.loads(line)["note"] == NOTE
    assert line.isprintable()
