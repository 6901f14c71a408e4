"""Keys: the bytes that a terminal sends, as names."""

from __future__ import annotations

import codecs
import re
from typing import Final

#: What terminals send for keys that are no characters, behind the ESC.
_SEQUENCES: Final = {
    **{
        f"{lead}{letter}": name
        for lead in "[O"
        for letter, name in zip("ABHF", ("up", "down", "home", "end"), strict=True)
    },
    **{
        f"[{code}~": name
        for code, name in {1: "home", 4: "end", 5: "page up", 6: "page down", 7: "home", 8: "end"}.items()
    },
    "[Z": "back tab",
}
_CHARACTERS: Final = {"\r": "enter", "\n": "enter", "\t": "tab", "\x7f": "backspace", "\b": "backspace"}
#: One sequence of control characters, whole: CSI or SS3.
_WHOLE: Final = re.compile(r"\[[0-?]*[ -/]*[@-~]|O[ -~]")
#: The beginning of one.
_BEGUN: Final = re.compile(r"(\[[0-?]*[ -/]*|O)?\Z")
#: The most characters of a sequence.
_LONGEST: Final = 32


class Keys:
    """Makes keys of bytes, which may come in any pieces.

    A key is a character, or a name of more letters: ``up``, ``down``, ``home``, ``end``, ``page up``, ``page down``,
    ``enter``, ``tab``, ``back tab``, ``backspace``, ``escape``.  Other control characters and sequences are left out.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    @property
    def is_within(self) -> bool:
        """True if a sequence has begun, or an ESC was pressed."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[str]:
        """The keys that are whole now."""
        text, self._rest = self._rest + self._decoder.decode(data), ""
        keys, at = [], 0
        while at < len(text):
            if text[at] != "\x1b":
                keys.append(_CHARACTERS.get(text[at], text[at]))
                at += 1
                continue
            whole = _WHOLE.match(text, at + 1)
            if whole is not None:
                keys.append(_SEQUENCES.get(whole[0], ""))
                at = whole.end()
            elif _BEGUN.match(text, at + 1) and len(text) - at < _LONGEST:
                self._rest = text[at:]
                break
            else:
                keys.append("escape")
                at += 1
        return [key for key in keys if key.isprintable() and key]

    def finish(self) -> list[str]:
        """The keys of what has come, if no more belongs to it: ESC was the key."""
        self._rest = ""
        return ["escape"]
