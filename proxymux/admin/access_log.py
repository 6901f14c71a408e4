"""The access log: one JSON object a line, one line a session."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, timezone
from io import FileIO
from typing import IO, Final

from proxymux.core.outcome import Record
from proxymux.errors import ConfigError

#: What a record has for other observers alone.
_NOT_LOGGED: Final = ("status", "cause")
#: The keys of a line, in their order.
FIELDS: Final = tuple(name for name in Record._fields if name not in _NOT_LOGGED)


def to_json(record: Record) -> str:
    """The line for ``record``, without its newline."""
    fields: dict[str, object] = {name: record[name] for name in FIELDS}
    when = datetime.fromtimestamp(record.time, timezone.utc)
    fields["time"] = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields["outcome"] = record.outcome.value
    for name, value in fields.items():
        if isinstance(value, float):
            fields[name] = round(value, 6)
    return json.dumps(fields)


def check_path(path: str) -> None:
    """See whether an access log could be written there.

    :raises ConfigError: if it could not.
    """
    folder = os.path.dirname(path) or "."
    if path == "-" or (os.path.isfile(path) and os.access(path, os.W_OK)):
        return
    if os.path.isdir(path):
        raise _cannot_write(path, "it is a folder")
    if os.path.exists(path) or not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise _cannot_write(path, "it cannot be written")


def _cannot_write(path: str, reason: str | None) -> ConfigError:
    return ConfigError("--access-log", f"{path}: {reason}; name a file that can be written, or -")


class AccessLog:
    """Writes records to a file, or with ``-`` to standard output.

    :param path: the file; it is appended to.
    :param stdout: what ``-`` means.
    :param report: called with an error that keeps a line from being written; the service goes on.
    :raises ConfigError: if the file cannot be opened.
    """

    def __init__(self, path: str, stdout: IO[str], report: Callable[[OSError], None]) -> None:
        self._path = path
        self._stdout = stdout
        self._report = report
        self._file = self._open()

    def write(self, record: Record) -> None:
        """Write one line; it is in the file when this returns."""
        line = to_json(record) + "\n"
        try:
            if self._file is None:
                self._stdout.write(line)
                self._stdout.flush()
            else:
                self._file.write(line.encode())
        except OSError as error:
            self._report(error)

    def reopen(self) -> None:
        """Write to the file that has the name now, after a rotation.  If that fails, the old one goes on."""
        try:
            fresh = self._open()
        except ConfigError as error:
            self._report(OSError(str(error)))
            return
        self.close()
        self._file = fresh

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _open(self) -> FileIO | None:
        if self._path == "-":
            return None
        try:
            return FileIO(self._path, "a")  # no buffer: a line that a full disk did not take is not kept
        except OSError as error:
            raise _cannot_write(self._path, error.strerror) from error
