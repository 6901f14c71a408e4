"""Parts of scanners: lines and blocks that may come in several chunks, and a base class of reply scanners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mypy_extensions import mypyc_attr

from proxymux.errors import BadMessage


def one_line(problem: str) -> str:
    """Convert ``problem`` to one line of ASCII, for an error reply that ends with the line."""
    return " ".join(problem.split()).encode("ascii", "replace").decode("ascii")


class PartialLine:
    """Assembles lines that end with LF from chunks.

    :param limit: the most bytes of a line, its LF included.
    :param bad: makes the error for a longer line from a text.
    """

    __slots__ = ("_bad", "_kept", "_limit")

    def __init__(self, limit: int, bad: Callable[[str], BadMessage]) -> None:
        self._kept = bytearray()
        self._limit = limit
        self._bad = bad

    @property
    def is_empty(self) -> bool:
        """True if no unfinished line is kept."""
        return not self._kept

    @property
    def size(self) -> int:
        """The number of bytes that are kept of an unfinished line."""
        return len(self._kept)

    def begins_with(self, beginnings: tuple[bytes, ...]) -> bool:
        """True if an unfinished line is kept that begins with one of ``beginnings``."""
        return self._kept.startswith(beginnings)

    def take(self, data: bytes, at: int) -> bytes | None:
        """Return the line, LF included, that begins or continues at ``at``.

        The caller has to find its end in ``data`` itself: it is behind the first LF from ``at`` on.

        :returns: None if the line does not end in ``data``; the rest of ``data`` is kept then.
        :raises BadMessage: made by ``bad``, if the line is longer than the limit.
        """
        newline = data.find(b"\n", at)
        begun = self._kept
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
    """Skips a block of known length with a CRLF after it, which may come in several chunks.

    To begin a block, set ``left`` to its length plus 2.
    """

    __slots__ = ("left",)

    def __init__(self) -> None:
        #: The bytes that are still to come, CRLF included; 0 between blocks.
        self.left = 0

    def skip(self, data: bytes, at: int) -> int:
        """Return the offset in ``data`` up to which the block reaches; -1 if it does not end with CRLF.

        ``left`` must not be 0 before the call; it is 0 after the call if the block is complete.

        :param at: the offset where the block begins or continues.
        """
        end = at + self.left
        size = len(data)
        if end <= size:
            self.left = 0
            # The CR may have come at the end of the chunk before.
            return end if b"\r\n".endswith(data[max(at, end - 2) : end]) else -1
        self.left = end - size
        return -1 if self.left == 1 and data[size - 1] != 13 else size


@mypyc_attr(allow_interpreted_subclasses=True)
class Due:
    """A base class of reply scanners: counts the replies that are due, and has no quick scan, end by FIN or silence."""

    must_close = False

    def __init__(self) -> None:
        #: Replies that are still to come.
        self._due = 0

    def expect(self, hint: Any, count: int = 1) -> None:
        self._due += count

    def count(self, data: bytes) -> int | None:
        return None

    def finish(self) -> bool:
        return False

    def silence(self) -> None:
        pass

    def remaining(self) -> int | None:
        return 0


def unsolicited(finished: list[int]) -> BadMessage:
    """Make the error for bytes that no request is waiting for.

    :param finished: the offsets of the replies that ended before them.
    """
    bad = BadMessage("a reply came that nothing was sent for")
    bad.finished = finished
    return bad


@mypyc_attr(allow_interpreted_subclasses=True)
class Stateless:
    """A request scanner that remembers nothing of its client from request to request."""

    def pack(self) -> dict[str, Any] | None:
        """What a scanner in another process needs to go on with the client, between two requests."""
        return {}

    def unpack(self, packed: dict[str, Any]) -> None:
        """Go on with a client of another process."""
