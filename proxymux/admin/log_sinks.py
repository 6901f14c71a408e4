"""What logs are written to: files, pipes and terminals.  Every line is whole, whoever else writes to the same.

Several processes may append to one file, or have one pipe for their standard output.
"""

from __future__ import annotations

import fcntl
import os
import select
import stat
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, Protocol

#: Bytes that a pipe takes as a whole or not at all (POSIX has 512 at least, Linux this).
_WHOLE: Final = 4096
#: Milliseconds that a pipe or terminal is waited for; then the queue looks whether there is something else to do.
_WAIT: Final = 250


class OpenFile(Protocol):
    """A file that is open, or a stream of the process."""

    def descriptor(self) -> int:
        """What to write to now.

        :raises OSError: if the file had to be opened again, and could not be.
        """

    def wrote(self, count: int) -> None:
        """Take note that ``count`` bytes were written."""

    def reopen(self) -> None:
        """Open it again by its name.

        :raises OSError: if it cannot be opened; the old one stays.
        """

    def close(self) -> None:
        """Close it."""


class NamedFile:
    """A file, or a FIFO, that is appended to.

    A FIFO is opened whether somebody reads it or not, and for reading too: so the one who reads it may come and go.

    :raises OSError: if it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._number = self._open()

    def _open(self) -> int:
        is_fifo = os.path.exists(self._path) and stat.S_ISFIFO(os.stat(self._path).st_mode)
        access = os.O_RDWR if is_fifo else os.O_WRONLY
        return os.open(self._path, access | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)

    def descriptor(self) -> int:
        return self._number

    def wrote(self, count: int) -> None:
        """Do nothing."""

    def reopen(self) -> None:
        number = self._open()
        os.close(self._number)
        self._number = number

    def close(self) -> None:
        os.close(self._number)


class StreamFile:
    """Standard output or standard error, which is neither opened again nor closed.

    :param number: its descriptor.
    """

    def __init__(self, number: int) -> None:
        self._number = number

    def descriptor(self) -> int:
        return self._number

    def wrote(self, count: int) -> None:
        """Do nothing."""

    def reopen(self) -> None:
        """Do nothing: it has no name."""

    def close(self) -> None:
        """Do nothing: it is not ours."""


class LineSink:
    """Writes whole lines to an open file."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        #: What is left of a line, longer than a pipe takes at once, that has been begun.
        self._rest = b""

    def write(self, items: Sequence[bytes]) -> int:
        number = self._file.descriptor()
        _lock(number, fcntl.LOCK_EX)
        try:
            is_file = stat.S_ISREG(os.fstat(number).st_mode)
            count = _append(number, items) if is_file else self._pour(number, items)
        finally:
            if not self._rest:
                _lock(number, fcntl.LOCK_UN)
        self._file.wrote(sum(map(len, items[:count])))
        return count

    def reopen(self) -> None:
        if self._rest:
            self._rest = b""
            _lock(self._file.descriptor(), fcntl.LOCK_UN)
        self._file.reopen()

    def close(self) -> None:
        self._file.close()

    def _pour(self, number: int, lines: Sequence[bytes]) -> int:
        """Write to a pipe or a terminal, as much as it takes without waiting for long."""
        written = 0
        poll = select.poll()
        poll.register(number, select.POLLOUT)
        for count, piece in _pieces(lines):
            left = self._rest or piece
            while left:
                if not poll.poll(0 if written else _WAIT):
                    self._rest = left if len(piece) > _WHOLE else b""
                    return written
                try:
                    left = left[os.write(number, left[:_WHOLE]) :]
                except BlockingIOError:  # somebody else was faster
                    self._rest = left if len(piece) > _WHOLE else b""
                    return written
                except OSError:
                    self._rest = b""
                    if written:
                        return written
                    raise
            self._rest = b""
            written += count
        return written


def _append(number: int, lines: Sequence[bytes]) -> int:
    """Write to a file; what a full disk takes of a line is taken back."""
    data = b"".join(lines)
    written = 0
    try:
        while written < len(data):
            written += os.write(number, data[written:])
    except OSError:
        count = sum(end <= written for end in accumulate(map(len, lines)))
        torn = written - sum(map(len, lines[:count]))
        if torn:
            end = os.lseek(number, -torn, os.SEEK_CUR)
            os.ftruncate(number, end)
        if not count:
            raise
        return count
    return len(lines)


def _pieces(lines: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    """Join lines to pieces that a pipe takes whole, or of one line; each with the number of its lines."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        if held and size + len(line) > _WHOLE:
            yield len(held), b"".join(held)
            held, size = [], 0
        held.append(line)
        size += len(line)
    if held:
        yield len(held), b"".join(held)


def _lock(number: int, how: int) -> None:
    """Keep other processes from writing to it, or let them, where the system can do that.

    They must not append to a line that is about to be taken back, nor write into one that a pipe takes in parts.
    """
    lock = fcntl.flock if stat.S_ISREG(os.fstat(number).st_mode) else fcntl.lockf
    try:
        lock(number, how)
    except OSError:
        pass
