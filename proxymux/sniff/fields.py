"""Reads the fields of a binary message that comes in pieces."""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from typing import NoReturn, TypeVar

from proxymux.core.decision import NEED_DATA, NeedData

T = TypeVar("T")
_two_numbers = struct.Struct("!HH").unpack_from


class Malformed(Exception):
    """What has come is not the beginning of such a message."""


class Unfinished(Exception):
    """A field has not come yet."""


class Fields:
    """Reads one field after another.

    :param block: the bytes that have come.
    :param size: how many there will be in all, or how many are read at most.
    """

    def __init__(self, block: bytes, size: int) -> None:
        self._block = block
        self._size = size
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes from here to the end, whether they have come or not."""
        return self._size - self._at

    @property
    def begun(self) -> bytes:
        """What has come of these."""
        return self._block[self._at : self._size]

    def within(self, count: int) -> None:
        """Let what follows end after ``count`` bytes, if it does not end before."""
        self._size = min(self._size, self._at + count)

    def take(self, count: int) -> bytes:
        """Read ``count`` bytes."""
        end = self._at + count
        if end > self._size or end > len(self._block):
            self._cut(end)
        field = self._block[self._at : end]
        self._at = end
        return field

    def number(self, size: int) -> int:
        """Read a number of ``size`` bytes, the greatest first."""
        return int.from_bytes(self.take(size), "big")

    def varint(self, most: int, room: int | None = None) -> int:
        """Read a number in groups of seven bits, the least first; the high bit of a byte says that another follows.

        :param most: bytes of the longest that is allowed.
        :param room: if the number is a length, as for :meth:`length`.
        """
        value = 0
        for place in range(most):
            byte = self.number(1)
            value |= (byte & 0x7F) << 7 * place
            if room is not None and value > self.left - room:
                raise Malformed
            if byte < 0x80:
                return value
        raise Malformed

    def length(self, size: int, room: int) -> int:
        """Read a length of ``size`` bytes; too great a one is known at its first byte.

        :param room: bytes that must be left after so many.
        """
        # Bytes that have not come are read as 0.
        if int.from_bytes(self.begun[:size].ljust(size, b"\0"), "big") > self.left - size - room:
            raise Malformed
        return self.number(size)

    def vector(self, size: int, least: int = 0, most: int = 65535) -> bytes:
        """Read a length of ``size`` bytes, and as many bytes as it says.

        :param least: the least length that is allowed.
        :param most: the greatest.
        """
        length = int.from_bytes(self.take(size), "big")
        if not least <= length <= most:
            raise Malformed
        return self.take(length)

    def numbered(self, most: int) -> dict[int, bytes]:
        """Read numbers of two bytes, each with a vector whose length has two bytes, to the end.

        It is one loop, as a ClientHello has some twenty of them and is read for every TLS client.

        :param most: the most that are allowed; none may come twice.
        """
        found: dict[int, bytes] = {}
        block, size, at = self._block, self._size, self._at
        come = min(len(block), size)
        while at < size:
            start = at + 4
            if start > come:
                self._at = at
                if self.number(2) in found:
                    raise Malformed
                self._cut(start)
            number, length = _two_numbers(block, at)
            if number in found or len(found) == most:
                raise Malformed
            at = start + length
            if at > come:
                self._cut(at)
            found[number] = block[start:at]
        self._at = at
        return found

    def _cut(self, end: int) -> NoReturn:
        """Say why there is no field that ends at ``end``."""
        raise Malformed if end > self._size else Unfinished

    def text(self, size: int) -> str:
        """Read ``size`` bytes of UTF-8, which is malformed at its first wrong byte."""
        if size > self.left:
            raise Malformed
        begun = self.begun[:size]
        try:
            text = codecs.utf_8_decode(begun, "strict", len(begun) == size)[0]
        except UnicodeDecodeError:
            raise Malformed from None
        self.take(size)
        return text

    def choice(self, *texts: bytes) -> bytes:
        """Read one of ``texts``, of which none begins with another; none of them is known at the first wrong byte."""
        fitting = [text for text in texts if len(text) <= self.left]
        begun = self._block[self._at : self._at + max(map(len, fitting), default=0)]
        for text in fitting:
            if begun.startswith(text):
                return self.take(len(text))
        if any(text.startswith(begun) for text in fitting):
            raise Unfinished
        raise Malformed


def read(parse: Callable[[Fields], T], data: bytes, size: int) -> T | NeedData | None:
    """What ``parse`` makes of the fields of ``data``: NEED_DATA if it is unfinished, None if it is malformed.

    :param size: bytes that are read at most; with so many there, the answer is not NEED_DATA.
    """
    try:
        return parse(Fields(data, size))
    except Malformed:
        return None
    except Unfinished:
        return NEED_DATA
