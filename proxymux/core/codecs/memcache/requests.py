"""Finds the commands in what a memcached client sends."""

from __future__ import annotations

import re
from typing import Final

from proxymux.core.codecs import LINE_LIMIT, Kind, Request
from proxymux.core.codecs.memcache.commands import COMMANDS, Shape
from proxymux.core.codecs.pieces import Block, PartialLine
from proxymux.errors import BadMessage

_CONTROL: Final = re.compile(rb"[\0-\x1f\x7f]")
#: The flag q of a meta command, with which the server replies only in some cases.  The first byte identifies a flag.
_QUIET: Final = re.compile(rb" q")


def _bad(problem: str) -> BadMessage:
    return BadMessage(f"memcache: {problem}", f"CLIENT_ERROR {problem}\r\n".encode("ascii"))


class MemcacheRequests:
    """Finds the commands of one client.

    Commands that are not in :data:`COMMANDS` are OWN, as their replies are unknown.

    :param value_limit: the most bytes of a value.
    """

    interim = b""

    def __init__(self, value_limit: int) -> None:
        self._value_limit = value_limit
        self._line = PartialLine(LINE_LIMIT, _bad)
        self._value = Block()
        # Kind and hint of the current request.
        self._kind = Kind.PLAIN
        self._hint: Shape | None = None
        self._has_quit = False

    @property
    def is_between(self) -> bool:
        return self._has_quit or (not self._value.left and self._line.is_empty)

    def feed(self, data: bytes) -> list[Request]:
        requests: list[Request] = []
        try:
            self._scan(data, requests)
        except BadMessage as bad:
            bad.finished = requests
            raise
        return requests

    def _scan(self, data: bytes, requests: list[Request]) -> None:
        at, size = 0, len(data)
        while at < size and not self._has_quit:
            if self._value.left:
                at = self._value.skip(data, at)
                if at < 0:
                    raise _bad("bad data chunk")
            else:
                line = self._line.take(data, at)
                if line is None:
                    return
                at = data.find(b"\n", at) + 1
                # memcached accepts LF alone.
                self._read_line(line[:-2] if line.endswith(b"\r\n") else line[:-1])
            if not self._value.left:
                requests.append(Request(at, self._kind, self._hint))

    def _read_line(self, line: bytes) -> None:
        """Read a complete command line: kind and hint of the request, and the size of the value that follows."""
        if _CONTROL.search(line):
            raise _bad("a control character")
        self._kind, self._hint = Kind.PLAIN, None
        name, _, rest = line.partition(b" ")
        if name == b"quit":
            self._kind, self._has_quit = Kind.QUIT, True
            return
        command = COMMANDS.get(name)
        if command is None:
            self._kind = Kind.OWN
            return
        shape, arguments = command
        found = arguments.fullmatch(b" " + rest if rest else b"")
        if found is None:
            raise _bad("bad command line format")
        groups = found.groupdict()
        size = int(groups.get("size") or 0)
        if size > self._value_limit:
            raise _bad("too large")
        if "size" in groups:
            self._value.left = size + 2
        if groups.get("noreply"):
            self._kind = Kind.SILENT
        elif _QUIET.search(groups.get("flags") or b""):
            self._kind = Kind.OWN
        else:
            self._hint = shape
