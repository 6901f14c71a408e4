"""The commands of Redis: how the numbers in them are read, and which may share an upstream.

Sources: https://redis.io/docs/latest/commands/ and https://redis.io/docs/latest/develop/reference/protocol-spec/.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from proxymux.core.codecs import Kind

#: Bytes of the bulk strings whose lengths are looked up; a look-up takes a third of the time that reading takes.
SMALL: Final = 4096
#: The beginnings of small bulk strings, and their lengths.
LENGTHS: Final = {b"$%d" % length: length for length in range(SMALL + 1)}

_NUMBER: Final = re.compile(rb"(?:0|-?[1-9][0-9]{0,14})\r\n")


def number_in(line: bytes) -> int | None:
    """The number after the first byte of a line that ends with CRLF; None if no number is all there is."""
    return int(line[1:-2]) if _NUMBER.fullmatch(line, 1) else None


#: Words of a command that are looked at, at most, its name included.
WORDS: Final = 32
#: Bytes of a word that is looked at; longer ones are taken for empty.  The longest name there is has 20.
WORD_LIMIT: Final = 32

#: What to do with a command, and what to answer if no upstream gets it.
Verdict = tuple[Kind, bytes]
PLAIN: Final[Verdict] = (Kind.PLAIN, b"")
OWN: Final[Verdict] = (Kind.OWN, b"")
QUIT: Final[Verdict] = (Kind.QUIT, b"+OK\r\n")
_DONE: Final[Verdict] = (Kind.REFUSED, b"+OK\r\n")


def _client(words: Sequence[bytes]) -> Verdict:
    """CLIENT: all but the administrator's commands are about the connection, or set it up."""
    which = words[1] if len(words) > 1 else b""
    if which == b"SETINFO":
        # Client libraries say on every new connection what they are.  It is the name of an upstream to nobody.
        return _DONE
    return PLAIN if which in (b"LIST", b"KILL", b"PAUSE", b"UNPAUSE") else OWN


def _script(words: Sequence[bytes]) -> Verdict:
    """SCRIPT: its debugger is switched on for the connection."""
    return OWN if b"DEBUG" in words[1:2] else PLAIN


def _xread(words: Sequence[bytes]) -> Verdict:
    """XREAD and XREADGROUP: they wait if an option before STREAMS says so.

    Options may be said again, so that BLOCK may be beyond the words that are looked at.
    """
    if b"STREAMS" not in words:
        return OWN if len(words) >= WORDS or b"BLOCK" in words else PLAIN
    return OWN if b"BLOCK" in words[: words.index(b"STREAMS")] else PLAIN


#: The commands that are not simply passed on, by their names.
SPECIAL: Final[dict[bytes, Verdict | Callable[[Sequence[bytes]], Verdict]]] = {
    # They change the state of their connection.
    b"ASKING": OWN,
    b"AUTH": OWN,
    b"HELLO": OWN,
    b"MULTI": OWN,
    b"READONLY": OWN,
    b"READWRITE": OWN,
    b"RESET": OWN,
    b"SELECT": OWN,
    b"WATCH": OWN,
    # They have more replies than one, or none.
    b"MONITOR": OWN,
    b"PSUBSCRIBE": OWN,
    b"PSYNC": OWN,
    b"PUNSUBSCRIBE": OWN,
    b"REPLCONF": OWN,
    b"SHUTDOWN": OWN,
    b"SSUBSCRIBE": OWN,
    b"SUBSCRIBE": OWN,
    b"SUNSUBSCRIBE": OWN,
    b"SYNC": OWN,
    b"UNSUBSCRIBE": OWN,
    # They wait, and all that is behind them with them.
    b"BLMOVE": OWN,
    b"BLMPOP": OWN,
    b"BLPOP": OWN,
    b"BRPOP": OWN,
    b"BRPOPLPUSH": OWN,
    b"BZMPOP": OWN,
    b"BZPOPMAX": OWN,
    b"BZPOPMIN": OWN,
    b"DEBUG": OWN,
    b"FAILOVER": OWN,
    b"WAIT": OWN,
    b"WAITAOF": OWN,
    b"XREAD": _xread,
    b"XREADGROUP": _xread,
    # It depends.
    b"CLIENT": _client,
    b"SCRIPT": _script,
    # An upstream would close its connection, to the harm of all who share it.
    b"QUIT": QUIT,
}

#: The names that tell a browser that was lured into talking to Redis: it closes the connection, and so do we.
HTTP_NAMES: Final = frozenset((b"POST", b"HOST:"))


def verdict(words: Sequence[bytes]) -> Verdict:
    """What to do with a command.

    :param words: its name and the first arguments, :data:`WORDS` at most, in upper case; empty for those that are
        longer than :data:`WORD_LIMIT`.
    """
    rule = SPECIAL.get(words[0], PLAIN)
    return rule if isinstance(rule, tuple) else rule(words)
