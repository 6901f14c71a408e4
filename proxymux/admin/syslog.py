"""The text log in syslog, by the standard library: lines sent by UDP, or to a Unix socket such as ``/dev/log``."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Sequence
from logging.handlers import SysLogHandler
from typing import Final, NoReturn, TypeAlias

from twisted.logger import LogEvent, LogLevel

from proxymux.admin.log_lines import as_json, as_text
from proxymux.settings import Facility, LogFormat

#: A level as the standard library names it, and the line.
_Line: TypeAlias = tuple[str, str]
#: The most characters of a JSON object that is sent with the lines of its traceback: a datagram has room for it.
_MAX_DATAGRAM: Final = 32768
_NAMES: Final = {
    LogLevel.critical: "CRITICAL",
    LogLevel.error: "ERROR",
    LogLevel.warn: "WARNING",
    LogLevel.info: "INFO",
    LogLevel.debug: "DEBUG",
}


class SyslogOutput:
    """Sends each line of the text log to syslog, one datagram a line.

    :param address: the path of a Unix socket, or host and port.
    """

    def __init__(self, address: str | tuple[str, int], facility: Facility, form: LogFormat) -> None:
        self.sink = self
        self._address = address
        self._facility = facility
        self._is_json = form == "json"
        self._handler: _RaisingHandler | None = None

    def item(self, event: LogEvent) -> tuple[list[_Line], int] | None:
        """The lines of ``event``, with their bytes; None if it has nothing to say."""
        shown = as_text(event)
        if shown is None:
            return None
        if self._is_json:
            text = as_json(event) or ""
            if len(text) > _MAX_DATAGRAM:
                text = as_json(shown) or ""
            lines = [text]
        else:
            first, *below = shown["log_text"].split("\n")
            lines = [f"[{shown['log_system']}] {first}", *("\t" + line for line in below)]
        level = _NAMES[shown["log_level"]]
        return [(level, line) for line in lines], sum(map(len, lines))

    def write(self, items: Sequence[list[_Line]]) -> int:
        if self._handler is None:
            self._handler = _RaisingHandler(self._address, self._facility, socket.SOCK_DGRAM)
            self._handler.ident = f"proxymux[{os.getpid()}]: "
        lines = items[0]
        while lines:
            level, line = lines[0]
            self._handler.emit(logging.makeLogRecord({"levelname": level, "msg": line}))
            del lines[0]  # it is not sent again if one of the next cannot be
        return 1

    def reopen(self) -> None:
        """Connect again with the next line."""
        self.close()

    def close(self) -> None:
        if self._handler is not None:
            self._handler.close()
            self._handler = None


class _RaisingHandler(SysLogHandler):
    """The standard library's, but for what it does when a line cannot be sent."""

    append_nul = False  # a datagram ends by itself

    def handleError(self, record: logging.LogRecord) -> NoReturn:
        """Raise what has happened, for the queue that sent the line.

        :raises Exception: what was raised by the handler.
        """
        raise
