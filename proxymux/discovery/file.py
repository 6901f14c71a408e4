"""A source of members that is a file: one member a line, read again when it changes."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from proxymux.core.member import Entry, parse_entry
from proxymux.core.target import Address
from proxymux.discovery.source import SourceListener
from proxymux.errors import BadAddress
from proxymux.net.tls.files import WatchedFiles

#: Seconds between two looks at the file.
LOOK_INTERVAL: Final = 2.0
#: The largest file, in bytes: some 40,000 members.
MAX_SIZE: Final = 1 << 20


class FileSource:
    """Members that stand in a file, one a line; ``#`` begins a comment.

    The file is looked at every :data:`LOOK_INTERVAL`, by one ``stat``, and read where that says something new.  inotify
    would tell sooner, but not of all: it is silent for changes that another machine makes (NFS), and for a path whose
    links lead through several folders (a ConfigMap's ``..data``) it would have to watch each of them anew after every
    change, so that looking would be needed beside it.  Who cannot wait sends HUP.

    A file that is gone, has a bad line or is empty is refused whole, and the members stay.  One that is empty is most
    likely just being written, or was cut by a full disk; a file with nothing but a comment says for certain that there
    are no members.  To replace a file, rename the new one over it: what is written in place may be seen half.

    :param text: ``file:PATH``; a relative path is of the folder in which the process is now.
    :param clock: measures the time and makes the delayed calls.
    :raises BadAddress: if it is no path.
    """

    def __init__(self, text: str, _reactor: object, clock: IReactorTime, _jitter: object) -> None:
        path = text.removeprefix("file:")
        if not path or "\0" in path:
            raise BadAddress("file: has no path; write file:PATH, such as file:/etc/proxymux/users")
        self._file = MemberFile(os.path.abspath(path))
        self._clock = clock
        self._watched = WatchedFiles()
        self._listener: SourceListener | None = None
        self._call: IDelayedCall | None = None
        self._entries: tuple[Entry, ...] | None = None
        #: Why the file cannot be used; None if it can.
        self._problem: str | None = None

    def check(self) -> None:
        self._file.read()

    def start(self, listener: SourceListener) -> None:
        self._listener = listener
        self._look()

    def look(self) -> None:
        if self._listener is not None:
            self._problem = None  # so that it is told again
            self._read(self._listener)

    def stop(self) -> None:
        self._listener = None
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        if self._listener is None:
            return
        self._call = self._clock.callLater(LOOK_INTERVAL, self._look)
        if self._watched.have_changed([self._file.path]):
            self._read(self._listener)
        elif self._problem is None:
            self._listener.heard()

    def _read(self, listener: SourceListener) -> None:
        """Read the file, and tell what is new."""
        try:
            entries = self._file.read()
        except BadAddress as error:
            problem = str(error)
            if problem != self._problem:
                self._problem = problem
                listener.failed(problem)
            return
        self._problem = None
        if entries == self._entries:
            listener.heard()
        else:
            self._entries = entries
            listener.changed(entries)


class MemberFile:
    """A file of members.

    :param path: of the file, absolute.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        #: The members by their lines, as they were read last.
        self._known: dict[str, Entry] = {}

    def read(self) -> tuple[Entry, ...]:
        """Read the members in the file.

        :raises BadAddress: if it cannot be used; the text begins with the path, and with the line where there is one.
        """
        try:
            text = self._contents().decode()
        except OSError as error:
            raise BadAddress(f"{self.path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise BadAddress(f"{self.path}: not a text file") from None
        if not text.strip():
            raise BadAddress(
                f"{self.path}: the file is empty; for no targets at all write a line with a comment (# none)"
            )
        try:
            self._known = parse_lines(text, self._known)
        except BadAddress as error:
            raise BadAddress(f"{self.path}, {error}") from None
        return tuple(self._known.values())

    def _contents(self) -> bytes:
        # What is no file, such as a named pipe, must not keep the process waiting.
        with open(self.path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BadAddress(f"{self.path}: not a regular file")
            data = file.read(MAX_SIZE + 1)
        if len(data) > MAX_SIZE:
            raise BadAddress(f"{self.path}: larger than {MAX_SIZE} bytes")
        return data


def parse_lines(text: str, known: Mapping[str, Entry]) -> dict[str, Entry]:
    """Read one member a line; ``#`` begins a comment and empty lines do not count.

    :param known: what some lines are, so that a change of one among thousands does not stop the process for long.
    :returns: the members by their lines, without comments, in their order.
    :raises BadAddress: naming the line by its number.
    """
    entries: dict[str, Entry] = {}
    seen: dict[Address, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        item = line.partition("#")[0].strip()
        if not item:
            continue
        try:
            entry = known.get(item) or parse_entry(item)
        except BadAddress as error:
            raise BadAddress(f"line {number}: {error}") from None
        first = seen.setdefault(entry.address, number)
        if first != number:
            raise BadAddress(f"line {number}: {entry.address} is in line {first} already")
        entries[item] = entry
    return entries
