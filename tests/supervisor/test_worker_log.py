"""The text log of a worker, written by one process and read by another."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogEvent, Logger, LogLevel, formatEvent

from proxymux.admin.log_lines import DETAILS, as_json
from proxymux.supervisor.worker_log import MAX_LINE, WorkerLog
from tests.supervisor.standing_in import logger_to

Logged = list[tuple[str, str, str]]


def reader(events: Logged) -> WorkerLog:
    def observe(event: LogEvent) -> None:
        events.append((event["log_level"].name, formatEvent(event), event.get(DETAILS, "")))

    return WorkerLog(logger_to(observe), "worker 2")


def read(data: bytes) -> Logged:
    events: Logged = []
    log = reader(events)
    log.received(data)
    log.finished()
    return events


def written(write: Callable[[Logger], None]) -> bytes:
    """What a worker writes as it logs something."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        lines.append(f"{as_json(event)}\n")

    write(logger_to(observe))
    return "".join(lines).encode()


def test_each_event_keeps_its_level_and_is_one_line() -> None:
    levels = list(LogLevel.iterconstants())

    def write(log: Logger) -> None:
        for level in levels:
            log.emit(level, "a {what}", what="thing")

    assert read(written(write)) == [(level.name, "worker 2: a thing", "") for level in levels]


def test_a_traceback_goes_below_the_line() -> None:
    def fail(log: Logger) -> None:
        try:
            raise ValueError("oh no")
        except ValueError:
            log.failure("it failed")

    ((level, text, below),) = read(written(fail))
    assert (level, text) == ("critical", "worker 2: it failed")
    assert "ValueError: oh no" in below.splitlines()[-1]


def test_braces_in_a_text_are_no_names() -> None:
    assert read(written(lambda log: log.info("{text}", text="{boom} {0}")))[0][1] == "worker 2: {boom} {0}"


@given(st.binary(max_size=200), st.integers(0, 200))
def test_whatever_a_worker_writes_becomes_lines(data: bytes, cut: int) -> None:
    events: Logged = []
    log = reader(events)
    log.received(data[:cut])
    log.received(data[cut:])
    log.finished()
    assert events == read(data)
    assert len(events) == data.count(b"\n") + (not data.endswith(b"\n") and bool(data))


def test_what_is_not_of_the_log_is_a_warning() -> None:
    for line in (
        b"Fatal Python error",
        b'{"level": "loud", "message": "x"}',
        b'{"level": "info", "message": 5}',
        b'{"level": [], "message": "x"}',
        b'{"level": "info", "message": "x", "details": 5}',
        b'{"level": "info"}',
        b"[]",
        b"5",
        b"\xff",
    ):
        ((level, text, _),) = read(line + b"\n")
        assert (level, text) == ("warn", f"worker 2: {line.decode('utf-8', 'replace')}")


def test_a_line_without_end_is_cut() -> None:
    events: Logged = []
    log = reader(events)
    for _ in range(3):
        log.received(b"x" * MAX_LINE)
    log.received(b"\nnext\n")
    assert [len(text) for _, text, _ in events] == [MAX_LINE + len("worker 2: "), len("worker 2: next")]
