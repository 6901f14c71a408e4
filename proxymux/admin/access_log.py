"""The access log: one line for each session that has ended, a JSON object."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from io import FileIO
from typing import IO, Final

from proxymux.core.outcome import Record
from proxymux.errors import ConfigError
from proxymux.paths import obstacle

#: The path that stands for standard output.
STDOUT: Final = "-"
#: Fields of a record that the access log leaves out; the statistics need them.
_NOT_LOGGED: Final = ("status", "cause")
#: Fields whose keys are in a line only if there is something to say.
_OPTIONAL: Final = ("note", "tls")
#: The keys of a line, in the order in which they are written.
FIELDS: Final = tuple(name for name in Record._fields if name not in _NOT_LOGGED + _OPTIONAL)


def to_json(record: Record) -> str:
    """Return the line for ``record``, without its newline."""
    fields: dict[str, object] = {name: record[name] for name in FIELDS}
    accepted_at = datetime.fromtimestamp(record.time, timezone.utc)
    fields["time"] = accepted_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields["outcome"] = record.outcome.value
    for name, value in fields.items():
        if isinstance(value, float):
            fields[name] = round(value, 6)
    for name in _OPTIONAL:
        if record[name]:
            fields[name] = record[name]
    return json.dumps(fields)


def check_path(path: str) -> None:
    """Check that an access log can be written to ``path``, without creating the file.

    :param path: a file, or ``-`` for standard output.
    :raises ConfigError: naming ``--access-log``, if it cannot be written.
    """
    reason = None if path == STDOUT else obstacle(path)
    if reason is not None:
        raise _cannot_write(path, reason)


def _cannot_write(path: str, reason: str | None) -> ConfigError:
    return ConfigError("--access-log", f"{path}: {reason}; name a file that can be written, or -")


class AccessLog:
    """An observer that writes each record to a file or to standard output.

    :param path: the file that lines are appended to, or ``-`` for standard output.
    :param stdout: the standard output.
    :param report: called with one line for the operator if the file cannot be reopened, if records begin to be lost,
        and with their number when one is written again; the service goes on.
    :raises ConfigError: if the file cannot be opened.
    """

    def __init__(self, path: str, stdout: IO[str], report: Callable[[str], None]) -> None:
        self._path = path
        self._stdout = stdout
        self._report = report
        self._lost = 0
        self._file = self._open()

    def write(self, record: Record) -> None:
        """Write the line of ``record`` without buffering it."""
        line = to_json(record) + "\n"
        try:
            if self._file is None:
                self._stdout.write(line)
                self._stdout.flush()
            else:
                self._file.write(line.encode())
        except OSError as error:
            self._lost += 1
            if self._lost == 1:  # a line for each would be as many as there are clients
                self._report(f"--access-log: {self._path}: records are lost: {error.strerror}")
        else:
            if self._lost:
                self._report(f"--access-log: {self._path}: written again; {self._lost} records were lost")
                self._lost = 0

    def reopen(self) -> None:
        """Open the file anew by its name, after a log rotation has renamed it; on an error keep the old file."""
        try:
            new_file = self._open()
        except ConfigError as error:
            self._report(f"not reopened, the old file stays: {error}")
            return
        self.close()
        self._file = new_file

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _open(self) -> FileIO | None:
        if self._path == STDOUT:
            return None
        try:
            return FileIO(self._path, "a")  # unbuffered: a line that a full disk refuses is not written later
        except OSError as error:
            raise _cannot_write(self._path, error.strerror) from error
