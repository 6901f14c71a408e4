"""Finds the commands in what a Redis client sends: arrays of bulk strings, or lines of words ("inline commands").

Two scans find the same.  The fast one splits the data at every CRLF and compares the lengths of the pieces with the
announced ones; it takes small commands that are complete in the data, which most are.  The slow one takes any other
command, argument by argument.
"""

from __future__ import annotations

import re
from collections.abc import Container
from itertools import islice
from typing import Any, Final

from proxymux.core.codecs import Kind, Request, SpecialRequest
from proxymux.core.codecs.limits import DEFAULT_LIMITS
from proxymux.core.codecs.pieces import Block, PartialLine
from proxymux.core.codecs.resp.client import RespClient
from proxymux.core.codecs.resp.commands import (
    EXCEPTIONAL,
    HTTP_NAMES,
    LENGTHS,
    SMALL,
    SPECIAL,
    TOO_LONG,
    WORD_LIMIT,
    WORDS,
    Verdict,
    number_in,
)
from proxymux.core.codecs.resp.one_key import cut_keyed
from proxymux.core.setup import UNCHANGED
from proxymux.errors import BadMessage

#: The most arguments of a command, its name included (the limit of Redis since 7.0).  They are not counted in memory.
ARGUMENT_LIMIT: Final = 2**31 - 1
#: The most bytes that the fast scan splits at once.
_WINDOW: Final = 16 * 1024
#: The first line of each small command, without CRLF, and the number of pieces that splitting the command gives: two
#: for each argument, the first line, and the empty piece at the end.
_PIECE_COUNTS: Final = {b"*%d" % count: 2 * count + 2 for count in range(1, 1025)}

_ARRAY: Final = 42  # *
_BULK: Final = 36  # $
#: In an inline command Redis takes a NUL for the end of the words, and quotes as a shell does.
_CONTROL: Final = re.compile(rb"[\0-\x08\x0b-\x1f\x7f]")
_QUOTE: Final = re.compile(rb"[\"']")
_EMPTY: Final = Verdict(Kind.REFUSED)


class _Everything:
    """The names of all commands."""

    def __contains__(self, name: object) -> bool:
        return True


_EVERYTHING: Final = _Everything()


def _bad(problem: str) -> BadMessage:
    return BadMessage(f"RESP: {problem}", f"-ERR Protocol error: {problem}\r\n".encode("ascii"))


