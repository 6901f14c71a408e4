"""The lines of the text log: what an event says, as printable text or as a JSON object."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Final

from twisted.logger import LogEvent, LogLevel, formatEvent

from proxymux.printable import printable

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
#: The levels as syslog and journald number them.
PRIORITIES: Final = {
    LogLevel.critical: 2,
    LogLevel.error: 3,
    LogLevel.warn: 4,
    LogLevel.info: 6,
    LogLevel.debug: 7,
}


def as_text(event: LogEvent) -> LogEvent | None:
    """Return an event with the text of ``event`` and nothing else to say: its message in one printable line.

    The lines of a traceback, or of :data:`DETAILS`, follow on it.

    :returns: None if there is no text.
    """
    text, lines = _said(event)
    if not text and not lines:
        return None
    level = event.get("log_level", LogLevel.info)
    return {
        **{key: value for key, value in event.items() if key not in _SAID_AGAIN},
        "log_format": "{log_text}",
        "log_text": "\n".join([text, *lines]),
        "log_level": level,
        "log_system": f"{_source_of(event)}#{level.name}",
        "syslogPriority": PRIORITIES[level],
    }


def as_json(event: LogEvent) -> str | None:
    """Return ``event`` as a JSON object on one line: ``time``, ``level``, ``logger``, ``message``, perhaps ``details``.

    :returns: None if there is no text.
    """
    text, lines = _said(event)
    if not text and not lines:
        return None
    at = datetime.fromtimestamp(event.get("log_time", 0.0), timezone.utc)
    said: dict[str, object] = {
        "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": event.get("log_level", LogLevel.info).name,
        "logger": _source_of(event),
        "message": text,
    }
    if lines:
        said["details"] = lines
    return json.dumps(said)


def _said(event: LogEvent) -> tuple[str, list[str]]:
    """The message of ``event``, and the lines below it."""
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
    return text, [printable(line, MAX_LINE) for line in lines]


def _source_of(event: LogEvent) -> str:
    """Who has logged ``event``: what the old log calls the system, or else the name of the logger."""
    system = event.get("log_system") or "-"
    namespace = event.get("log_namespace") or "-"
    if system == "-":
        system = "twisted.python.log" if namespace == "log_legacy" else namespace
    return printable(str(system), MAX_LINE)
