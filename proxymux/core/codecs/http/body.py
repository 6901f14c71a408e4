"""Bodies: a length, chunks, or all until the connection ends (RFC 9112 sections 6 and 7)."""

from __future__ import annotations

import re
from typing import Final, Protocol

from proxymux.core.codecs.http.answers import bad
from proxymux.core.codecs.http.head import LIMIT
from proxymux.core.codecs.pieces import Block, PartialLine

#: Bytes of the line that begins a chunk, whose extensions nobody uses.
_SIZE_LINE_LIMIT: Final = 4096
#: Some send blanks after the size.
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[\t -~\x80-\xff]*)?\r\n")
_FIELD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n")


class Body(Protocol):
    """A body that is coming."""

    #: True once all of it has come.
    is_whole: bool

    def skip(self, data: bytes, at: int) -> int:
        """The offset in ``data`` up to which it reaches.

        :raises BadMessage: if it cannot be a body, or is too long.
        """


class Counted:
    """A body of a known length, in bytes."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.is_whole = not length

    def skip(self, data: bytes, at: int) -> int:
        taken = min(self._left, len(data) - at)
        self._left -= taken
        self.is_whole = not self._left
        return at + taken


class Endless:
    """A body that the end of the connection ends."""

    is_whole = False

    def skip(self, data: bytes, at: int) -> int:
        return len(data)


class Chunked:
    """A body in chunks (section 7.1).

    :param limit: bytes that all chunks may have together.
    """

    def __init__(self, limit: int) -> None:
        self.is_whole = False
        self._limit = limit
        self._came = 0
        self._chunk = Block()
        self._size_line = PartialLine(_SIZE_LINE_LIMIT, bad)
        self._trailer_line = PartialLine(LIMIT, bad)
        #: Bytes of the trailer so far; None before it has begun.
        self._trailer: int | None = None

    def skip(self, data: bytes, at: int) -> int:
        size = len(data)
        while at < size and not self.is_whole:
            if self._chunk.left:
                at = self._chunk.skip(data, at)
                if at < 0:
                    raise bad("no CRLF after a chunk")
                continue
            partial = self._size_line if self._trailer is None else self._trailer_line
            line = partial.take(data, at)
            if line is None:
                return size
            at = data.find(b"\n", at) + 1
            if self._trailer is None:
                self._began(line)
            else:
                self._trailed(line)
        return at

    def _began(self, line: bytes) -> None:
        """The line before a chunk has come."""
        found = _SIZE.fullmatch(line)
        if found is None:
            raise bad("the size of a chunk is none")
        length = int(found[1], 16)
        self._came += length
        if self._came > self._limit:
            raise bad(f"a body of more than {self._limit} bytes", 413)
        if length:
            self._chunk.left = length + 2
        else:
            self._trailer = 0

    def _trailed(self, line: bytes) -> None:
        """A line of the trailer has come (section 7.1.2); an empty one ends it."""
        if line == b"\r\n":
            self.is_whole = True
            return
        self._trailer = (self._trailer or 0) + len(line)
        if self._trailer > LIMIT:
            raise bad(f"a trailer of more than {LIMIT} bytes", 431)
        if not _FIELD.fullmatch(line):
            raise bad("a line of a trailer is no field")
