"""What clients send: arrays of bulk strings, or lines of words ("inline commands").

There are two ways through.  Small requests, whole in the data, are cut at every CRLF at once, and the pieces' lengths
compared with what is announced: most requests are of this sort, and nothing else in Python takes as little time.  Any
other request is followed piece by piece.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

from proxymux.core.codecs import LINE_LIMIT, Kind, Request
from proxymux.core.codecs.pieces import Block, PartialLine
from proxymux.core.codecs.resp.commands import (
    HTTP_NAMES,
    LENGTHS,
    OWN,
    SMALL,
    SPECIAL,
    WORD_LIMIT,
    WORDS,
    Verdict,
    number_in,
    verdict,
)
from proxymux.errors import BadMessage

#: Arguments of a command, its name included (the limit of Redis).
ARGUMENT_LIMIT: Final = 1024 * 1024
#: Bytes that are cut at once.
_WINDOW: Final = 16 * 1024
#: The beginnings of small commands, and into how many pieces these are cut: two an argument, and the ends.
_PIECES: Final = {b"*%d" % count: 2 * count + 2 for count in range(1, 1025)}

_ARRAY: Final = 42  # *
_BULK: Final = 36  # $
#: Redis takes a NUL for the end of a line's words, and quotes for what a shell does.
_CONTROL: Final = re.compile(rb"[\0-\x08\x0b-\x1f\x7f]")
_QUOTE: Final = re.compile(rb"[\"']")
_EMPTY: Final[Verdict] = (Kind.REFUSED, b"")
_NAMES: Final = HTTP_NAMES | SPECIAL.keys()


def _bad(problem: str) -> BadMessage:
    return BadMessage(f"RESP: {problem}", f"-ERR Protocol error: {problem}\r\n".encode("ascii"))


class RespRequests:
    """Finds the commands of one client.

    :param bulk_limit: bytes that an argument may have.
    """

    interim = b""

    def __init__(self, bulk_limit: int) -> None:
        self._bulk_limit = bulk_limit
        self._lengths = LENGTHS if bulk_limit >= SMALL else dict(islice(LENGTHS.items(), bulk_limit + 1))
        # True while a request is unfinished, and after QUIT.
        self._is_busy = False
        self._has_quit = False
        self._line = PartialLine(LINE_LIMIT, _bad)
        # Of the command that is followed: arguments that are to come, the one that is coming, the words known so far.
        self._missing = 0
        self._block = Block()
        self._words: list[bytes] = []
        self._is_word = False

    @property
    def is_between(self) -> bool:
        return self._has_quit or not self._is_busy

    def feed(self, data: bytes) -> list[Request]:
        pieces: list[bytes] | None = None
        if not self._is_busy and len(data) <= _WINDOW:
            # What all the rest does as well, for the most frequent case of all: one small request and nothing else.
            pieces = data.split(b"\r\n")
            number = len(pieces)
            if _PIECES.get(pieces[0]) == number and not pieces[-1]:
                lengths = self._lengths
                for place in range(1, number - 1, 2):
                    if lengths.get(pieces[place]) != len(pieces[place + 1]):
                        break
                else:
                    if pieces[2].upper() not in _NAMES:
                        return [Request(len(data))]
        requests: list[Request] = []
        try:
            self._scan(data, pieces, requests)
        except BadMessage as bad:
            bad.finished = requests
            raise
        return requests

    def _scan(self, data: bytes, pieces: list[bytes] | None, requests: list[Request]) -> None:
        """Find the requests that end in ``data``, whose pieces, if there are any, are those of all of it."""
        at, size = 0, len(data)
        if self._is_busy and not self._has_quit:
            at = self._follow(data, at, requests)
        while at < size and not self._has_quit:
            until = min(at + _WINDOW, size)
            if data[at] == _ARRAY:
                at = self._cut(pieces or data[at:until].split(b"\r\n"), at, requests)
            # Not cut again before the end of the window, or many odd requests would have each its rest cut once more.
            while at < until and not self._has_quit:
                at = self._follow(data, at, requests)

    def _cut(self, pieces: list[bytes], start: int, requests: list[Request]) -> int:
        """The end of the small requests that follow on each other in what was cut at every CRLF from ``start``."""
        lengths = self._lengths
        end, first, at, run = start, 0, 0, 0
        last = len(pieces) - 1
        while at < last and not self._has_quit:
            after = at + _PIECES.get(pieces[at], last + 2) - 1
            if after > last:
                break
            for place in range(at + 1, after, 2):
                if lengths.get(pieces[place]) != len(pieces[place + 1]):
                    after = 0
                    break
            if not after:
                break
            if pieces[at + 2].upper() not in _NAMES:
                run += 1
            else:
                if run:
                    end += _size(pieces[first:at])
                    _add(requests, end, run)
                end += _size(pieces[at:after])
                self._words = [
                    word.upper() if len(word) <= WORD_LIMIT else b"" for word in pieces[at + 2 : after : 2][:WORDS]
                ]
                self._end(end, requests)
                first, run = after, 0
            at = after
        if run:
            end += _size(pieces[first:at])
            _add(requests, end, run)
        return end

    def _follow(self, data: bytes, at: int, requests: list[Request]) -> int:
        """The end of the request that goes on or begins at ``at``, or of the data."""
        self._is_busy = True
        size = len(data)
        while at < size:
            if self._block.left:
                at = self._argument(data, at)
                if self._block.left:
                    break
                if not self._missing:
                    self._end(at, requests)
                    break
                continue
            line = self._line.take(data, at)
            if line is None:
                return size
            at = data.find(b"\n", at) + 1
            if self._missing:
                self._announced(line)
            elif line[0] != _ARRAY:
                self._inline(line, at, requests)
                break
            else:
                count = number_in(line)
                if count is None or count > ARGUMENT_LIMIT:
                    raise _bad("invalid multibulk length")
                if count <= 0:
                    # Redis passes over it in silence.
                    self._decided(_EMPTY, at, requests)
                    break
                self._missing = count
        return at

    def _announced(self, line: bytes) -> None:
        """An argument's length has come."""
        if line[0] != _BULK:
            raise _bad("an argument that is no bulk string")
        length = number_in(line)
        if length is None or not 0 <= length <= self._bulk_limit:
            raise _bad("invalid bulk length")
        self._missing -= 1
        self._block.left = length + 2
        # Words beyond the name matter to few commands.
        words = self._words
        self._is_word = not words or (len(words) < WORDS and words[0] in SPECIAL)
        if self._is_word:
            words.append(b"")
            self._is_word = length <= WORD_LIMIT

    def _argument(self, data: bytes, at: int) -> int:
        """The offset up to which the argument that goes on at ``at`` reaches."""
        block = self._block
        if self._is_word:
            # What a chunk may hold of the CRLF after it is taken off with the rest.
            came = data[at : at + max(0, block.left - 2)]
            self._words[-1] += came.upper()
        end = block.skip(data, at)
        if end < 0:
            raise _bad("no CRLF after a bulk string")
        return end

    def _inline(self, line: bytes, end: int, requests: list[Request]) -> None:
        """A line of words has come."""
        line = line[:-2] if line.endswith(b"\r\n") else line[:-1]
        if _CONTROL.search(line):
            raise _bad("a control character in an inline command")
        words = line.upper().split()
        if not words:
            self._decided(_EMPTY, end, requests)
        elif _QUOTE.search(line):
            # Where the words are is for the upstream to say.
            self._decided(OWN, end, requests)
        else:
            self._words = [word if len(word) <= WORD_LIMIT else b"" for word in words[:WORDS]]
            self._end(end, requests)

    def _end(self, end: int, requests: list[Request]) -> None:
        """A command has come whole, and ``_words`` are its own."""
        words = self._words
        if words[0] in HTTP_NAMES:
            raise BadMessage("RESP: an HTTP request")
        self._words = []
        self._decided(verdict(words), end, requests)

    def _decided(self, what: Verdict, end: int, requests: list[Request]) -> None:
        kind, answer = what
        self._is_busy = False
        if kind is Kind.PLAIN:
            _add(requests, end, 1)
            return
        requests.append(Request(end, kind, answer=answer))
        if kind is Kind.QUIT:
            self._has_quit = self._is_busy = True


def _size(pieces: list[bytes]) -> int:
    """How many bytes they were, CRLF after each included."""
    return len(b"\r\n".join(pieces)) + 2


def _add(requests: list[Request], end: int, count: int) -> None:
    """More plain requests have come; they join the run that they follow on."""
    last = requests[-1] if requests else None
    if last is not None and last.kind is Kind.PLAIN:
        last.end = end
        last.count += count
    else:
        requests.append(Request(end, count=count))
