"""What a health check does, read from the options of a cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from proxymux.core.excerpt import excerpt
from proxymux.errors import BadAddress

#: Checks that need nothing more than their word: a connect, a TLS handshake, or a question of a protocol.
PLAIN: Final = ("tcp", "tls", "resp", "memcache", "mysql", "postgres")
_ESCAPE: Final = re.compile(r"\\(x[0-9A-Fa-f]{2}|.?)", re.DOTALL)
_ESCAPES: Final = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}
_PATH: Final = re.compile(r"/[!-~]*\Z", re.ASCII)
_STATUSES: Final = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """One way to check a target.

    :param kind: one of :data:`PLAIN`, ``http`` or ``send``.
    :param path: of the request, with ``http``.
    :param statuses: the lowest and the highest status that is good, with ``http``.
    :param send: what is sent, with ``send``; may be empty, and may have a password in it.
    :param expect: what the answer, or with ``http`` its body, must have in it; may be empty.
    """

    kind: str
    path: str = ""
    statuses: tuple[int, int] = (200, 399)
    send: bytes = field(default=b"", repr=False)
    expect: bytes = b""


def parse_check(options: Mapping[str, str]) -> CheckSpec | None:
    """Read ``health``, ``status``, ``send`` and ``expect``; None for a cluster whose targets are not checked while up.

    :raises BadAddress: if one is not accepted, or has no meaning beside ``health``; the text says what is.
    """
    health = options.get("health", "off")
    kind, _, path = health.partition(":")
    if health in ("off", *PLAIN, "send"):
        taken = ("send", "expect") if health == "send" else ()
    elif kind == "http" and _PATH.match(path):
        taken = ("status", "expect")
    else:
        words = ", ".join(("off", *PLAIN, "send"))
        raise BadAddress(f"health: {excerpt(health)} is not accepted; {words} and http:/path are")
    for name in ("status", "send", "expect"):
        if name in options and name not in taken:
            raise BadAddress(f"{name}: means nothing with health={health}")
    if health == "off":
        return None
    if health == "send" and not ("send" in options or "expect" in options):
        raise BadAddress("health=send: needs send=TEXT, expect=TEXT or both")
    text = {name: _bytes(name, options.get(name, "")) for name in ("send", "expect")}
    return CheckSpec(kind, path, _statuses(options.get("status", "200-399")), **text)


def _statuses(text: str) -> tuple[int, int]:
    match = _STATUSES.match(text)
    low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if low > high:
        raise BadAddress(f"status: {excerpt(text)} is not accepted; a status or a range such as 200-399 is")
    return low, high


def _bytes(name: str, text: str) -> bytes:
    r"""The bytes of a text in which ``\r``, ``\n``, ``\t``, ``\0``, ``\\`` and ``\xNN`` stand for others."""

    def replaced(match: re.Match[str]) -> str:
        word = match[1]
        if word.startswith("x") and len(word) == 3:
            return chr(int(word[1:], 16))
        if word not in _ESCAPES:
            raise BadAddress(rf"{name}: \{word} is not accepted; \r, \n, \t, \0, \\ and \xNN are")
        return _ESCAPES[word]

    parts: list[bytes] = []
    end = 0
    for match in _ESCAPE.finditer(text):
        parts += (_encoded(name, text[end : match.start()]), replaced(match).encode("latin-1"))
        end = match.end()
    return b"".join([*parts, _encoded(name, text[end:])])


def _encoded(name: str, text: str) -> bytes:
    """The bytes of a text as they were on the command line."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise BadAddress(f"{name}: {excerpt(text)} is not a text in UTF-8; write bytes as \\xNN") from None
