"""Where the text log goes, and that nobody waits for it while the reactor runs."""

from __future__ import annotations

import fcntl
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import FileLogObserver, LogEvent, LogLevel, textFileLogObserver
from twisted.python.logfile import LogFile

from proxymux.admin import log_queue
from proxymux.admin.log_outputs import LogWriter, leads_to_journald, output_for
from tests.conftest import until


def event(text: str, level: str = "info", **more: Any) -> LogEvent:
    return {
        "log_format": "{text}",
        "text": text,
        "log_level": LogLevel.levelWithName(level),
        "log_namespace": "some.module",
        "log_time": 0.0,
        **more,
    }


def writer_of(observer: FileLogObserver) -> LogWriter[Any]:
    output = output_for(observer, "text", lambda observer, event: observer(event))
    assert output is not None
    return LogWriter(output)


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """A pipe: its end to read, and a stream on the other."""
    reads, writes = os.pipe()
    with open(writes, "w", encoding="ascii") as stream:
        yield reads, stream
    os.close(reads)


def test_before_the_reactor_runs_a_line_is_written_at_once(pipe: tuple[int, io.TextIOWrapper]) -> None:
    reads, stream = pipe
    writer_of(textFileLogObserver(stream)).write(event("caf\xe9"))
    assert os.read(reads, 1000).endswith(b" [some.module#info] caf\\xe9\n")


def test_while_the_reactor_runs_nobody_waits_and_what_is_lost_is_said_in_its_place(
    pipe: tuple[int, io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_queue, "MAX_QUEUED", 100_000)
    reads, stream = pipe
    filler = os.write(stream.fileno(), b"\n" * fcntl.fcntl(reads, fcntl.F_GETPIPE_SZ))
    writer = writer_of(textFileLogObserver(stream))
    writer.begin()
    for number in range(10_000):
        writer.write(event(f"line {number}"))
    found = os.read(reads, filler)[filler:]

    def read() -> bool:
        nonlocal found
        found += os.read(reads, 1 << 16)
        return b"written again" in found

    until(read, "the number of what was lost")
    writer.end()
    lines = [line.partition(b"] ")[2].decode() for line in found.splitlines()]
    at = lines.index("this log: lines are lost: it is not written as fast as they come")
    assert lines[:at] == [f"line {number}" for number in range(at)]
    assert lines[at + 1 :] == [f"this log: written again; {10_000 - at} lines were lost"]


def test_at_the_end_what_waits_is_written_and_what_comes_then_too(pipe: tuple[int, io.TextIOWrapper]) -> None:
    reads, stream = pipe
    writer = writer_of(textFileLogObserver(stream))
    writer.begin()
    writer.write(event("one"))
    writer.end()
    writer.write(event("two"))
    assert os.read(reads, 1000).count(b"\n") == 2


def test_at_the_end_a_pipe_that_nobody_reads_is_given_up(
    pipe: tuple[int, io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxymux.admin.log_outputs.STOP_LIMIT", 0.1)
    _, stream = pipe
    writer = writer_of(textFileLogObserver(stream))
    writer.begin()
    for _ in range(100):
        writer.write(event("x" * 8000))
    writer.end()
    writer.write(event("not written, nor waited for"))


def test_the_file_of_twistd_begins_anew_when_it_is_long_and_is_opened_again_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "text.log"
    file: Any = LogFile("text.log", str(tmp_path), rotateLength=150)
    writer = writer_of(textFileLogObserver(file))
    for number in range(5):
        writer.write(event(f"line {number}"))
    assert "line 4" in path.read_text()
    assert "line 0" in (tmp_path / "text.log.1").read_text()
    path.rename(tmp_path / "moved")
    writer.begin()
    writer.reopen()
    writer.write(event("line 5"))
    writer.end()
    assert "line 5" in path.read_text()
    assert "line 5" not in (tmp_path / "moved").read_text()
    file.close()


def test_an_observer_whose_file_has_no_descriptor_writes_by_itself() -> None:
    file = io.StringIO()
    writer = writer_of(textFileLogObserver(file))
    writer.write(event("one"))
    writer.begin()
    writer.write(event("two"))
    writer.end()
    assert [line.partition("] ")[2] for line in file.getvalue().splitlines()] == ["one", "two"]


def test_for_journald_each_line_has_its_priority(
    pipe: tuple[int, io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, stream = pipe
    status = os.fstat(stream.fileno())
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    writer = writer_of(textFileLogObserver(stream))
    for level in ("critical", "error", "warn", "info", "debug"):
        writer.write(event("text", level))
    writer.write(event("text", "error", details_below="more"))
    lines = os.read(reads, 10_000).splitlines()
    assert [line[:3] for line in lines] == [b"<2>", b"<3>", b"<4>", b"<6>", b"<7>", b"<3>", b"<3>"]
    assert lines[-1] == b"<3>\tmore"


@pytest.mark.parametrize("named", ["", "1:2", "nonsense"])
def test_another_stream_does_not_lead_to_journald(named: str, pipe: tuple[int, io.TextIOWrapper]) -> None:
    assert not leads_to_journald(pipe[0], {"JOURNAL_STREAM": named})
