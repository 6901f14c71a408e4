"""The access log: one line for each session that has ended, a JSON object."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime

from proxymux.admin.log_queue import LogQueue
from proxymux.admin.log_sinks import LineSink, NamedFile, OpenFile, StreamFile
from proxymux.core.outcome import Record
from proxymux.errors import ConfigError
from proxymux.paths import obstacle

#: The path that stands for standard output.
STDOUT: Final = "-"
#: Fields of a record that the access log leaves out; the statistics need them.
_NOT_LOGGED: Final = ("status", "cause")
#: Fields whose keys are in a line only if there is something to say.
_OPTIONAL: Final = ("note", "tls", "worker")
#: The keys of a line, in the order in which they are written.
FIELDS: Final = tuple(name for name in Record._fields if name not in _NOT_LOGGED + _OPTIONAL)
#: What a record counts in the queue: about the bytes of its line.
_RECORD_SIZE: Final = 400
#: A line with a place for each value.  Filled in one step: with ``json.dumps`` a line took four times as long.
_LINE: Final = "{" + ", ".join(f'"{name}": %s' for name in FIELDS)
_quoted: Final[Callable[[str], str]] = json.encoder.encode_basestring_ascii


def to_json(record: Record) -> str:
    """Return the line for ``record``, without its newline."""
    (time, service, session, client, local, target, outcome, reason, came, went) = record[:10]
    decide, connect, first_byte, seconds = record[10:14]
    microseconds = round(time * 1e6)
    line = _LINE % (
        f'"{_second(microseconds // 1_000_000)}.{microseconds // 1000 % 1000:03d}Z"',
        _quoted(service),
        session,
        _quoted(client),
        _quoted(local),
        "null" if target is None else _quoted(target),
        _quoted(outcome),
        "null" if reason is None else _quoted(reason),
        came,
        went,
        "null" if decide is None else round(decide * 1e6) / 1e6,
        "null" if connect is None else round(connect * 1e6) / 1e6,
        "null" if first_byte is None else round(first_byte * 1e6) / 1e6,
        round(seconds * 1e6) / 1e6,
    )
    for name in _OPTIONAL:
        value = getattr(record, name)
        if value:
            line += f', "{name}": {json.dumps(value)}'
    return line + "}"


@functools.lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    """A second since the epoch, as RFC 3339 has it, without the offset: most lines have that of the line before."""
    return datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None).isoformat()


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
    """An observer that has each record written to a file or to standard output, without waiting for it.

    :param path: the file that lines are appended to, or ``-`` for standard output.
    :param stdout: the descriptor of standard output.
    :param report: called with one line for the operator, perhaps in another thread, if the file cannot be written or
        reopened, if records are lost, and with their number when they are written again.
    :raises ConfigError: if the file cannot be opened.
    """

    def __init__(self, path: str, stdout: int, report: Callable[[str], None]) -> None:
        try:
            file: OpenFile = StreamFile(stdout) if path == STDOUT else NamedFile(path)
        except OSError as error:
            raise _cannot_write(path, error.strerror) from error
        self._queue = LogQueue(_RecordSink(file), "records", lambda text: report(f"--access-log: {path}: {text}"))

    def write(self, record: Record) -> None:
        """Have the line of ``record`` written."""
        self._queue.put(record, _RECORD_SIZE)

    def reopen(self) -> None:
        """Open the file anew by its name, after a log rotation has renamed it; on an error keep the old file.

        The lines of earlier records are in the old file, unless that cannot be written.
        """
        self._queue.reopen()

    def close(self, reactor: IReactorFromThreads, clock: IReactorTime) -> Deferred[None]:
        """Close the file when all is written, or cannot be.

        :param clock: limits how long that may take, see :data:`~proxymux.admin.log_queue.STOP_LIMIT`.
        """
        return self._queue.closed(reactor, clock)


class _RecordSink:
    """Makes lines of records, and writes them.

    It does so with many at once, in the thread: what is run for one record after the other takes a third of the time
    that it takes between all else that a session does.
    """

    def __init__(self, file: OpenFile) -> None:
        self._lines = LineSink(file)
        self.reopen = self._lines.reopen
        self.close = self._lines.close

    def write(self, items: Sequence[Record]) -> int:
        return self._lines.write([(to_json(record) + "\n").encode() for record in items])
