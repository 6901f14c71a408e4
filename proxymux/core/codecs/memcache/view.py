"""What a router sees of a memcached command: its name and its keys."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Hashable, Sequence
from typing import Final

from proxymux.core.codecs.memcache.commands import KEY_LIMIT
from proxymux.core.codecs.memcache.splitting import CROSSED, part_of, split
from proxymux.core.codecs.view import RequestView, SplitRequest

#: Where the keys begin in the commands with any number of them.
_MANY_KEYS: Final = {b"get": 1, b"gets": 1, b"gat": 2, b"gats": 2}
#: The commands with one key, as their first argument.
_ONE_KEY: Final = frozenset(b"set add replace append prepend cas delete incr decr touch".split())
#: The same of those that may have no other argument.
_ALONE: Final = frozenset((b"get", b"gets", b"delete"))
#: Where the flags of the meta commands begin, which have one key as their first argument.
_META: Final = {b"mg": 2, b"md": 2, b"ma": 2, b"me": 2, b"ms": 3}
_IN_BASE64: Final = b"b"
#: More bytes than name and key have, unless there are many blanks.
_BEGINNING: Final = 2 * KEY_LIMIT


def key_of(data: bytes) -> bytes | None:
    """The key of a command that has one and is written in the usual way; None says nothing.

    :param data: one whole command.
    """
    words = data[:_BEGINNING].split(None, 2)
    if len(words) == 3:
        return words[1] if words[0] in _ONE_KEY else None
    return words[1] if len(words) == 2 and words[0] in _ALONE and len(data) <= _BEGINNING else None


class MemcacheView(RequestView):
    """One memcached command.

    :param data: a whole command, as the request scanner found it.
    """

    codec = "memcache"
    _words: Sequence[bytes] | None = None
    _keys: tuple[bytes, ...] | None = None

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def command(self) -> str | None:
        words = self._line()
        return words[0].upper().decode("latin-1") if words else None

    @property
    def keys(self) -> tuple[bytes, ...]:
        if self._keys is None:
            self._keys = tuple(_keys_in(self._line()))
        return self._keys

    def _line(self) -> Sequence[bytes]:
        """The words of the command line."""
        if self._words is None:
            self._words = self.data[: self.data.index(b"\n")].split()
        return self._words

    @property
    def can_split(self) -> bool:
        return len(self.keys) > 1

    def of_key(self, position: int) -> MemcacheView:
        words = self._line()
        return MemcacheView(part_of(words[: _MANY_KEYS[words[0]]], [self.keys[position]]))

    def split(self, places: Sequence[Hashable]) -> SplitRequest:
        words = self._line()
        return split(self.data, words[: _MANY_KEYS[words[0]]], self.keys, places)

    @property
    def crossed(self) -> bytes:
        return CROSSED


def _keys_in(words: Sequence[bytes]) -> Sequence[bytes]:
    name = words[0] if words else b""
    if name in _MANY_KEYS:
        return words[_MANY_KEYS[name] :]
    if name in _ONE_KEY:
        return words[1:2]
    if name in _META:
        is_encoded = any(flag.startswith(_IN_BASE64) for flag in words[_META[name] :])
        return [_decoded(key) for key in words[1:2]] if is_encoded else words[1:2]
    return ()


def _decoded(key: bytes) -> bytes:
    """The key that is meant; one that is not valid, which memcached refuses, is as it is."""
    try:
        return base64.b64decode(key, validate=True)
    except binascii.Error:
        return key
