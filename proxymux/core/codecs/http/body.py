"""Bodies: of a known length, in chunks, or until the connection ends (RFC 9112 sections 6 and 7)."""

from __future__ import annotations

import re
from typing import Final, Protocol

from proxymux.core.codecs.http.answers import bad
from proxymux.core.codecs.http.head import FIELD_LINE, TOKEN, VALUE
from proxymux.core.codecs.limits import Limits
from proxymux.core.codecs.pieces import Block, PartialLine

#: The limit of the line before a chunk, in bytes; the chunk extensions in it are hardly used.
_SIZE_LINE_LIMIT: Final = 4096
#: A quoted string (RFC 9110 section 5.6.4).
_QUOTED: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\%b)*"' % VALUE
#: A chunk extension (section 7.1.1): a name, and a value or none.
_EXTENSION: Final = rb"[ \t]*;[ \t]*%b+(?:[ \t]*=[ \t]*(?:%b+|%b))?" % (TOKEN, TOKEN, _QUOTED)
#: The line before a chunk.  Blanks behind the size are tolerated: some programs send them.
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:%b)*[ \t]*\r\n" % _EXTENSION)
_FIELD: Final = re.compile(FIELD_LINE)
#: What a trailer must not have (RFC 9110 section 6.5.1): who merges it into the head would frame the message anew.
_OF_HEAD: Final = re.compile(rb"(?:content-length|transfer-encoding|host):", re.IGNORECASE)


class Body(Protocol):
    """Finds the end of one body."""

    #: True once the body is complete.
    is_whole: bool

    #: Bytes that are still to come; None if that is not known.
    remaining: int | None

    def skip(self, data: bytes, at: int) -> int:
        """Return the offset in ``data`` up to which the body reaches.

        :param at: the offset where the body begins or continues.
        :raises BadMessage: if the bytes cannot be such a body, or the body is too long.
        """


class Counted:
    """A body of a known length.

    :param length: in bytes.
    """

    def __init__(self, length: int) -> None:
        self.remaining: int | None = length
        self.is_whole = not length

    def skip(self, data: bytes, at: int) -> int:
        left = self.remaining or 0
        taken = min(left, len(data) - at)
        self.remaining = left - taken
        self.is_whole = taken == left
        return at + taken


class Endless:
    """A body that ends with the connection."""

    is_whole = False
    remaining: int | None = None

    def skip(self, data: bytes, at: int) -> int:
        return len(data)


class Chunked:
    """A body in the chunked transfer coding (section 7.1).

    :param limits: of all chunks together, and of the trailer.
    """

    remaining: int | None = None

    def __init__(self, limits: Limits) -> None:
        self.is_whole = False
        self._limits = limits
        self._total = 0
        self._chunk = Block()
        self._size_line = PartialLine(_SIZE_LINE_LIMIT, bad)
        self._trailer_line = PartialLine(limits.head, bad)
        #: The bytes of the trailer so far; None before the last chunk.
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
                self._read_size(line)
            else:
                self._read_trailer(line)
        return at

    def _read_size(self, line: bytes) -> None:
        """Read the line before a chunk, which is complete."""
        found = _SIZE.fullmatch(line)
        if found is None:
            raise bad("the size of a chunk is none")
        length = int(found[1], 16)
        self._total += length
        if self._total > self._limits.value:
            raise bad(f"a body of more than {self._limits.value} bytes", 413)
        if length:
            self._chunk.left = length + 2
        else:
            self._trailer = 0

    def _read_trailer(self, line: bytes) -> None:
        """Read a line of the trailer (section 7.1.2); an empty line ends the body."""
        if line == b"\r\n":
            self.is_whole = True
            return
        self._trailer = (self._trailer or 0) + len(line)
        if self._trailer > self._limits.head:
            raise bad(f"a trailer of more than {self._limits.head} bytes", 431)
        if not _FIELD.fullmatch(line):
            raise bad("a line of a trailer is no field")
        if _OF_HEAD.match(line):
            raise bad("a field in a trailer that belongs into the head")
