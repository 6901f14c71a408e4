"""The terminal: taken for a picture and keys, and given back as it was, however that ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any, Final

from proxymux.cli.top.keys import Keys

#: Switch to the other screen and hide the cursor, and back.
_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[2J"
_LEAVE: Final = "\x1b[0m\x1b[?25h\x1b[?1049l"
#: Signals that end the program after the terminal was given back.
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
#: Seconds after which an ESC without more is the key.
_ESCAPE: Final = 0.05
#: The size where the system knows none.
_SIZE: Final = (80, 24)


class Terminal:
    """The terminal that standard input and output are; a context manager that takes it and gives it back.

    Within, INT, TERM, HUP and QUIT raise SystemExit with 128 and the number of the signal, and TSTP gives the terminal
    back for as long as the program is stopped.
    """

    def __init__(self) -> None:
        self._input, self._output = sys.stdin.fileno(), sys.stdout.fileno()
        self._encoding = sys.stdout.encoding or "ascii"
        self._modes: list[Any] = []
        self._handlers: dict[signal.Signals, Any] = {}
        self._keys = Keys()
        #: What is on the screen, line by line.
        self._drawn: list[str] = []
        #: Whoever writes to the second has :meth:`wait` return.
        self._woken, self._wake = os.pipe()
        for descriptor in (self._woken, self._wake):
            os.set_blocking(descriptor, False)

    def __enter__(self) -> Terminal:
        self._modes = termios.tcgetattr(self._input)
        self._handlers = {number: signal.signal(number, _end) for number in _ENDING}
        self._handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._stop)
        self._handlers[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)  # so that a change of the size is drawn at once
        self._take()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for ending in _ENDING:
            signal.signal(ending, signal.SIG_IGN)  # nothing comes between
        signal.set_wakeup_fd(-1)
        with contextlib.suppress(OSError, termios.error):  # it may be gone
            self._give_back()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _take(self) -> None:
        tty.setcbreak(self._input, termios.TCSADRAIN)
        self._drawn = []
        self._write(_ENTER)

    def _give_back(self) -> None:
        self._write(_LEAVE)
        termios.tcsetattr(self._input, termios.TCSADRAIN, self._modes)

    def _stop(self, number: int, _: FrameType | None) -> None:
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)  # returns when the program is continued
        signal.signal(signal.SIGTSTP, self._stop)
        self._take()

    @property
    def size(self) -> tuple[int, int]:
        """Its columns and lines now."""
        try:
            columns, lines = os.get_terminal_size(self._output)
        except OSError:
            return _SIZE
        return (columns, lines) if columns and lines else _SIZE

    def wake(self) -> None:
        """Have :meth:`wait` return; from any thread."""
        with contextlib.suppress(BlockingIOError):  # full: it will
            os.write(self._wake, b"\0")

    def wait(self, seconds: float) -> list[str] | None:
        """Wait for keys, for :meth:`wake` or for a time.

        :returns: the keys; None if there will be none any more.
        """
        readable, _, _ = select.select([self._input, self._woken], [], [], seconds)
        if self._woken in readable:
            os.read(self._woken, 4096)
        if self._input not in readable:
            return []
        data = os.read(self._input, 4096)
        if not data:
            return None
        keys = self._keys.feed(data)
        if self._keys.is_within and not select.select([self._input], [], [], _ESCAPE)[0]:
            keys += self._keys.finish()
        return keys

    def draw(self, lines: Sequence[str]) -> None:
        """Show ``lines``, each of which is as long as the terminal is wide.  Only what has changed is sent."""
        if len(lines) != len(self._drawn):
            self._drawn = [""] * len(lines)
            self._write("\x1b[2J")
        parts = [
            f"\x1b[{at};1H{new}" for at, (new, old) in enumerate(zip(lines, self._drawn, strict=True), 1) if new != old
        ]
        self._drawn = list(lines)
        self._write("".join(parts))

    def forget(self) -> None:
        """Draw everything the next time: the size has changed."""
        self._drawn = []

    def _write(self, text: str) -> None:
        data = memoryview(text.encode(self._encoding, "replace"))
        while data:
            data = data[os.write(self._output, data) :]


def _end(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)
