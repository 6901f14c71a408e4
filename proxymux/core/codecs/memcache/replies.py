"""Finds the replies in what a memcached server sends."""

from __future__ import annotations

import re
from collections import deque
from typing import Final

from proxymux.core.codecs.limits import Limits
from proxymux.core.codecs.memcache.commands import WORD, Shape
from proxymux.core.codecs.pieces import Block, Due, PartialLine, unsolicited
from proxymux.errors import BadMessage

_LINE: Final = re.compile(rb"[\t -~\x80-\xff]+\r\n")
_ERROR_LINE: Final = re.compile(rb"(?:ERROR|(?:CLIENT|SERVER)_ERROR .*)\r\n", re.DOTALL)
_VALUE: Final = re.compile(rb"VALUE %b+ [0-9]+ ([0-9]{1,10})(?: [0-9]+)?\r\n" % WORD)
_META_VALUE: Final = re.compile(rb"VA ([0-9]{1,10})(?: .*)?\r\n", re.DOTALL)
_END: Final = b"END\r\n"
#: Beginnings of lines in replies that end with END; no one-line reply begins so.
_LISTED: Final = (b"STAT ", b"ITEM ", b"PREFIX ")
_LONG: Final = (b"VALUE ", b"VA ", b"END\r", *_LISTED)


def _bad(problem: str) -> BadMessage:
    return BadMessage(f"memcache: {problem} in a reply")


class MemcacheReplies(Due):
    """Finds the replies of one upstream.

    :param limits: of values and lines.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._value_limit = limits.value
        self._shapes: deque[Shape] = deque()
        self._line = PartialLine(limits.head, _bad)
        self._value = Block()
        # True within a reply that ends with the line END.
        self._is_long = False

    @property
    def is_between(self) -> bool:
        return not self._is_long and not self._value.left and self._line.is_empty

    def expect(self, hint: Shape | None, count: int = 1) -> None:
        self._shapes.extend([hint or Shape.LINE] * count)

    def feed(self, data: bytes) -> list[int]:
        ends: list[int] = []
        try:
            self._scan(data, ends)
        except BadMessage as bad:
            bad.finished = ends
            raise
        return ends

    def remaining(self) -> int | None:
        return self._value.left

    def _scan(self, data: bytes, ends: list[int]) -> None:
        at, size = 0, len(data)
        while at < size:
            if not self._shapes:
                raise unsolicited(ends)
            if self._value.left:
                at = self._value.skip(data, at)
                if at < 0:
                    raise _bad("no CRLF after a value")
            else:
                line = self._line.take(data, at)
                if line is None:
                    return
                at = data.find(b"\n", at) + 1
                self._read_line(line)
            if not self._is_long and not self._value.left:
                ends.append(at)
                self._shapes.popleft()

    def _read_line(self, line: bytes) -> None:
        """Read a complete line, and note whether more lines or a value belong to its reply."""
        shape = self._shapes[0]
        if not _LINE.fullmatch(line):
            raise _bad("a line with a control character")
        if _ERROR_LINE.fullmatch(line) or (line == _END and shape in (Shape.VALUES, Shape.STATS)):
            self._is_long = False
        elif shape is Shape.VALUES:
            self._begin_value(_VALUE.fullmatch(line))
            self._is_long = True
        elif shape is Shape.STATS:
            self._is_long = self._is_long or line.startswith(_LISTED)
        elif shape is Shape.META and line.startswith(b"VA "):
            self._begin_value(_META_VALUE.fullmatch(line))
        elif line.startswith(_LONG):
            raise _bad("what was not asked for")

    def _begin_value(self, value: re.Match[bytes] | None) -> None:
        """Begin the value whose line is ``value``; None is a line that announces no value."""
        if value is None:
            raise _bad("what was not asked for")
        size = int(value[1])
        if size > self._value_limit:
            raise _bad(f"a value of more than {self._value_limit} bytes")
        self._value.left = size + 2
