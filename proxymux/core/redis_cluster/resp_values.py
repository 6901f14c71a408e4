"""Reads values of RESP2, of which a node's answers are made; their number and size are bounded."""

from __future__ import annotations

import re
from typing import Final, NamedTuple, TypeAlias

from proxymux.errors import BadMessage

#: The most bytes that one reader takes.  A cluster whose slots alternate has 16,384 ranges of some 400 bytes each.
MAX_ANSWER: Final = 16 << 20
#: The most values in them.
MAX_VALUES: Final = 1 << 20
#: The deepest nesting of arrays.
MAX_DEPTH: Final = 8
#: The most bytes of a line; what is longer has its length before it.
MAX_LINE: Final = 4096
_NUMBER: Final = re.compile(rb"-?[0-9]{1,18}", re.ASCII)


class RespError(NamedTuple):
    """An error as a value, without its ``-``."""

    text: bytes


#: A string, a number, null, an error, or an array.
Value: TypeAlias = bytes | int | RespError | list["Value"] | None


class RespReader:
    """Reads the values that one connection brings.

    Nothing is to be given to it after it has raised.
    """

    __slots__ = ("_at", "_buffer", "_looked", "_missing", "_open", "_taken", "_values")

    def __init__(self) -> None:
        self._buffer = bytearray()
        #: Where what has not been read begins, and how far the end of its line was looked for.
        self._at = 0
        self._looked = 0
        #: The bytes of the string that is being read, or None.
        self._missing: int | None = None
        #: The arrays that are not complete, the outermost first, each with the number of its values.
        self._open: list[tuple[list[Value], int]] = []
        self._taken = 0
        self._values = 0

    def feed(self, data: bytes) -> list[Value]:
        """Take bytes in whatever pieces.

        :returns: the values that they complete.
        :raises BadMessage: if it is not RESP2, or one of the limits is passed.
        """
        self._taken += len(data)
        if self._taken > MAX_ANSWER:
            raise _bad(f"more than {MAX_ANSWER >> 20} MiB")
        self._buffer += data
        found: list[Value] = []
        while self._read_one(found):
            pass
        del self._buffer[: self._at]
        self._looked -= self._at
        self._at = 0
        return found

    def _read_one(self, found: list[Value]) -> bool:
        """Read a line, or the string that a line has announced; False if it is not there yet."""
        if self._missing is not None:
            return self._read_string(self._missing, found)
        end = self._buffer.find(b"\r\n", self._looked)
        if (len(self._buffer) if end < 0 else end) - self._at > MAX_LINE:
            raise _bad(f"a line of more than {MAX_LINE} bytes")
        if end < 0:
            self._looked = max(self._at, len(self._buffer) - 1)
            return False
        line = bytes(self._buffer[self._at : end])
        kind, rest = line[:1], line[1:]
        self._at = self._looked = end + 2
        if kind == b"+":
            self._put(rest, found)
        elif kind == b"-":
            self._put(RespError(rest), found)
        elif kind == b":":
            self._put(_number(rest), found)
        elif kind in (b"$", b"*"):
            self._begin(kind == b"*", _number(rest), found)
        else:
            raise _bad("a type that is none")
        return True

    def _begin(self, is_array: bool, length: int, found: list[Value]) -> None:
        """Begin a string or an array of a length."""
        if length == -1:
            self._put(None, found)
        elif not 0 <= length <= (MAX_VALUES if is_array else MAX_ANSWER):
            raise _bad("a length that is none")
        elif not is_array:
            self._missing = length
        elif length == 0:
            self._put([], found)
        elif len(self._open) == MAX_DEPTH:
            raise _bad(f"arrays within more than {MAX_DEPTH} others")
        else:
            self._open.append(([], length))

    def _read_string(self, length: int, found: list[Value]) -> bool:
        end = self._at + length
        if len(self._buffer) < end + 2:
            return False
        if self._buffer[end : end + 2] != b"\r\n":
            raise _bad("a string without its end")
        text = bytes(self._buffer[self._at : end])
        self._at = self._looked = end + 2
        self._missing = None
        self._put(text, found)
        return True

    def _put(self, value: Value, found: list[Value]) -> None:
        """Put a value where it belongs, and complete the arrays whose last it is."""
        self._values += 1
        if self._values > MAX_VALUES:
            raise _bad(f"more than {MAX_VALUES} values")
        while self._open:
            values, length = self._open[-1]
            values.append(value)
            if len(values) < length:
                return
            self._open.pop()
            value = values
        found.append(value)


def _number(text: bytes) -> int:
    if not _NUMBER.fullmatch(text):
        raise _bad("a number that is none")
    return int(text)


def _bad(problem: str) -> BadMessage:
    return BadMessage(f"RESP: {problem}")
