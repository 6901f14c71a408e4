"""What twistd keeps to itself of its log: the observer that it makes, and the file of that observer.

Tried with Twisted 24.11 and 26.10.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from typing import IO, Any

from twisted.logger import FileLogObserver, ILogObserver, globalLogBeginner, textFileLogObserver
from twisted.python.logfile import LogFile


def wrap_observers(wrap: Callable[[ILogObserver], ILogObserver]) -> None:
    """Have ``wrap`` put its own in the place of each observer that logging begins with.

    Logging begins once in a process, after the services are made: twistd makes its observer then, by its options.  A
    service has no other access to it, and twistd logs its first lines at once.  Without effect if logging has begun.
    """
    vars(globalLogBeginner)["beginLoggingTo"] = functools.partial(_begin, globalLogBeginner.beginLoggingTo, wrap)


def _begin(
    begin: Callable[[Iterable[ILogObserver], bool, bool], None],
    wrap: Callable[[ILogObserver], ILogObserver],
    observers: Iterable[ILogObserver],
    discardBuffer: bool = False,
    redirectStandardIO: bool = True,
) -> None:
    begin([wrap(each) for each in observers], discardBuffer, redirectStandardIO)


def stream_of(observer: FileLogObserver) -> IO[Any] | LogFile:
    """What an observer writes to."""
    return observer._outFile


def is_syslog(observer: ILogObserver) -> bool:
    """True for the observer of ``twistd --syslog``."""
    legacy = getattr(observer, "legacyObserver", None)
    return type(getattr(legacy, "__self__", None)).__name__ == "SyslogObserver"


class RotatedFile:
    """A log file of Twisted's that begins anew when it has become too long, as an open file to write to.

    :param log: the file.  Its own ``write`` ignores what a full disk takes in part.
    """

    def __init__(self, log: LogFile) -> None:
        self._log = log

    def descriptor(self) -> int:
        if not hasattr(self._log, "_file"):  # it was closed to begin anew, and could not be opened again
            self._log._openFile()
        if self._log.shouldRotate():
            self._log.rotate()
        return self._log._file.fileno()

    def wrote(self, count: int) -> None:
        self._log.size += count

    def reopen(self) -> None:
        old = getattr(self._log, "_file", None)
        self._log._openFile()
        if old is not None:
            old.close()

    def close(self) -> None:
        """Do nothing: twistd writes its last lines later."""


def off_stdout(observer: ILogObserver) -> ILogObserver:
    """Return one that writes to standard error, if ``observer`` writes to standard output; otherwise itself."""
    # Tried with Twisted 24.11 and 26.10.
    if isinstance(observer, FileLogObserver) and observer._outFile is sys.stdout:
        return textFileLogObserver(sys.stderr)
    return observer
