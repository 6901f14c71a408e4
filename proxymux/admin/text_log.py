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
from typing import ClassVar, Final

from twisted.logger import (
    FileLogObserver,
    ILogObserver,
    LegacyLogObserverWrapper,
    LogEvent,
    Logger,
    LogLevel,
    formatEvent,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.core.excerpt import excerpt
from proxymux.net.reactor.twistd import off_stdout, wrap_observers
from proxymux.printable import printable
from proxymux.settings import LogLevel as LogLevelName

#: The most characters of a message, and of a line of a traceback.
MAX_LINE: Final = 8192
#: The most lines below a message, the first and the last of them: half as many each.
MAX_BELOW: Final = 200
#: The key of an event whose value, a text of several lines, is written below the message.
DETAILS: Final = "details_below"
#: Keys of an event that say again what its text says, each for other observers.
_SAID_AGAIN: Final = frozenset(
    ("failure", "format", "isError", "log_failure", "log_flattened", "message", "why", DETAILS)
)
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
        is_text = isinstance(observer, (FileLogObserver, LegacyLogObserverWrapper))

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            if event.get("log_level", LogLevel.info) < self._level or self.is_writing:
                return
            shown = as_text(event) if is_text else event
            if shown is None:
                return
            self._thread.is_writing = True
            try:
                observer(shown)
            finally:
                self._thread.is_writing = False

        wrapped: ILogObserver = observe
        return wrapped


def as_text(event: LogEvent) -> LogEvent | None:
    """Return an event with the text of ``event`` and nothing else to say: its message in one printable line.

    The lines of a traceback, or of :data:`DETAILS`, follow on it.

    :returns: None if there is no text.
    """
    text = printable(formatEvent(event).rstrip(), MAX_LINE)
    below = event.get(DETAILS)
    failure = event.get("log_failure")
    if failure is not None:
        try:
            below = failure.getTraceback()
        except Exception as error:  # of an exception whose own methods raise
            below = f"(a traceback that cannot be shown: {type(error).__name__})"
    lines = [] if below is None else str(below).splitlines()
    if len(lines) > MAX_BELOW:
        half = MAX_BELOW // 2
        lines[half:-half] = [f"... ({len(lines) - 2 * half} lines more)"]
    if not text and not lines:
        return None
    level = event.get("log_level", LogLevel.info)
    return {
        **{key: value for key, value in event.items() if key not in _SAID_AGAIN},
        "log_format": "{log_text}",
        "log_text": "\n".join([text, *(printable(line, MAX_LINE) for line in lines)]),
        "log_level": level,
        "log_system": f"{_source_of(event)}#{level.name}",
    }


def _source_of(event: LogEvent) -> str:
    """Who has logged ``event``: what the old log calls the system, or else the name of the logger."""
    system = event.get("log_system") or "-"
    namespace = event.get("log_namespace") or "-"
    if system == "-":
        system = "twisted.python.log" if namespace == "log_legacy" else namespace
    return printable(str(system), MAX_LINE)


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
