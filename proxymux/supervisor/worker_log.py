"""The text log of a worker: JSON lines on its standard output, which the supervisor puts into its own log.

So one process alone writes the log file, and rotates it.
"""

from __future__ import annotations

import json
from typing import Final

from twisted.logger import Logger, LogLevel

from proxymux.admin.log_lines import DETAILS

#: The most bytes of a line; the rest of a longer one is not logged.
MAX_LINE: Final = 1 << 20
_LEVELS: Final = frozenset(level.name for level in LogLevel.iterconstants())


class WorkerLog:
    """Logs what a worker writes.

    :param log: where it is logged.
    :param name: the worker's name in the log.
    """

    def __init__(self, log: Logger, name: str) -> None:
        self._log = log
        self._name = name
        self._rest = b""

    def received(self, data: bytes) -> None:
        """Log the lines that have become whole."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[:MAX_LINE]
        for line in lines:
            self._write(line)

    def finished(self) -> None:
        """Log what has no end of line, as the worker has ended."""
        if self._rest:
            self._write(self._rest)
            self._rest = b""

    def _write(self, line: bytes) -> None:
        level, text, details = _parse(line)
        below = {DETAILS: "\n".join(details)} if details else {}
        self._log.emit(LogLevel.lookupByName(level), "{worker}: {text}", worker=self._name, text=text, **below)


def _parse(line: bytes) -> tuple[str, str, list[str]]:
    """The level, the text and the details of a line; what was not written by the worker's log is a warning."""
    try:
        said = json.loads(line)
        level, text, details = said["level"], said["message"], said.get("details", [])
        if level in _LEVELS and isinstance(text, str) and isinstance(details, list):
            return level, text, [str(each) for each in details]
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    return "warn", line.decode("utf-8", "replace"), []
