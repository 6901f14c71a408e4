"""Mistakes in a .tac file: one line in the place of twistd's traceback."""

from __future__ import annotations

import sys
import traceback
from typing import Final

from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from proxymux.errors import ProxymuxError
from proxymux.user_code import describe

#: The function of Twisted's that runs the file, and what twistd logs then; tried with Twisted 24.11 and 26.10.
_RUNS_FILE: Final = "loadValueFromFile"
_FAILED: Final = "Failed to load application: "
_LOADED: Final = "Loaded."


def watch() -> None:
    """Have an error of the .tac file that is being run told in one line, whoever raises it.

    Does nothing where twistd does not run.
    """
    if "twisted.application.app" in sys.modules:
        globalLogPublisher.addObserver(_end_with_a_line)


@implementer(ILogObserver)
def _end_with_a_line(event: LogEvent) -> None:
    """Take note of what twistd logs while it handles the error, and has not shown the traceback yet."""
    text = formatEvent(event)
    if text == _LOADED:
        globalLogPublisher.removeObserver(_end_with_a_line)
    error = sys.exc_info()[1]
    if text.startswith(_FAILED) and error is not None:
        print(f"proxymux: {mistake(error)}", file=sys.__stderr__, flush=True)
        raise SystemExit(1)


def mistake(error: BaseException) -> str:
    """What is wrong, in one line that begins with the file and the line if they are known.

    :param error: what running the file has raised.
    """
    frames = traceback.extract_tb(error.__traceback__)
    inner = [at + 1 for at, frame in enumerate(frames) if frame.name == _RUNS_FILE]
    if inner and inner[-1] == len(frames) and isinstance(error, KeyError):
        return 'the .tac file has no "application"; it needs application = Application("proxymux")'
    said = str(error) if isinstance(error, ProxymuxError) else describe(error)
    if not inner or inner[-1] == len(frames):
        return said
    place = frames[inner[-1]]
    return f"{place.filename}:{place.lineno}: {said}"
