"""Finds the commands in what a memcached client sends."""

from __future__ import annotations

import re
from typing import Any, Final

from proxymux.core.codecs import Kind, Request
from proxymux.core.codecs.limits import Limits
from proxymux.core.codecs.memcache.commands import COMMANDS, KEY_LIMIT, LIKE_STORAGE, OWN, Shape
from proxymux.core.codecs.pieces import Block, PartialLine
from proxymux.errors import BadMessage

_CONTROL: Final = re.compile(rb"[\0-\x1f\x7f]")
#: The flag q of a meta command, with which the server replies only in some cases.  The first byte identifies a flag.
_QUIET: Final = re.compile(rb" q")
#: The first byte of a connection in the binary protocol.
_BINARY: Final = 0x80
#: The most bytes of a line that memcached is sure to take, its end included, but for those with many keys.  After a
#: longer one it may close the connection, which others share.
_LINE_LIMIT: Final = 2048
_MANY_KEYS: Final = (b"get ", b"gets ")
#: The most bytes of user name and password.
_LOGIN_LIMIT: Final = 16384
_UNKNOWN: Final = b"ERROR\r\n"
_BAD_LINE: Final = "bad command line format"


def _error(problem: str) -> bytes:
    return f"CLIENT_ERROR {problem}\r\n".encode("ascii")


def _bad(problem: str) -> BadMessage:
    return BadMessage(f"memcache: {problem}", _error(problem))


class MemcacheRequests:
    """Finds the commands of one client.

    A command that memcached would not understand is answered as memcached does, and the client goes on.  If a value may
    follow on it, the client is closed: nobody knows whether the bytes that come next are the value or commands.

    :param limits: of values, and of lines with many keys.
    :param asks_for_login: no command but the login, a ``set``, goes to an upstream; it is OWN.  On a shared upstream it
        would open memcached to all.
    """

    interim = b""

    def __init__(self, limits: Limits, asks_for_login: bool) -> None:
        self._value_limit = limits.value
        self._asks_for_login = asks_for_login
        self._line = PartialLine(limits.keys, _bad)
        self._value = Block()
        self._has_begun = False
        # Of the current request.
        self._kind = Kind.PLAIN
        self._hint: Shape | None = None
        self._answer = b""
        self._has_quit = False

    def pack(self) -> dict[str, Any] | None:
        return {"has_begun": self._has_begun}

    def unpack(self, packed: dict[str, Any]) -> None:
        self._has_begun = packed["has_begun"]

    @property
    def is_between(self) -> bool:
        return self._has_quit or (not self._value.left and self._line.is_empty)

    def feed(self, data: bytes) -> list[Request]:
        requests: list[Request] = []
        try:
            if not self._has_begun and data:
                self._begin(data)
            self._scan(data, requests)
        except BadMessage as bad:
            bad.finished = requests
            raise
        return requests

    def _begin(self, data: bytes) -> None:
        """Look at the first bytes of the client."""
        self._has_begun = True
        if data[0] == _BINARY:
            raise BadMessage("memcache: the binary protocol, of which nothing is known here; the text protocol is")

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
                    if self._line.size > _LINE_LIMIT and not self._line.begins_with(_MANY_KEYS):
                        raise _bad("line too long")
                    return
                if len(line) > _LINE_LIMIT and not line.startswith(_MANY_KEYS):
                    raise _bad("line too long")
                at = data.find(b"\n", at) + 1
                # memcached accepts LF alone.
                self._read_line(line[:-2] if line.endswith(b"\r\n") else line[:-1])
            if not self._value.left:
                requests.append(Request(at, self._kind, self._hint, answer=self._answer))

    def _read_line(self, line: bytes) -> None:
        """Read a complete command line: kind and hint of the request, and the size of the value that follows."""
        if _CONTROL.search(line):
            raise _bad("a control character")
        self._kind, self._hint, self._answer = Kind.PLAIN, None, b""
        name, _, rest = line.partition(b" ")
        if name == b"quit":
            self._kind, self._has_quit = Kind.QUIT, True
        elif self._asks_for_login:
            self._read_login(name, rest)
        elif name in COMMANDS:
            self._read_command(name, rest)
        elif name in OWN:
            self._kind = Kind.OWN
        else:
            self._refuse_unknown(line)

    def _read_login(self, name: bytes, rest: bytes) -> None:
        """Read the line of a command before the login, which looks like a ``set``."""
        if name == b"set":
            self._read_command(name, rest)
            if self._value.left > _LOGIN_LIMIT + 2:
                raise _bad("auth token too long")
            self._kind, self._hint = Kind.OWN, None
        elif LIKE_STORAGE.fullmatch(name + b" " + rest):
            raise _bad("unauthenticated")
        else:
            self._kind, self._answer = Kind.REFUSED, _error("unauthenticated")

    def _read_command(self, name: bytes, rest: bytes) -> None:
        """Read the line of a command that is known.

        :param rest: what stands behind the name and a blank.
        """
        shape, arguments = COMMANDS[name]
        rest = b" " + rest if rest else b""
        if len(rest) > _LINE_LIMIT and _are_keys(rest):
            self._hint = shape
            return
        found = arguments.fullmatch(rest) if len(rest) <= _LINE_LIMIT else None
        if found is None:
            if "size" in arguments.groupindex:
                raise _bad(_BAD_LINE)
            # memcached does not report a bad line either that ends so.
            is_silent = rest.rstrip().endswith(b" noreply")
            self._kind, self._answer = Kind.REFUSED, b"" if is_silent else _error(_BAD_LINE)
            return
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

    def _refuse_unknown(self, line: bytes) -> None:
        """Answer a command that there is not."""
        if line.rpartition(b" ")[2].startswith(b"HTTP/"):
            raise BadMessage("memcache: an HTTP request")
        if LIKE_STORAGE.fullmatch(line):
            raise BadMessage("memcache: an unknown command that a value may follow", _UNKNOWN)
        self._kind, self._answer = Kind.REFUSED, _UNKNOWN


def _are_keys(words: bytes) -> bool:
    """As the pattern of ``get``, which for very many keys would take a hundred times their memory."""
    return max(map(len, words.split()), default=KEY_LIMIT + 1) <= KEY_LIMIT
