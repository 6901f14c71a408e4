"""What twistd keeps to itself of its log: the observer that it makes, and the file of that observer."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable, Iterable

from twisted.logger import FileLogObserver, ILogObserver, globalLogBeginner, textFileLogObserver
from twisted.python.logfile import LogFile


def twistd_log_file() -> LogFile | None:
    """The file that twistd logs to; None if twistd logs elsewhere or does not run.

    twistd answers USR1 by rotating the file itself, which does nothing once logrotate has moved it away.  Nothing but
    the closure of the signal handler that twistd has installed holds the file; tried with Twisted 24.11 and 26.10.
    """
    handler = signal.getsignal(signal.SIGUSR1)
    for cell in getattr(handler, "__closure__", None) or ():
        if isinstance(cell.cell_contents, LogFile):
            return cell.cell_contents
    return None


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


def off_stdout(observer: ILogObserver) -> ILogObserver:
    """Return one that writes to standard error, if ``observer`` writes to standard output; otherwise itself."""
    # Tried with Twisted 24.11 and 26.10.
    if isinstance(observer, FileLogObserver) and observer._outFile is sys.stdout:
        return textFileLogObserver(sys.stderr)
    return observer
