"""Where the text log goes: a stream or file of twistd's, or an observer that writes by itself.

An output makes an item of each event in the thread that logs, and writes items in the one of the log's queue.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

from twisted.logger import FileLogObserver, ILogObserver, LogEvent, LogLevel
from twisted.python.logfile import LogFile

from proxymux.admin.log_lines import PRIORITIES, as_json, as_text
from proxymux.admin.log_queue import STOP_LIMIT, LogQueue, Sink
from proxymux.admin.log_sinks import LineSink, OpenFile, StreamFile
from proxymux.net.reactor.twistd import RotatedFile, is_syslog, stream_of
from proxymux.settings import LogFormat

#: How often a line is tried to be written before the reactor runs: a pipe is waited for a second or so.
_TRIES: Final = 4
#: What an event counts in the queue, where it is kept as it is.
_EVENT_SIZE: Final = 1024

_Item = TypeVar("_Item")


class LogOutput(Protocol[_Item]):
    """Where the text log goes."""

    @property
    def sink(self) -> Sink[_Item]:
        """What the items are written to."""

    def item(self, event: LogEvent) -> tuple[_Item, int] | None:
        """What is to be written of ``event``, and its bytes; None if it has nothing to say."""


class StreamOutput:
    """Writes lines to a stream or a file that has a descriptor.

    :param file: the open file.
    :param observer: makes the lines, if they are not to be JSON.
    :param encoding: of the lines.
    :param has_priorities: each line begins with its priority, as journald reads it.
    """

    def __init__(
        self, file: OpenFile, observer: FileLogObserver, form: LogFormat, encoding: str, has_priorities: bool
    ) -> None:
        self.sink = LineSink(file)
        self._format = observer.formatEvent
        self._is_json = form == "json"
        self._encoding = encoding
        self._has_priorities = has_priorities

    def item(self, event: LogEvent) -> tuple[bytes, int] | None:
        if self._is_json:
            found = as_json(event)
            text = None if found is None else found + "\n"
        else:
            shown = as_text(event)
            text = None if shown is None else self._format(shown)
        if not text:
            return None
        if self._has_priorities:
            mark = f"<{PRIORITIES[event.get('log_level', LogLevel.info)]}>"
            text = "".join(mark + line for line in text.splitlines(keepends=True))
        data = text.encode(self._encoding, "backslashreplace")
        return data, len(data)


class ObserverOutput:
    """Has an observer of Twisted's write texts: twistd's to syslog, or one whose file has no descriptor.

    :param call: calls the observer.
    """

    def __init__(self, call: Callable[[LogEvent], None], form: LogFormat) -> None:
        self.sink = self
        self._call = call
        self._is_json = form == "json"

    def item(self, event: LogEvent) -> tuple[LogEvent, int] | None:
        shown = as_text(event)
        if shown is not None and self._is_json:
            shown["log_text"] = as_json(event)
        return None if shown is None else (shown, _EVENT_SIZE)

    def write(self, items: Sequence[LogEvent]) -> int:
        self._call(items[0])
        return 1

    def reopen(self) -> None:
        """Do nothing: what it writes to is the observer's."""

    def close(self) -> None:
        """Do nothing, likewise."""


class LogWriter(Generic[_Item]):
    """Writes the text log to an output: by a thread while the reactor runs, at once before and after.

    twistd forks before the reactor runs, and a thread would stay behind.
    """

    def __init__(self, output: LogOutput[_Item]) -> None:
        self._output = output
        self._queue: LogQueue[_Item] | None = None
        self._is_mute = False

    def write(self, event: LogEvent) -> None:
        """Have ``event`` written, if it has something to say."""
        found = self._output.item(event)
        if found is None or self._is_mute:
            return
        if self._queue is not None:
            self._queue.put(*found)
            return
        try:
            for _ in range(_TRIES):
                if self._output.sink.write([found[0]]):
                    break
        except OSError:
            pass  # nobody could be told

    def begin(self) -> None:
        """Write by a thread from now on."""
        self._queue = LogQueue(self._output.sink, "lines", self._tell)

    def end(self) -> None:
        """Wait until all is written, for :data:`~proxymux.admin.log_queue.STOP_LIMIT` seconds at most.

        What comes then is written at once; or not at all, if it took longer.
        """
        if self._queue is not None:
            self._is_mute = not self._queue.close_within(STOP_LIMIT)
            self._queue = None

    def reopen(self) -> None:
        """Open the file again by its name."""
        if self._queue is not None:
            self._queue.reopen()
        else:
            self._output.sink.reopen()

    def _tell(self, problem: str) -> None:
        """Say in the log itself what is wrong with it, where it can be written again."""
        event: LogEvent = {
            "log_format": "{text}",
            "text": f"this log: {problem}",
            "log_level": LogLevel.error,
            "log_namespace": "proxymux",
            "log_time": time.time(),
        }
        found = self._output.item(event)
        if found is not None and self._queue is not None:
            self._queue.put_over(*found)


def output_for(
    observer: ILogObserver, form: LogFormat, call: Callable[[ILogObserver, LogEvent], None]
) -> LogOutput[Any] | None:
    """The output in the place of an observer that twistd, or the user, has chosen; None for one that is no writer.

    :param call: calls an observer.
    """
    if is_syslog(observer):
        return ObserverOutput(partial(call, observer), form)
    if not isinstance(observer, FileLogObserver):
        return None
    stream = stream_of(observer)
    file: OpenFile
    if isinstance(stream, LogFile):
        file = RotatedFile(stream)
    else:
        try:
            file = StreamFile(stream.fileno())
            stream.flush()
        except (OSError, ValueError, AttributeError):  # such as io.StringIO
            if form == "json":
                observer = FileLogObserver(stream, lambda event: f"{event['log_text']}\n")
            return ObserverOutput(partial(call, observer), form)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return StreamOutput(file, observer, form, encoding, leads_to_journald(file.descriptor(), os.environ))


def leads_to_journald(number: int, environment: Mapping[str, str]) -> bool:
    """True if a descriptor is that of which systemd has said in the environment that journald reads it."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    status = os.fstat(number)
    return (device, inode) == (str(status.st_dev), str(status.st_ino))
