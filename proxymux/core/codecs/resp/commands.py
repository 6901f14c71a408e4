"""The commands of Redis: which may go to a shared upstream, and how the lengths in them are read.

Sources: https://redis.io/docs/latest/commands/ and https://redis.io/docs/latest/develop/reference/protocol-spec/.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from proxymux.core.codecs import Kind
from proxymux.core.setup import UNCHANGED, Setup

#: Lengths of bulk strings up to this one are looked up in :data:`LENGTHS`, which takes a third of the time of parsing.
SMALL: Final = 4096
#: The first line of each small bulk string, without CRLF, and the length that it announces.
LENGTHS: Final = {b"$%d" % length: length for length in range(SMALL + 1)}

_NUMBER: Final = re.compile(rb"(?:0|-?[1-9][0-9]{0,14})\r\n")


def number_in(line: bytes) -> int | None:
    """Return the number between the first byte and the CRLF of ``line``; None if that is no number."""
    return int(line[1:-2]) if _NUMBER.fullmatch(line, 1) else None


#: The most words of a command that are examined, its name included.
WORDS: Final = 32
#: Bytes of the longest word that is examined, which may be a password.
WORD_LIMIT: Final = 512
#: Stands for a longer word.  It is no name, no option and no password.
TOO_LONG: Final = b"\0"


class Verdict(NamedTuple):
    """What becomes of a command; see :class:`~proxymux.core.codecs.SpecialRequest`."""

    kind: Kind
    answer: bytes = b""
    name: str = ""
    data: bytes = b""
    setup: Setup = UNCHANGED
    problem: str = ""


PLAIN: Final = Verdict(Kind.PLAIN)
OWN: Final = Verdict(Kind.OWN)
QUIT: Final = Verdict(Kind.QUIT, b"+OK\r\n")


def answered(reply: bytes) -> Verdict:
    """The verdict that a command is answered here, by ``reply`` without its CRLF."""
    return Verdict(Kind.REFUSED, reply + b"\r\n")


def _script(words: Sequence[bytes]) -> Verdict:
    """SCRIPT: SCRIPT DEBUG changes the state of the connection."""
    return OWN if b"DEBUG" in words[1:2] else PLAIN


#: The options of XREAD and XREADGROUP, and how many words each is with its values.  Redis takes them in any order.
_XREAD_OPTIONS: Final = {b"GROUP": 3, b"COUNT": 2, b"CLAIM": 2, b"NOACK": 1}


def _xread(words: Sequence[bytes]) -> Verdict:
    """XREAD and XREADGROUP: they block with the option BLOCK, which stands before STREAMS.

    A group, a consumer and a stream may have the names of options.  BLOCK may stand behind the words that are examined;
    such a command is OWN, too.
    """
    at = 1
    while at < len(words) and words[at] != b"STREAMS":
        if words[at] == b"BLOCK":
            return OWN
        at += _XREAD_OPTIONS.get(words[at], 1)
    return OWN if at >= len(words) >= WORDS else PLAIN


#: The commands that are not PLAIN, by their names: a verdict, or a function that finds it by the words.  Of those that
#: are PLAIN here :class:`~proxymux.core.codecs.resp.client.RespClient` finds it, by what the client has said before.
SPECIAL: Final[dict[bytes, Verdict | Callable[[Sequence[bytes]], Verdict]]] = {
    # These change the state of their connection.
    b"ASKING": OWN,
    b"AUTH": PLAIN,
    b"CLIENT": PLAIN,
    b"HELLO": PLAIN,
    b"HIMPORT": OWN,
    b"MULTI": OWN,
    b"READONLY": OWN,
    b"READWRITE": OWN,
    b"RESET": PLAIN,
    b"SCRIPT": _script,
    b"SELECT": PLAIN,
    b"WATCH": OWN,
    # These have more than one reply, or none.
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
    # These block, and delay all requests behind them.
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
    # An upstream would close the connection that others share.
    b"QUIT": QUIT,
}

#: The first words of an HTTP request that a web page made a browser send to Redis.  Redis closes such a connection, and
#: the codec refuses it.
HTTP_NAMES: Final = frozenset((b"POST", b"HOST:"))
#: The names of the commands that are not PLAIN, or may not be.
EXCEPTIONAL: Final = HTTP_NAMES.union(SPECIAL)


#: The name of an inline command with quotes, for logs.
QUOTED: Final = "a command with quotes"
#: The commands on which those after them depend: who goes on after a refusal would be misunderstood, so the client is
#: closed.  After SELECT others go to another database, after AUTH to another user's rights, after SCRIPT DEBUG they are
#: to be undone, after CLIENT REPLY they have no replies; and a command with quotes may be any of these.
CLOSING: Final = frozenset(("AUTH", "CLIENT REPLY", "HELLO", "SCRIPT", "SELECT", QUOTED))


def verdict(words: Sequence[bytes]) -> Verdict:
    """Return the verdict on a command that only depends on its words.

    :param words: the command's name and first arguments, at most :data:`WORDS`, in upper case; those longer than
        :data:`WORD_LIMIT` are :data:`TOO_LONG`.
    """
    rule = SPECIAL.get(words[0], PLAIN)
    return rule if isinstance(rule, Verdict) else rule(words)
