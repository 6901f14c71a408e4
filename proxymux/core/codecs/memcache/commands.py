"""The memcached commands that may go to a shared upstream: their syntax, and the shape of their replies."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from typing import Final


class Shape(enum.Enum):
    """The form of the reply to a command.  Any command may get a one-line error instead."""

    #: VALUE lines with their data, then END.
    VALUES = "values"
    #: Lines that begin with STAT, ITEM or PREFIX, then END; or one line of another kind.
    STATS = "stats"
    #: One line; if it begins with VA, a value of the size in it follows.
    META = "meta"
    #: One line.
    LINE = "line"


#: A byte of a word.  Words are separated by blanks.  Other white space and control characters, for which memcached has
#: no rule, are not allowed.
WORD: Final = rb"[^\0- \x7f]"
#: The most bytes of a key.
KEY_LIMIT: Final = 250
_KEY: Final = rb" +%b{1,%d}" % (WORD, KEY_LIMIT)
_NUMBER: Final = rb" +[0-9]{1,20}"
_SIGNED: Final = rb" +-?[0-9]{1,20}"
_SIZE: Final = rb" +(?P<size>[0-9]{1,10})"
_FLAGS: Final = rb"(?P<flags>(?: +%b{1,250})*)" % WORD
_NOREPLY: Final = rb"(?P<noreply> +noreply)?"

#: Commands whose replies nobody can tell, or that are an administrator's: their clients get an upstream alone.
OWN: Final = frozenset(
    b"cache_memlimit debugitem debugtime extstore lru lru_crawler misbehave refresh_certs shutdown slabs watch".split()
)
#: The line of an unknown command that may be followed by a value: it looks like one of ``set``, ``cas`` or ``ms``.
LIKE_STORAGE: Final = re.compile(
    rb"%b+%b%b%b%b(?:%b)?%b *|m%b%b%b%b *"
    % (WORD, _KEY, _NUMBER, _SIGNED, _NUMBER, _NUMBER, _NOREPLY, WORD, _KEY, _NUMBER, _FLAGS)
)

#: Names of commands, the shape of their replies, and the syntax of their arguments.
_LINES: Final = (
    (b"get gets", Shape.VALUES, rb"(?:%b)+" % _KEY),
    (b"gat gats", Shape.VALUES, rb"%b(?:%b)+" % (_SIGNED, _KEY)),
    (b"set add replace append prepend", Shape.LINE, _KEY + _NUMBER + _SIGNED + _SIZE + _NOREPLY),
    (b"cas", Shape.LINE, _KEY + _NUMBER + _SIGNED + _SIZE + _NUMBER + _NOREPLY),
    (b"delete", Shape.LINE, _KEY + rb"(?: +0)?" + _NOREPLY),
    (b"incr decr", Shape.LINE, _KEY + _NUMBER + _NOREPLY),
    (b"touch", Shape.LINE, _KEY + _SIGNED + _NOREPLY),
    (b"flush_all", Shape.LINE, rb"(?:%b)?" % _SIGNED + _NOREPLY),
    (b"verbosity", Shape.LINE, _NUMBER + _NOREPLY),
    (b"version", Shape.LINE, b""),
    (b"stats", Shape.STATS, rb"(?: +%b{1,250})*" % WORD),
    (b"mn", Shape.META, b""),
    (b"mg md ma me", Shape.META, _KEY + _FLAGS),
    (b"ms", Shape.META, _KEY + _SIZE + _FLAGS),
)


def _commands() -> Iterator[tuple[bytes, tuple[Shape, re.Pattern[bytes]]]]:
    for names, shape, arguments in _LINES:
        pattern = re.compile(arguments + rb" *")
        for name in names.split():
            yield name, (shape, pattern)


#: For each command the shape of its reply, and the pattern of its line behind the name.  The groups of the pattern are
#: ``size`` of the value that follows, ``flags`` of a meta command, and ``noreply``.
COMMANDS: Final = dict(_commands())
