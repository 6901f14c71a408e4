"""Mutates the first bytes of a connection: bytes, lengths, insertions, deletions, other beginnings, and their pieces.

All that is left to chance comes from a ``Random``: the same seed has the same mutations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from proxymux.cli.fuzz.pieces import Pieces, cut_at

#: The most mutations of one input, one after the other.
_MOST_STEPS: Final = 4
#: The most cuts of a split.
_MOST_CUTS: Final = 8
#: The most bytes that one mutation inserts of chance, and the longest run of one byte.
_MOST_RANDOM: Final = 16
_LONGEST_RUN: Final = 5000
#: Bytes by which texts and messages are divided, and those at the edges of what a byte can be.
_EDGES: Final = b"\0\1\4\5\x7f\x80\xff\r\n\t :/*$,;=\"'\\@"
#: Numbers at the edges of what lengths can be.
_NUMBERS: Final = (0, 1, 2, 9, 10, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 10**30)
_DIGITS: Final = re.compile(rb"-?[0-9]+")
#: A text with its length before it, as Redis has it.
_BULK: Final = re.compile(rb"\$([0-9]{1,5})\r\n")
#: Behind these a message may be over: where a cut shows most.
_ENDS: Final = re.compile(rb"\r|\n|\0| |:")


class Mutator:
    """Mutates bytes.

    :param random: where all that is left to chance comes from.
    :param tokens: bytes that may mean something to the router; there may be none.
    :param longest: the most bytes of what is made.
    """

    def __init__(self, random: Random, tokens: Sequence[bytes], longest: int) -> None:
        self._random = random
        self._tokens = tokens
        self._longest = longest
        self._ways: Final[tuple[Callable[[bytes], bytes], ...]] = (
            self.flipped,
            self.overwritten,
            self.inserted,
            self.deleted,
            self.cut_short,
            self.repeated,
            self.grown,
            self.told_otherwise,
            self.measured_otherwise,
            self.refilled,
            self.in_other_case,
            self.replaced_by_token,
            self.with_token,
        )

    def mutate(self, data: bytes, other: bytes) -> bytes:
        """Mutate ``data`` in a few ways; sometimes what follows it is of ``other``."""
        random = self._random
        if random.random() < 0.1:
            data = data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]
        for _ in range(random.randint(1, _MOST_STEPS)):
            data = random.choice(self._ways)(data)[: self._longest]
        return data

    def split(self, data: bytes) -> Pieces:
        """Cut ``data``, preferably where a message or a word may end."""
        random = self._random
        ends = [match.end() for match in _ENDS.finditer(data)]
        count = random.randint(1, _MOST_CUTS)
        places = [
            random.choice(ends) - random.randint(0, 1)
            if ends and random.random() < 0.5
            else random.randint(0, len(data))
            for _ in range(count)
        ]
        return cut_at(data, places)

    def flipped(self, data: bytes) -> bytes:
        """One bit of it is another."""
        if not data:
            return data
        place = self._random.randrange(len(data))
        return _put(data, place, bytes([data[place] ^ 1 << self._random.randrange(8)]))

    def overwritten(self, data: bytes) -> bytes:
        """One byte of it is another, often one that means something in many protocols."""
        return _put(data, self._random.randrange(len(data)), self._byte()) if data else data

    def inserted(self, data: bytes) -> bytes:
        """A few bytes stand in it that did not."""
        return self._insert(data, b"".join(self._byte() for _ in range(self._random.randint(1, _MOST_RANDOM))))

    def deleted(self, data: bytes) -> bytes:
        """A part of it is not there."""
        start, end = self._range(data)
        return data[:start] + data[end:]

    def cut_short(self, data: bytes) -> bytes:
        """Its end is not there."""
        return data[: self._random.randint(0, len(data))]

    def repeated(self, data: bytes) -> bytes:
        """A part of it stands there twice or more often."""
        start, end = self._range(data)
        return data[:start] + data[start:end] * self._random.choice((2, 3, 20)) + data[end:]

    def grown(self, data: bytes) -> bytes:
        """A long run of one byte is in it."""
        return self._insert(data, self._byte() * self._random.randint(1, _LONGEST_RUN))

    def told_otherwise(self, data: bytes) -> bytes:
        """A number that is written in digits is another."""
        found = list(_DIGITS.finditer(data))
        if not found:
            return data
        match = self._random.choice(found)
        number = int(match[0]) if len(match[0]) < 20 else 0
        others = (*_NUMBERS, number + 1, number - 1, -number, -1)
        text = self._random.choice((b"%d" % self._random.choice(others), b"", b"0" + match[0], b"+" + match[0], b"x"))
        return data[: match.start()] + text + data[match.end() :]

    def measured_otherwise(self, data: bytes) -> bytes:
        """A length of one to four bytes is another, or about as much as follows."""
        if not data:
            return data
        width = min(self._random.choice((1, 2, 3, 4)), len(data))
        place = self._random.randint(0, len(data) - width)
        left = len(data) - place - width
        number = self._random.choice((*_NUMBERS, left, left + 1, max(0, left - 1))) % 256**width
        return _put(data, place, number.to_bytes(width, self._random.choice(("big", "little"))))

    def refilled(self, data: bytes) -> bytes:
        """A text with its length before it is another, with the length of that."""
        found = list(_BULK.finditer(data))
        if not found:
            return data
        match = self._random.choice(found)
        text = self._token() if self._random.random() < 0.7 else data[match.end() : match.end() + int(match[1])] * 2
        return data[: match.start()] + b"$%d\r\n" % len(text) + text + data[match.end() + int(match[1]) :]

    def in_other_case(self, data: bytes) -> bytes:
        """A part of it is in letters of the other case."""
        start, end = self._range(data)
        return data[:start] + data[start:end].swapcase() + data[end:]

    def replaced_by_token(self, data: bytes) -> bytes:
        """A token stands in the place of as many bytes."""
        return _put(data, self._random.randint(0, len(data)), self._token())

    def with_token(self, data: bytes) -> bytes:
        """A token stands in it."""
        return self._insert(data, self._token())

    def _insert(self, data: bytes, more: bytes) -> bytes:
        place = self._random.randint(0, len(data))
        return data[:place] + more + data[place:]

    def _range(self, data: bytes) -> tuple[int, int]:
        start = self._random.randint(0, len(data))
        return start, self._random.randint(start, len(data))

    def _byte(self) -> bytes:
        byte = self._random.choice(_EDGES) if self._random.random() < 0.5 else self._random.randrange(256)
        return bytes([byte])

    def _token(self) -> bytes:
        return self._random.choice(self._tokens) if self._tokens else self._byte()


def _put(data: bytes, place: int, more: bytes) -> bytes:
    return data[:place] + more + data[place + len(more) :]
