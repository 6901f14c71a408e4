"""The words of one whole Redis command: an array of bulk strings, or a line ("inline command")."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, overload

from proxymux.core.codecs.resp.commands import LENGTHS, SMALL

_ARRAY: Final = b"*"
#: The most words of a command that are found: each takes 120 bytes here, and may be as few as six in the command.
MOST_WORDS: Final = 1 << 18
#: One word of a line, as Redis splits it: what is not quoted, and then perhaps something in quotes, after which a blank
#: or the end has to come.
_WORD: Final = re.compile(
    rb"\s*(?P<plain>[^\s\"']*)(?:\"(?P<double>(?:\\.|[^\"\\])*)\"|'(?P<single>(?:\\'|\\(?!')|[^'\\])*)')?(?=\s|\Z)",
    re.DOTALL,
)
_ESCAPE: Final = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_ESCAPED: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}


class CommandWords(Sequence[bytes]):
    """The first words of a command.  They are copied out of it one by one, when they are asked for.

    :param data: the command, as an array of bulk strings.
    :param most: how many words are found at most.
    """

    __slots__ = ("_data", "_first", "_spans", "are_all")

    def __init__(self, data: bytes, most: int = MOST_WORDS) -> None:
        self._data = data
        self._first = at = data.index(b"\n") + 1
        count = int(data[1:at])
        self._spans: list[tuple[int, int]] = []
        lengths = LENGTHS
        #: False if the command has more words than these.
        self.are_all = count <= most
        for _ in range(min(count, most)):
            end = data.find(b"\r\n", at)
            length = lengths.get(data[at:end])
            if length is None:
                length = int(data[at + 1 : end])
            start = end + 2
            at = start + length
            self._spans.append((start, at))
            at += 2

    def __len__(self) -> int:
        return len(self._spans)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        data = self._data
        if isinstance(index, slice):
            return [data[start:end] for start, end in self._spans[index]]
        start, end = self._spans[index]
        return data[start:end]

    def at(self, positions: Iterable[int]) -> list[bytes]:
        """The words at some positions."""
        data, spans = self._data, self._spans
        return [data[start:end] for start, end in map(spans.__getitem__, positions)]

    def bulks(self, positions: Iterable[int], count: int = 1) -> Iterator[bytes | memoryview]:
        """The words from each of some positions on, with their lengths, as they are in the command.

        :param count: how many there are from each position on.
        """
        data, spans = self._data, self._spans
        for first in positions:
            start = spans[first - 1][1] + 2 if first else self._first
            end = spans[first + count - 1][1] + 2
            # What is large is not copied twice.
            yield data[start:end] if end - start <= SMALL else memoryview(data)[start:end]


def as_array(data: bytes) -> bytes:
    """The command as an array of bulk strings: itself, or what Redis makes of its line.

    It has no words if it is empty, or if its quotes are not closed, which Redis answers with an error.
    """
    return data if data.startswith(_ARRAY) else array_of(line_words(data))


def array_of(words: Sequence[bytes]) -> bytes:
    """A command of these words."""
    return b"".join([b"*%d\r\n" % len(words), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)])


def line_words(line: bytes) -> Sequence[bytes]:
    """The words of an inline command."""
    return line.split() if b'"' not in line and b"'" not in line else _quoted(line)


def _quoted(line: bytes) -> list[bytes]:
    words: list[bytes] = []
    at, end = 0, len(line.rstrip())
    while at < end:
        found = _WORD.match(line, at)
        if found is None or found.end() == at:
            return []
        words.append(b"".join(_pieces(found)))
        at = found.end()
    return words


def _pieces(word: re.Match[bytes]) -> Iterable[bytes]:
    yield word["plain"]
    yield _ESCAPE.sub(_unescaped, word["double"] or b"")
    yield (word["single"] or b"").replace(b"\\'", b"'")


def _unescaped(escape: re.Match[bytes]) -> bytes:
    code, letter = escape.groups()
    return bytes((int(code, 16),)) if code else _ESCAPED.get(letter, letter)
