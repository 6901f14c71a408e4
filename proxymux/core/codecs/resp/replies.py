"""Finds the replies in what a Redis server sends: values, and aggregates of values."""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

from proxymux.core.codecs.pieces import Block, Due, PartialLine, unsolicited
from proxymux.core.codecs.resp.commands import LENGTHS, SMALL, number_in
from proxymux.errors import BadMessage

#: The deepest nesting of aggregates.  A script of Redis cannot nest its reply so deeply, as Lua's stack ends before.
DEPTH_LIMIT: Final = 8192
#: The most elements of one aggregate.  They take no memory here, so the limit only detects nonsense.
_ELEMENT_LIMIT: Final = 2**32
#: The number of values that an element has, by the first byte of the aggregate: array, set, map, attribute.
_WIDTHS: Final = {42: 1, 126: 1, 37: 2, 124: 2}
_ATTRIBUTE: Final = 124
_BULK: Final = 36
#: First bytes of the types that have a length and data: bulk string, bulk error, verbatim string.
_BULK_TYPES: Final = b"$!="

#: A value that is one line: simple string, error, integer, null, boolean, double, big number; null as of RESP2; empty
#: aggregate.
_LINE: Final = rb"(?:[+\-:_#,(][^\r\n]*|[$*]-1|[*~%]0)\r\n"
_IS_LINE: Final = re.compile(_LINE)
#: The most bytes that the quick scan takes.
_WINDOW: Final = 64 * 1024
#: Bytes of the longest line that is matched without :class:`~proxymux.core.codecs.pieces.PartialLine`.
_SHORT: Final = 1024
#: Replies that are often all of a chunk.
_FREQUENT_REPLIES: Final = frozenset((b"+OK\r\n", b"$-1\r\n", b":0\r\n", b":1\r\n", b"*0\r\n", b"+PONG\r\n"))
#: One or more one-line values.
_LINES: Final = re.compile(rb"(?:%b)+" % _LINE)


def _bad(problem: str) -> BadMessage:
    return BadMessage(f"RESP: {problem} in a reply")


class RespReplies(Due):
    """Finds the replies of one upstream.

    A RESP3 push belongs to no request; it is an error, as is any reply without a request.

    :param bulk_limit: the most bytes of a bulk string.
    :param line_limit: the most bytes of a line.
    """

    def __init__(self, bulk_limit: int, line_limit: int) -> None:
        super().__init__()
        self._bulk_limit = bulk_limit
        self._lengths = LENGTHS if bulk_limit >= SMALL else dict(islice(LENGTHS.items(), bulk_limit + 1))
        self.is_between = True
        self._line = PartialLine(line_limit, _bad)
        self._block = Block()
        # The number of values that are still to come in each unfinished aggregate, the outermost first.
        self._values_left: list[int] = []

    def count(self, data: bytes) -> int | None:
        if not self.is_between or not self._due:
            return None
        if data in _FREQUENT_REPLIES:
            self._due -= 1
            return 1
        size = len(data)
        if size > _WINDOW or not data.endswith(b"\r\n"):
            return None
        lengths = self._lengths
        count = at = 0
        while at < size:
            if data[at] == _BULK:
                end = data.find(b"\r\n", at)
                length = lengths.get(data[at:end])
                if length is not None:
                    at = end + length + 4
                    if data[at - 2 : at] != b"\r\n":
                        return None
                    count += 1
                    continue
            lines = _LINES.match(data, at)
            if lines is None:
                return None
            end = lines.end()
            count += data.count(b"\n", at, end)
            at = end
        if count > self._due:
            return None
        self._due -= count
        return count

    def feed(self, data: bytes) -> list[int]:
        ends: list[int] = []
        try:
            at = self._scan_simple(data, ends) if self.is_between else 0
            if at < len(data):
                self._scan(data, at, ends)
        except BadMessage as bad:
            bad.finished = ends
            raise
        self.is_between = not self._values_left and not self._block.left and self._line.is_empty
        return ends

    def remaining(self) -> int | None:
        # The shortest value has three bytes: a null.
        return self._block.left + 3 * sum(self._values_left)

    def _scan_simple(self, data: bytes, ends: list[int]) -> int:
        """Append the ends of the small values at the beginning of ``data``, which most are; return the last of them.

        :meth:`_scan` finds the same, in twice the time.
        """
        at, size, due, lengths = 0, len(data), self._due, self._lengths
        while at < size and due:
            if data[at] == _BULK:
                head = data.find(b"\r\n", at, at + 7)
                length = None if head < 0 else lengths.get(data[at:head])
                if length is None:
                    break
                end = head + length + 4
                if data[end - 2 : end] != b"\r\n":
                    break
            elif data.startswith(b"+OK\r\n", at):
                end = at + 5
            else:
                line = _IS_LINE.match(data, at, at + _SHORT)
                if line is None:
                    break
                end = line.end()
            ends.append(end)
            due -= 1
            at = end
        self._due = due
        return at

    def _scan(self, data: bytes, at: int, ends: list[int]) -> None:
        size = len(data)
        opened, block = self._values_left, self._block
        is_line_begun = not self._line.is_empty
        while at < size:
            if not self._due:
                raise unsolicited(ends)
            end = 0 if is_line_begun or block.left else self._simple_end(data, at)
            if end:
                at = end
            elif block.left:
                at = self._skip(data, at)
                if block.left:
                    return
            else:
                is_line_begun = False
                line = self._line.take(data, at)
                if line is None:
                    return
                at = data.find(b"\n", at) + 1
                if self._has_more(line):
                    continue
            while opened:
                opened[-1] -= 1
                if opened[-1]:
                    break
                opened.pop()
            if not opened:
                ends.append(at)
                self._due -= 1

    def _simple_end(self, data: bytes, at: int) -> int:
        """Return the end of the value at ``at`` if it is a small one and complete in ``data``, else 0."""
        if data[at] == _BULK:
            # The longest first line that is looked up is $4096.
            head = data.find(b"\r\n", at, at + 7)
            length = None if head < 0 else self._lengths.get(data[at:head])
            if length is not None:
                end = head + length + 4
                return end if data[end - 2 : end] == b"\r\n" else 0
        line = _IS_LINE.match(data, at, at + _SHORT)
        return 0 if line is None else line.end()

    def _skip(self, data: bytes, at: int) -> int:
        end = self._block.skip(data, at)
        if end < 0:
            raise _bad("no CRLF after a bulk string")
        return end

    def _has_more(self, line: bytes) -> bool:
        """Read the first line of a value, and return True if more of the value follows."""
        if _IS_LINE.fullmatch(line):
            return False
        kind = line[0]
        width = _WIDTHS.get(kind)
        number = number_in(line)
        if width is None and kind not in _BULK_TYPES:
            raise _bad("a push" if kind == 62 else f"{line[:20]!r}")
        if number is None or number < 0:
            raise _bad(f"the length {line[:20]!r}")
        if width is None:
            if number > self._bulk_limit:
                raise _bad(f"a bulk string of more than {self._bulk_limit} bytes")
            self._block.left = number + 2
            return True
        if number > _ELEMENT_LIMIT:
            raise _bad(f"an aggregate of more than {_ELEMENT_LIMIT} elements")
        if len(self._values_left) >= DEPTH_LIMIT:
            raise _bad(f"more than {DEPTH_LIMIT} aggregates in each other")
        # An attribute is followed by the value that it describes; the two count as one value.
        self._values_left.append(width * number + (1 if kind == _ATTRIBUTE else 0))
        return True
