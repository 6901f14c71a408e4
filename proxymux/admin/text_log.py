"""The text log: what twistd writes, from a level on, in printable lines, with what routers log by the standard library.

Everything is an event of Twisted's log first: what the services log, what Twisted and other libraries log, and what
comes from :mod:`logging`.  twistd writes the events to a file, to standard output or to syslog.  Between the two stands
the :class:`TextLog` of the process, once logging begins.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Final

from twisted.logger import (
    ILogObserver,
    LegacyLogObserverWrapper,
    LogEvent,
    Logger,
    LogLevel,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.admin.log_lines import DETAILS, as_text
from proxymux.admin.log_outputs import LogWriter, output_for
from proxymux.admin.syslog import SyslogOutput
from proxymux.core.excerpt import excerpt
from proxymux.net.reactor.twistd import off_stdout, wrap_observers
from proxymux.settings import Facility, LogFormat
from proxymux.settings import LogLevel as LogLevelName

#: Levels of the standard library and their names in Twisted, from the worst on.
_STANDARD_LEVELS: Final = (
    (logging.CRITICAL, "critical"),
    (logging.ERROR, "error"),
    (logging.WARNING, "warn"),
    (logging.INFO, "info"),
)
#: The levels of the settings and those of the standard library.
_LEVELS: Final[dict[LogLevelName, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}


class TextLog:
    """What stands before the observers that write the log.

    :param level: the level from which on events are written; :meth:`admit` lowers it.
    """

    _of_process: ClassVar[TextLog | None] = None

    def __init__(self, level: LogLevelName) -> None:
        self._name = level
        self._level = LogLevel.levelWithName(level)
        self._thread = threading.local()
        self._writers: list[LogWriter[Any]] = []
        #: What a line is.
        self.form: LogFormat = "text"
        #: Where the text log goes instead, with the facility; None for where twistd has it.
        self.syslog: tuple[str | tuple[str, int], Facility] | None = None
        #: Standard output is for the access log: what would write the text log there writes to standard error.
        self.leaves_stdout = False

    @classmethod
    def of_process(cls, level: LogLevelName) -> TextLog:
        """The text log of this process, made at the first call; at further calls its level is lowered to ``level``."""
        if cls._of_process is None:
            cls._of_process = log = cls(level)
            wrap_observers(log.wrap)
            standard = logging.getLogger()
            standard.addHandler(_StandardHandler(log))
            standard.setLevel(_LEVELS[level])
        cls._of_process.admit(level)
        return cls._of_process

    def admit(self, level: LogLevelName) -> None:
        """Write events of ``level`` and worse too."""
        if _LEVELS[level] < _LEVELS[self._name]:
            self._name = level
            self._level = LogLevel.levelWithName(level)
            logging.getLogger().setLevel(_LEVELS[level])

    @classmethod
    def current(cls) -> TextLog | None:
        """The text log of this process; None if there is none yet."""
        return cls._of_process

    @property
    def is_writing(self) -> bool:
        """True while an observer is called in this thread: what is logged meanwhile is the observer's own."""
        return getattr(self._thread, "is_writing", False)

    def wrap(self, observer: ILogObserver) -> ILogObserver:
        """Return an observer that passes events on to ``observer``.

        Those that write texts get printable ones.  An observer of the user's own (``twistd --logger``) gets the events
        as they are.
        """
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # otherwise ASCII takes no line with another character
        if self.leaves_stdout:
            observer = off_stdout(observer)
        write = self._writing(observer)

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            if event.get("log_level", LogLevel.info) >= self._level and not self.is_writing:
                write(event)

        wrapped: ILogObserver = observe
        return wrapped

    def _writing(self, observer: ILogObserver) -> Callable[[LogEvent], None]:
        """What has an event written, by ``observer`` or in its place."""

        def call_with_text(event: LogEvent) -> None:
            shown = as_text(event)
            if shown is not None:
                self._call(observer, shown)

        output = output_for(observer, self.form, self._call)
        if output is not None and self.syslog is not None:
            output = SyslogOutput(*self.syslog, self.form)
        if output is None:
            return call_with_text if isinstance(observer, LegacyLogObserverWrapper) else partial(self._call, observer)
        writer = LogWriter(output)
        self._writers.append(writer)
        return writer.write

    def _call(self, observer: ILogObserver, event: LogEvent) -> None:
        self._thread.is_writing = True
        try:
            observer(event)
        finally:
            self._thread.is_writing = False

    # The process calls these

    def begin(self) -> None:
        """Write by a thread from now on, as the reactor runs."""
        for writer in self._writers:
            writer.begin()

    def end(self) -> None:
        """Wait for what is still to be written, within a limit, as the reactor has stopped."""
        for writer in self._writers:
            writer.end()

    def reopen(self) -> None:
        """Open the files again by their names, after a log rotation has renamed them."""
        for writer in self._writers:
            writer.reopen()


class _StandardHandler(logging.Handler):
    """Makes Twisted's events of what is logged by the standard library, with the level and the logger's name."""

    def __init__(self, log: TextLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        if self._log.is_writing:
            return  # by an observer that passes Twisted's events on to the standard library
        try:
            text = record.getMessage()
        except Exception as error:
            text = f"{excerpt(record.msg)} % {excerpt(record.args)} raises {type(error).__name__}"
        level = next((name for least, name in _STANDARD_LEVELS if record.levelno >= least), "debug")
        more: dict[str, object] = {}
        if record.exc_info is not None and record.exc_info[1] is not None:
            more["log_failure"] = Failure(record.exc_info[1], record.exc_info[0], record.exc_info[2])
        elif record.stack_info is not None:
            more[DETAILS] = record.stack_info
        Logger(record.name).emit(LogLevel.levelWithName(level), "{text}", text=text, **more)
