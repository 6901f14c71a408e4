"""What the scanners are made of: lines and blocks that may come in pieces, and the count of the replies due."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxymux.errors import BadMessage


def one_line(problem: str) -> str:
    """The problem as text that can stand in one line of ASCII, for a protocol that ends its replies with the line."""
    return " ".join(problem.split()).encode("ascii", "replace").decode("ascii")


class PartialLine:
    """A line that ends with LF, of which a part may have come.

    :param limit: bytes that it may have, its LF included.
    :param bad: makes the error for one that has more.
    """

    __slots__ = ("_bad", "_begun", "_limit")

    def __init__(self, limit: int, bad: Callable[[str], BadMessage]) -> None:
        self._begun = bytearray()
        self._limit = limit
        self._bad = bad

    @property
    def is_empty(self) -> bool:
        """True if no part of a line is kept."""
        return not self._begun

    def take(self, data: bytes, at: int) -> bytes | None:
        """The line, LF included, that goes on at ``at``; None if it does not end in ``data``, which is kept then.

        Where it ends in ``data`` is for the caller to see: it is after the first LF from ``at``.
        """
        newline = data.find(b"\n", at)
        begun = self._begun
        size = (len(data) if newline < 0 else newline + 1) - at
        if len(begun) + size > self._limit:
            raise self._bad(f"a line has more than {self._limit} bytes")
        if newline < 0:
            begun += data[at:] if at else data
            return None
        if not begun:
            return data[at : newline + 1]
        begun += data[at : newline + 1]
        line = bytes(begun)
        begun.clear()
        return line


class Block:
    """Bytes of a known number, and the CRLF after them, of which a part may have come."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        #: Bytes that are still to come, CRLF included.
        self.left = 0

    def skip(self, data: bytes, at: int) -> int:
        """The offset in ``data`` up to which it reaches; -1 if no CRLF is at its end.

        ``left`` must not be 0, and is 0 afterwards if all of it has come.
        """
        end = at + self.left
        size = len(data)
        if end <= size:
            self.left = 0
            # One byte of the CRLF may have come before.
            return end if b"\r\n".endswith(data[max(at, end - 2) : end]) else -1
        self.left = end - size
        return -1 if self.left == 1 and data[size - 1] != 13 else size


class Due:
    """The part of a reply scanner that all have in common, and what most of them answer."""

    must_close = False

    def __init__(self) -> None:
        self._due = 0

    def expect(self, hint: Any, count: int = 1) -> None:
        self._due += count

    def count(self, data: bytes) -> int | None:
        return None

    def finish(self) -> bool:
        return False

    def silence(self) -> None:
        pass


def unsolicited(finished: list[int]) -> BadMessage:
    """The error for a reply that nothing was sent for."""
    bad = BadMessage("a reply came that nothing was sent for")
    bad.finished = finished
    return bad
