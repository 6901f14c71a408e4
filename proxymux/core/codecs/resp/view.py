"""What a router sees of a Redis command: its name and its keys."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final

from proxymux.core.codecs.resp.commands import LENGTHS
from proxymux.core.codecs.resp.key_rules import positions
from proxymux.core.codecs.resp.key_table import CONTAINERS, ONE, rules_of
from proxymux.core.codecs.resp.one_key import ALONE, BEGINNING, KNOWN
from proxymux.core.codecs.resp.splitting import CROSSED, SPLIT, is_complete, part_of, split
from proxymux.core.codecs.resp.words import MOST_WORDS, CommandWords, as_array
from proxymux.core.codecs.view import RequestView, SplitRequest

_NO_WORDS: Final = CommandWords(b"*0\r\n")


class RespView(RequestView):
    """One Redis command.

    :param data: a whole command, as the request scanner found it.
    """

    codec = "resp"
    # Of the class while nothing has been parsed: the router of a pool may ask for neither.
    _command: str | None = None
    _keys: tuple[bytes, ...] | None = None
    _words: CommandWords | None = None
    _positions: Sequence[int] = ()

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def command(self) -> str | None:
        if self._command is None:
            self._read()
        return self._command or None

    @property
    def key(self) -> bytes | None:
        keys = self._keys or self.keys
        return keys[0] if keys else None

    @property
    def keys(self) -> tuple[bytes, ...]:
        if self._keys is None and self._command is None:
            self._read()
        if self._keys is None:
            self._read_keys()
        assert self._keys is not None
        return self._keys

    def note_key(self, key: bytes) -> None:
        self._keys = (key,)

    def _read(self) -> None:
        """Set the command, and the keys of one that is written in the usual way."""
        pieces = self.data[:BEGINNING].split(b"\r\n", 5)
        if len(pieces) == 6:
            known = KNOWN.get(pieces[2]) or ALONE.get((pieces[0], pieces[2]))
            if known is not None and known[0] == pieces[1] and LENGTHS.get(pieces[3]) == len(pieces[4]):
                self._command = known[1]
                self._keys = (pieces[4],)
                return
        words = CommandWords(as_array(self.data), 1)
        self._command = words[0].upper().decode("latin-1") if words else ""

    def _read_keys(self) -> CommandWords:
        """Set the keys by all words, which are returned."""
        if self._words is None:
            data = as_array(self.data)
            name = (self.command or "").encode("latin-1")
            rules = rules_of(name, CommandWords(data, 2)[-1].upper() if name in CONTAINERS else b"")
            self._words = CommandWords(data, 2 if rules is ONE else MOST_WORDS) if rules else _NO_WORDS
            self._positions = positions(rules, self._words)
            self._keys = tuple(self._words.at(self._positions))
        return self._words

    @property
    def can_split(self) -> bool:
        return len(self.keys) > 1 and self._command in SPLIT and is_complete(self._command, self._read_keys())

    def of_key(self, position: int) -> RespView:
        words = self._read_keys()
        return RespView(part_of(self.command or "", words, [self._positions[position]]))

    def split(self, places: Sequence[Hashable]) -> SplitRequest:
        words = self._read_keys()
        return split(self.data, self.command or "", words, self._positions, places)

    @property
    def crossed(self) -> bytes:
        return CROSSED
