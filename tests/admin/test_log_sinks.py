"""Files, FIFOs and pipes that are logged to: that lines are whole, and that nobody waits who need not."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxymux.admin.log_sinks import LineSink, NamedFile, StreamFile

LINE = b"x" * 99 + b"\n"
#: Longer than a pipe takes at once.
LONG = b"y" * 9_999 + b"\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The end of a pipe to read, which does not wait, and the one to write."""
    reads, writes = os.pipe()
    os.set_blocking(reads, False)
    yield reads, writes
    os.close(reads)
    os.close(writes)


def drain(reads: int) -> bytes:
    found = b""
    try:
        while part := os.read(reads, 1 << 20):
            found += part
    except BlockingIOError:
        pass
    return found


def test_lines_are_appended_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"before\n")
    sink = LineSink(NamedFile(str(path)))
    assert sink.write([b"one\n", b"two\n"]) == 2
    sink.close()
    assert path.read_bytes() == b"before\none\ntwo\n"


#: Appends lines to a file until the disk has room for no more, and says how many it has written.
FILLS = """
import resource, sys
from proxymux.admin.log_sinks import LineSink, NamedFile
resource.setrlimit(resource.RLIMIT_FSIZE, (1050, resource.RLIM_INFINITY))
sink = LineSink(NamedFile(sys.argv[1]))
line = b"x" * 99 + b"\\n"
print(sink.write([line] * 20))
try:
    sink.write([line])
except OSError as error:
    print(error.strerror)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
print(sink.write([line] * 10))
"""


def test_of_a_line_that_a_full_disk_takes_in_part_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "log"
    said = subprocess.run([sys.executable, "-c", FILLS, path], capture_output=True, text=True, check=True).stdout
    assert said.split("\n")[:3] == ["10", "File too large", "10"]
    assert path.read_bytes() == LINE * 20
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_a_fifo_that_nobody_reads_is_opened_and_takes_what_it_can(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    sink = LineSink(NamedFile(str(path)))
    written = 0
    while count := sink.write([LINE] * 100):
        written += count
    assert written > 100
    reads = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    assert drain(reads) == LINE * written
    assert sink.write([LINE]) == 1
    os.close(reads)
    sink.close()


def test_a_pipe_has_whole_lines_only_whatever_fits(pipe: tuple[int, int]) -> None:
    reads, writes = pipe
    sink = LineSink(StreamFile(writes))
    written = 0
    while count := sink.write([LINE] * 70):
        written += count
    assert drain(reads) == LINE * written
    assert os.get_blocking(writes), "it may be another's too"


def test_a_line_that_is_longer_than_a_pipe_takes_at_once_goes_on_where_it_was(pipe: tuple[int, int]) -> None:
    reads, writes = pipe
    sink = LineSink(StreamFile(writes))
    lines = [LINE, LONG] * 10
    found, left = b"", lines
    while left:
        left = left[sink.write(left) :]
        found += os.read(reads, 5_000)
    assert found + drain(reads) == b"".join(lines)


def test_a_pipe_whose_reader_has_gone_is_an_error() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    with pytest.raises(BrokenPipeError):
        LineSink(StreamFile(writes)).write([LINE])
    os.close(writes)


def test_after_a_rename_the_file_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    sink = LineSink(NamedFile(str(path)))
    sink.write([b"one\n"])
    path.rename(tmp_path / "log.1")
    sink.write([b"two\n"])
    sink.reopen()
    sink.write([b"three\n"])
    sink.close()
    assert (tmp_path / "log.1").read_bytes() == b"one\ntwo\n"
    assert path.read_bytes() == b"three\n"


#: Writes lines of its own letter, some of them long, to standard output.
TALKS = """
import sys
from proxymux.admin.log_sinks import LineSink, StreamFile
sink = LineSink(StreamFile(1))
lines = [sys.argv[1].encode() * n + b"\\n" for n in (10, 6000, 200, 20000)] * 20
while lines:
    lines = lines[sink.write(lines):]
"""


def test_lines_of_several_processes_on_one_pipe_are_whole() -> None:
    reads, writes = os.pipe()
    processes = [subprocess.Popen([sys.executable, "-c", TALKS, letter], stdout=writes) for letter in "ab"]
    os.close(writes)
    with open(reads, "rb") as output:
        lines = output.read().splitlines()
    assert [process.wait(30) for process in processes] == [0, 0]
    assert {(line[:1], len(line)) for line in lines} == {(c, n) for c in (b"a", b"b") for n in (10, 6000, 200, 20000)}
    assert all(line == line[:1] * len(line) for line in lines)
    assert len(lines) == 160
