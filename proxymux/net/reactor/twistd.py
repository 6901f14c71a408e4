"""The log file that twistd writes, for the process to open it again after a rotation."""

from __future__ import annotations

import signal

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
