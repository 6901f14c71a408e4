"""The folder of samples: the first bytes of each session become a file there, for ``proxymux check``.

They are written by a thread, so that a slow disk keeps no client waiting.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime

from proxymux.admin.log_queue import LogQueue
from proxymux.core.sample import name_of
from proxymux.errors import ConfigError
from proxymux.paths import obstacle_in

_OPTION: Final = "--capture"
#: What a file takes beside its bytes, in the queue.
_NAME_SIZE: Final = 256


class SampleFolder:
    """Keeps samples, as files that only their owner can read.

    :param folder: its path; it is made with the first sample.  Until then the process has its privileges.
    :param limit: the most files in the folder.
    :param service: the service's name.
    :param wall: returns the seconds since the epoch.
    :param report: called with one line for the operator about what is wrong, perhaps in another thread.
    :param note: likewise, when the folder is full.
    """

    def __init__(
        self,
        folder: str,
        limit: int,
        service: str,
        wall: Callable[[], float],
        report: Callable[[str], None],
        note: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._service = service
        self._wall = wall
        self._sink = _FolderSink(folder, limit, lambda text: note(f"{_OPTION}: {folder}: {text}"))
        self._queue = LogQueue(self._sink, "samples", lambda text: report(f"{_OPTION}: {folder}: {text}"))

    @property
    def is_full(self) -> bool:
        """True once there are as many files as there may be."""
        return self._sink.is_full

    def check(self) -> None:
        """Check that samples can be kept, without making the folder.

        :raises ConfigError: naming ``--capture``, if they cannot, or if others may write there.
        """
        if not os.path.exists(self._folder):
            problem = obstacle_in(os.path.dirname(self._folder))
        else:
            problem = obstacle_in(self._folder)
            if problem is None and os.stat(self._folder).st_mode & stat.S_IWOTH:
                problem = "every user may write there"
        if problem is not None:
            raise ConfigError(_OPTION, f"{self._folder}: {problem}; name a folder of its own, which may be a new one")

    def warnings(self) -> list[str]:
        """What is unwise about the folder, in one line each."""
        try:
            mode = stat.S_IMODE(os.stat(self._folder).st_mode)
        except OSError:
            return []
        if not mode & (stat.S_IRWXG | stat.S_IRWXO):
            return []
        return [f"{_OPTION}: others can see the names in {self._folder} (mode {mode:04o}); chmod 0700 it"]

    def add(self, session: int, data: bytes, word: str) -> None:
        """Have a sample written.  One without bytes is none.

        :param word: what came of it.
        """
        if data and not self.is_full:
            self._queue.put((name_of(self._wall(), self._service, session, word), data), len(data) + _NAME_SIZE)

    def reopen(self) -> None:
        """Look again whether there is room."""
        self._queue.reopen()

    def close(self, reactor: IReactorFromThreads, clock: IReactorTime) -> Deferred[None]:
        """Wait until all is written, or cannot be, as :meth:`~proxymux.admin.log_queue.LogQueue.closed` does."""
        return self._queue.closed(reactor, clock)


class _FolderSink:
    """Writes samples to files."""

    def __init__(self, folder: str, limit: int, note: Callable[[str], None]) -> None:
        self._folder = folder
        self._limit = limit
        self._note = note
        self.is_full = False

    def write(self, items: Sequence[tuple[str, bytes]]) -> int:
        with self._opened() as folder:
            room = self._limit - len(os.listdir(folder))
            for count, (name, data) in enumerate(items[:room] if room > 0 else ()):
                try:
                    _write(folder, name, data)
                except OSError:
                    if not count:
                        raise
                    return count
        if room < len(items) and not self.is_full:  # what was queued before that was known comes in several calls
            self.is_full = True
            self._note(f"has {self._limit} files, which is --capture-limit: no more are made")
        return len(items)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """The descriptor of the folder, while no other process counts its files and makes more."""
        os.makedirs(self._folder, 0o700, exist_ok=True)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield folder
        finally:
            os.close(folder)

    def reopen(self) -> None:
        self.is_full = False

    def close(self) -> None:
        """Do nothing: no file stays open."""


def _write(folder: int, name: str, data: bytes) -> None:
    """Write a file, whole or not at all."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        number = os.open(name, flags, 0o600, dir_fd=folder)
    except FileExistsError:
        return  # of another process that has begun to count anew within the millisecond
    try:
        written = 0
        while written < len(data):
            written += os.write(number, data[written:])
    except OSError:
        os.unlink(name, dir_fd=folder)
        raise
    finally:
        os.close(number)
