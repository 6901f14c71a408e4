"""A program in a terminal of the test's own, which a terminal emulator makes a picture of."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from typing import Any, Final

import pyte

_PATIENCE: Final = 60.0
#: Columns and lines that the emulator has beyond those that the program is told of: nothing may come there.
_MARGIN: Final = 20


class TerminalProgram:
    """One program, and what is to be seen of it.

    :param command: the program with its arguments.
    :param size: columns and lines of its terminal.
    """

    def __init__(self, *command: str, size: tuple[int, int] = (80, 24), **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        self.size = size
        self.screen = pyte.Screen(size[0] + _MARGIN, size[1] + _MARGIN)
        self._stream = pyte.ByteStream(self.screen)
        #: Everything that it has written.
        self.written = b""
        self._set_size(size)
        #: How the terminal was before.
        self.modes = termios.tcgetattr(self._ours)
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that it gets the signals of keys
            env={**os.environ, "TERM": "xterm-256color", **environment},
        )
        os.close(theirs)

    def _set_size(self, size: tuple[int, int]) -> None:
        columns, lines = size
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns: int, lines: int) -> None:
        """Change the size of the terminal, and tell the program as a terminal does."""
        self.size = columns, lines
        self.screen.resize(lines + _MARGIN, columns + _MARGIN)
        self._set_size((columns, lines))
        os.killpg(self.process.pid, signal.SIGWINCH)

    def press(self, keys: str) -> None:
        """Type something."""
        os.write(self._ours, keys.encode())

    def read(self, seconds: float = 0.0) -> bool:
        """Take in what it writes; False if nothing comes in this time."""
        if not select.select([self._ours], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._ours, 1 << 16)
        except OSError:  # as Linux says that nobody has the other end open
            return False
        self.written += data
        self._stream.feed(data)
        return bool(data)

    @property
    def lines(self) -> list[str]:
        """What is on the screen, as far as the program knows it."""
        return [line[: self.size[0]].rstrip() for line in self.screen.display[: self.size[1]]]

    @property
    def beyond(self) -> str:
        """What stands where the program's terminal has ended."""
        columns, lines = self.size
        right = [line[columns:] for line in self.screen.display[:lines]]
        return "".join([*right, *self.screen.display[lines:]]).strip()

    def until(self, condition: Callable[[list[str]], Any], what: str) -> Any:
        """Wait for something to be seen; what ``condition`` says of the lines then."""
        limit = time.monotonic() + _PATIENCE
        while not (value := condition(self.lines)):
            shown = "\n".join(self.lines)
            assert time.monotonic() < limit, f"waited in vain for {what}:\n{shown}"
            self.read(0.1)
        return value

    def see(self, text: str) -> None:
        """Wait until ``text`` is on the screen."""
        self.until(lambda lines: any(text in line for line in lines), repr(text))

    def finish(self) -> int:
        """Wait for its end; the exit status."""
        limit = time.monotonic() + _PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < limit, "it does not end:\n" + "\n".join(self.lines)
            self.read(0.1)
        while self.read():
            pass
        return self.process.returncode

    @property
    def is_given_back(self) -> bool:
        """True if the terminal is as it was: the screen, the cursor and the modes."""
        left = self.written.rfind(b"\x1b[?1049l") > self.written.rfind(b"\x1b[?1049h")
        shown = self.written.rfind(b"\x1b[?25h") > self.written.rfind(b"\x1b[?25l")
        return left and shown and termios.tcgetattr(self._ours) == self.modes

    def close(self) -> None:
        """End it, if it has not."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)
