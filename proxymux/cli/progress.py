"""The line of a terminal that says how far a long command has got."""

from __future__ import annotations

from typing import IO, Final

from twisted.internet.interfaces import IReactorTime

#: Seconds between two lines.
_PAUSE: Final = 0.2
#: Goes to the beginning of a terminal's line and erases it.
_ERASE: Final = "\r\033[K"


class Progress:
    """Tells how far a command has got, if there is a terminal.

    :param clock: for the pauses between two lines.
    :param file: standard error; nothing is written where it is no terminal.
    """

    def __init__(self, clock: IReactorTime, file: IO[str]) -> None:
        self._clock = clock
        self._terminal = file if file.isatty() else None
        self._told_at = clock.seconds()

    def tell(self, text: str) -> None:
        """Write a line in the place of the last one, unless that is newer than a fifth of a second."""
        now = self._clock.seconds()
        if self._terminal is not None and now - self._told_at >= _PAUSE:
            self._told_at = now
            print(f"{_ERASE}{text}", end="", file=self._terminal, flush=True)

    def clear(self) -> None:
        """Erase the line; what is printed next stands in its place."""
        if self._terminal is not None:
            print(_ERASE, end="", file=self._terminal, flush=True)
