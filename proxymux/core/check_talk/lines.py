"""Checks by one line for another: Redis's PING, and memcached's version."""

from __future__ import annotations

from typing import Final

from proxymux.core.check_talk.talk import PASSED, WAIT, Step, shown
from proxymux.core.decision import NEED_DATA

#: The longest line, in bytes.
LONGEST: Final = 1024


class LineTalk:
    """A question whose answer is a line.

    :param question: with the end of its line.
    :param good: what good lines begin with.
    """

    def __init__(self, question: bytes, good: tuple[bytes, ...]) -> None:
        self._question = question
        self._good = good
        self._line = b""

    def begin(self) -> Step:
        return Step(NEED_DATA, self._question)

    def received(self, data: bytes) -> Step:
        line, end, _ = (self._line + data[: LONGEST + 1]).partition(b"\n")
        if not end and len(line) <= LONGEST:
            self._line = line
            return WAIT
        line = line.rstrip(b"\r")
        if end and (line + b" ").startswith(self._good):
            return PASSED
        return Step(f"answered {shown(line)}")

    def ended(self) -> str:
        return f"ended after {shown(self._line)}" if self._line else "ended without an answer"


class RespTalk(LineTalk):
    """Redis's PING.  A server that wants a password first is there; one that loads its data is of no use yet."""

    def __init__(self) -> None:
        super().__init__(b"*1\r\n$4\r\nPING\r\n", (b"+PONG ", b"-NOAUTH ", b"-NOPERM "))


class MemcacheTalk(LineTalk):
    """memcached's version.  A server that wants a password first is there."""

    def __init__(self) -> None:
        super().__init__(b"version\r\n", (b"VERSION ", b"CLIENT_ERROR unauthenticated "))
