"""twistd's own options, as far as a wrong one would be a traceback: the files that it writes, its folder, its pid file.

twistd looks at them when the service has been made; here they are looked at as the command line is read.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

from proxymux.errors import ConfigError
from proxymux.gateway.pid_file import is_left_behind, running_owner
from proxymux.paths import obstacle

_REMEDY = "name a file that can be written, before the name of the service"


def check_twistd_options(given: Mapping[str, object]) -> None:
    """Check the pid file, the log file and the folder to run in.  A pid file that was left behind is removed.

    :param given: the values of twistd's options by their names.
    :raises ConfigError: naming the option, if twistd could not start with it.
    """
    if given.get("chroot"):
        return  # what is there can be seen from within only
    folder = str(given.get("rundir") or ".")
    if not os.path.isdir(folder) or not os.access(folder, os.X_OK):
        raise ConfigError("--rundir", f"{folder}: is no folder that can be entered; name one")
    if given.get("pidfile"):
        _check_pid_file(str(given["pidfile"]))
    log_file = _log_file(given)
    reason = None if log_file is None else obstacle(log_file)
    if reason is not None:
        raise ConfigError("--logfile", f"{log_file}: {reason}; {_REMEDY}")


def _check_pid_file(path: str) -> None:
    owner = running_owner(path)
    if owner is not None:
        raise ConfigError("--pidfile", f"{path}: process {owner} is running; stop it, or name another file")
    if is_left_behind(path):  # perhaps with the number of this process, which twistd takes for another's
        with contextlib.suppress(OSError):
            os.unlink(path)
    reason = obstacle(path)
    if reason is not None:
        raise ConfigError("--pidfile", f"{path}: {reason}; {_REMEDY}, or --pidfile= for none")


def _log_file(given: Mapping[str, object]) -> str | None:
    """The file that twistd will log to; None if it logs elsewhere."""
    if given.get("syslog") or given.get("logger"):
        return None
    is_daemon = not (given.get("nodaemon") or given.get("debug"))
    name = given.get("logfile") or ("twistd.log" if is_daemon else "-")
    return None if name == "-" else str(name)