class RespRequests:
    """Finds the commands of one client.

    :param bulk_limit: the most bytes of an argument.
    :param client: judges the commands, by what the client has said before.
    """

    interim = b""

    def __init__(self, bulk_limit: int, client: RespClient) -> None:
        self._bulk_limit = bulk_limit
        self._client = client
        #: Names of the commands that are judged; the others are PLAIN.
        self._examined: Container[bytes] = _EVERYTHING if client.is_watchful else EXCEPTIONAL
        self._lengths = LENGTHS if bulk_limit >= SMALL else dict(islice(LENGTHS.items(), bulk_limit + 1))
        # True while a request is unfinished, and after QUIT.
        self._is_busy = False
        self._has_quit = False
        self._line = PartialLine(DEFAULT_LIMITS.head, _bad)
        # State of the slow scan: arguments whose lengths are still to come, the current argument, the words so far, and
        # whether the current argument is one of the words.
        self._arguments_left = 0
        self._block = Block()
        self._words: list[bytes] = []
        self._is_word = False

    def pack(self) -> dict[str, Any] | None:
        return self._client.pack()

    def unpack(self, packed: dict[str, Any]) -> None:
        self._client.unpack(packed)
        self._examined = _EVERYTHING if self._client.is_watchful else EXCEPTIONAL

    @property
    def is_between(self) -> bool:
        return self._has_quit or not self._is_busy

    def feed(self, data: bytes) -> list[Request]:
        pieces: list[bytes] | None = None
        if not self._is_busy and len(data) <= _WINDOW:
            # A short cut for the usual case, one small PLAIN request and nothing else; the code below finds the same.
            pieces = data.split(b"\r\n")
            number = len(pieces)
            if _PIECE_COUNTS.get(pieces[0]) == number and not pieces[-1]:
                lengths = self._lengths
                for place in range(1, number - 1, 2):
                    if lengths.get(pieces[place]) != len(pieces[place + 1]):
                        break
                else:
                    if pieces[2].upper() not in self._examined:
                        return [Request(len(data))]
        requests: list[Request] = []
        try:
            self._scan(data, pieces, requests)
        except BadMessage as bad:
            bad.finished = requests
            raise
        return requests

    def cut_keyed(self, data: bytes) -> tuple[list[int], list[bytes]] | None:
        if self._is_busy or self._examined is not EXCEPTIONAL or len(data) > _WINDOW:
            return None
        return cut_keyed(data, self._lengths)

    def _scan(self, data: bytes, pieces: list[bytes] | None, requests: list[Request]) -> None:
        """Append the requests that end in ``data`` to ``requests``.

        :param pieces: all of ``data``, split at CRLF, if that has been done already.
        """
        at, size = 0, len(data)
        if self._is_busy and not self._has_quit:
            at = self._scan_one(data, at, requests)
        while at < size and not self._has_quit:
            until = min(at + _WINDOW, size)
            if data[at] == _ARRAY:
                at = self._scan_small(pieces or data[at:until].split(b"\r\n"), at, requests)
            # The slow scan goes on to the end of the window, so that no bytes are split more than once.
            while at < until and not self._has_quit:
                at = self._scan_one(data, at, requests)

    def _scan_small(self, pieces: list[bytes], start: int, requests: list[Request]) -> int:
        """Append the small commands at the beginning of ``pieces``, and return the offset where they end.

        :param pieces: the data from the offset ``start`` on, split at CRLF.
        """
        lengths = self._lengths
        end, first, at, run = start, 0, 0, 0
        last = len(pieces) - 1
        while at < last and not self._has_quit:
            after = at + _PIECE_COUNTS.get(pieces[at], last + 2) - 1
            if after > last:
                break
            for place in range(at + 1, after, 2):
                if lengths.get(pieces[place]) != len(pieces[place + 1]):
                    after = 0
                    break
            if not after:
                break
            if pieces[at + 2].upper() not in self._examined:
                run += 1
            else:
                if run:
                    end += _byte_count(pieces[first:at])
                    _add_plain(requests, end, run)
                end += _byte_count(pieces[at:after])
                self._words = [
                    word if len(word) <= WORD_LIMIT else TOO_LONG for word in pieces[at + 2 : after : 2][:WORDS]
                ]
                self._end_command(end, requests)
                first, run = after, 0
            at = after
        if run:
            end += _byte_count(pieces[first:at])
            _add_plain(requests, end, run)
        return end

    def _scan_one(self, data: bytes, at: int, requests: list[Request]) -> int:
        """Scan the command that begins or continues at ``at``, and return its end, or that of the data."""
        self._is_busy = True
        size = len(data)
        while at < size:
            if self._block.left:
                at = self._skip_argument(data, at)
                if self._block.left:
                    break
                if not self._arguments_left:
                    self._end_command(at, requests)
                    break
                continue
            line = self._line.take(data, at)
            if line is None:
                return size
            at = data.find(b"\n", at) + 1
            if self._arguments_left:
                self._read_length(line)
            elif line[0] != _ARRAY:
                self._read_inline(line, at, requests)
                break
            else:
                count = number_in(line)
                if count is None or count > ARGUMENT_LIMIT:
                    raise _bad("invalid multibulk length")
                if count <= 0:
                    # Redis ignores an empty array without a reply.
                    self._add_by_verdict(_EMPTY, at, requests)
                    break
                self._arguments_left = count
        return at

    def _read_length(self, line: bytes) -> None:
        """Read the line with the length of an argument."""
        if line[0] != _BULK:
            got = chr(line[0])
            raise _bad(f"expected '$', got '{got if ' ' < got <= '~' else '?'}'")
        length = number_in(line)
        if length is None or not 0 <= length <= self._bulk_limit:
            raise _bad("invalid bulk length")
        self._arguments_left -= 1
        self._block.left = length + 2
        # Only the SPECIAL commands need more words than the name.
        words = self._words
        self._is_word = not words or (len(words) < WORDS and words[0].upper() in SPECIAL)
        if self._is_word:
            self._is_word = length <= WORD_LIMIT
            words.append(b"" if self._is_word else TOO_LONG)

    def _skip_argument(self, data: bytes, at: int) -> int:
        """Return the offset up to which the argument at ``at`` reaches, and keep it if it is one of the words."""
        block = self._block
        if self._is_word:
            # Without the CRLF after the argument.
            came = data[at : at + max(0, block.left - 2)]
            self._words[-1] += came
        end = block.skip(data, at)
        if end < 0:
            raise _bad("no CRLF after a bulk string")
        return end

    def _read_inline(self, line: bytes, end: int, requests: list[Request]) -> None:
        """Read an inline command, which is complete."""
        line = line[:-2] if line.endswith(b"\r\n") else line[:-1]
        if _CONTROL.search(line):
            raise _bad("a control character in an inline command")
        words = line.split()
        if not words:
            self._add_by_verdict(_EMPTY, end, requests)
        elif _QUOTE.search(line):
            # Splitting quoted words is left to the upstream.
            self._add_by_verdict(self._client.judge_quoted(), end, requests)
        else:
            self._words = [word if len(word) <= WORD_LIMIT else TOO_LONG for word in words[:WORDS]]
            self._end_command(end, requests)

    def _end_command(self, end: int, requests: list[Request]) -> None:
        """Append the command whose words are ``_words`` and whose last byte has come."""
        words = self._words
        if words[0].upper() in HTTP_NAMES:
            raise BadMessage("RESP: an HTTP request")
        self._words = []
        client = self._client
        self._add_by_verdict(client.judge(words), end, requests)
        self._examined = _EVERYTHING if client.is_watchful else EXCEPTIONAL

    def _add_by_verdict(self, what: Verdict, end: int, requests: list[Request]) -> None:
        """Append a request that ends at ``end``, with the kind and the answer of the verdict."""
        self._is_busy = False
        kind = what.kind
        if kind is Kind.PLAIN:
            _add_plain(requests, end, 1)
        elif what.name or what.setup is not UNCHANGED or kind is Kind.REPLACED:
            special = SpecialRequest(end, kind, None, 1, what.answer, what.name, what.data, what.setup, what.problem)
            requests.append(special)
        else:
            requests.append(Request(end, kind, answer=what.answer))
        if kind is Kind.QUIT:
            self._has_quit = self._is_busy = True


def _byte_count(pieces: list[bytes]) -> int:
    """Return the number of bytes of ``pieces``, with the CRLF after each."""
    return len(b"\r\n".join(pieces)) + 2


def _add_plain(requests: list[Request], end: int, count: int) -> None:
    """Append ``count`` PLAIN requests, the last of which ends at ``end``; they extend a run that they follow."""
    last = requests[-1] if requests else None
    if last is not None and last.kind is Kind.PLAIN:
        last.end = end
        last.count += count
    else:
        requests.append(Request(end, count=count))
