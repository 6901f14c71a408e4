"""What Redis answers: values, and arrays, maps and sets of them."""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

from proxymux.core.codecs import LINE_LIMIT
from proxymux.core.codecs.pieces import Block, Due, PartialLine, unsolicited
from proxymux.core.codecs.resp.commands import LENGTHS, SMALL, number_in
from proxymux.errors import BadMessage

#: Aggregates within aggregates.
DEPTH_LIMIT: Final = 32
#: Elements of one aggregate.  Nothing is kept of them, so this is only to see what cannot be true.
_ELEMENT_LIMIT: Final = 2**32
#: How many values an element of an aggregate is, by the aggregate's first byte.
_WIDTHS: Final = {42: 1, 126: 1, 37: 2, 124: 2}
_ATTRIBUTE: Final = 124
_BULK: Final = 36
#: Bulk strings: a string, an error, a text.
_BULKS: Final = b"$!="

#: A value that is all in its line: a simple string, an error, an integer, nil, true and false, a double, a big number;
#: nil as RESP2 has it; an empty aggregate.
_LINE: Final = rb"(?:[+\-:_#,(][^\r\n]*|[$*]-1|[*~%]0)\r\n"
_IS_LINE: Final = re.compile(_LINE)
#: Bytes of a line that is looked for at once.
_SHORT: Final = 1024
#: Some that are often all there is.
_FREQUENT: Final = frozenset((b"+OK\r\n", b"$-1\r\n", b":0\r\n", b":1\r\n", b"*0\r\n", b"+PONG\r\n"))
#: Many such.
_LINES: Final = re.compile(rb"(?:%b)+" % _LINE)


def _bad(problem: str) -> BadMessage:
    return BadMessage(f"RESP: {problem} in a reply")


class RespReplies(Due):
    """Finds the replies of one upstream.

    A push of RESP3 belongs to no request, and counts as a reply that nothing was sent for.

    :param bulk_limit: bytes that a bulk string may have.
    """

    def __init__(self, bulk_limit: int) -> None:
        super().__init__()
        self._bulk_limit = bulk_limit
        self._lengths = LENGTHS if bulk_limit >= SMALL else dict(islice(LENGTHS.items(), bulk_limit + 1))
        self.is_between = True
        self._line = PartialLine(LINE_LIMIT, _bad)
        self._block = Block()
        # How many values are to come in each aggregate that is open, the outermost first.
        self._open: list[int] = []

    def count(self, data: bytes) -> int | None:
        if not self.is_between or not self._due:
            return None
        if data in _FREQUENT:
            self._due -= 1
            return 1
        size = len(data)
        if size > LINE_LIMIT or not data.endswith(b"\r\n"):
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
            self._scan(data, ends)
        except BadMessage as bad:
            bad.finished = ends
            raise
        self.is_between = not self._open and not self._block.left and self._line.is_empty
        return ends

    def _scan(self, data: bytes, ends: list[int]) -> None:
        at, size = 0, len(data)
        opened, block = self._open, self._block
        is_line_begun = not self._line.is_empty
        while at < size:
            if not self._due:
                raise unsolicited(ends)
            end = 0 if is_line_begun or block.left else self._whole(data, at)
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
                if self._is_begun(line):
                    continue
            while opened:
                opened[-1] -= 1
                if opened[-1]:
                    break
                opened.pop()
            if not opened:
                ends.append(at)
                self._due -= 1

    def _whole(self, data: bytes, at: int) -> int:
        """The end of the value at ``at`` if it is small, simple, and there; else 0."""
        if data[at] == _BULK:
            # The longest beginning of those that are looked up is $4096.
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

    def _is_begun(self, line: bytes) -> bool:
        """True if more belongs to the value that begins with this line."""
        if _IS_LINE.fullmatch(line):
            return False
        kind = line[0]
        width = _WIDTHS.get(kind)
        number = number_in(line)
        if width is None and kind not in _BULKS:
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
        if len(self._open) >= DEPTH_LIMIT:
            raise _bad(f"more than {DEPTH_LIMIT} aggregates in each other")
        # What an attribute is about comes right after it, and the two are one value.
        self._open.append(width * number + (1 if kind == _ATTRIBUTE else 0))
        return True
