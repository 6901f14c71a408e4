"""How the keys of a Redis command are found among its words: by the kinds of rules that Redis's command table has.

Positions are those of words; the command's name is at 0.  A rule that does not fit the words finds None: Redis answers
such a command with an error, wherever it is sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

_NUMBER: Final = re.compile(rb"[1-9][0-9]{0,9}")


class KeyRule(Protocol):
    """Finds some of the keys of a command."""

    def find(self, words: Sequence[bytes]) -> range | None:
        """The positions of the keys, in their order; None if the command is not valid."""


class FixedRule(NamedTuple):
    """Keys at fixed positions.

    :param first: of the first key.
    :param last: of the last one at most; 0 is ``first``, and -1 the last word of the command.
    :param step: from one to the next.
    """

    first: int
    last: int = 0
    step: int = 1

    def find(self, words: Sequence[bytes]) -> range | None:
        last = len(words) + self.last if self.last < 0 else self.last or self.first
        return range(self.first, last + 1, self.step) if self.first <= last < len(words) else None


class CountedRule(NamedTuple):
    """Keys behind a word that says how many they are.

    :param at: of that word.
    :param step: from one key to the next.
    """

    at: int
    step: int = 1

    def find(self, words: Sequence[bytes]) -> range | None:
        number = words[self.at] if self.at < len(words) else b""
        if not _NUMBER.fullmatch(number):
            return None
        found = range(self.at + 1, self.at + 1 + self.step * int(number), self.step)
        return found if found[-1] < len(words) else None


class OptionRule(NamedTuple):
    """A key behind an option, which may be absent; of several equal options the last counts.

    :param name: of the option.
    :param first: where options begin.
    :param skipped: how many words of their own the other options have, which may look like the name.
    """

    name: bytes
    first: int
    skipped: Mapping[bytes, int]

    def find(self, words: Sequence[bytes]) -> range | None:
        found = range(0)
        at = self.first
        while at < len(words) - 1:
            word = words[at].upper()
            if word == self.name:
                found = range(at + 1, at + 2)
                at += 1
            at += 1 + self.skipped.get(word, 0)
        return found


class StreamsRule(NamedTuple):
    """The keys of XREAD and XREADGROUP: the first half of what follows STREAMS.

    :param skipped: how many words of their own the options before it have.
    """

    skipped: Mapping[bytes, int]

    def find(self, words: Sequence[bytes]) -> range | None:
        at = 1
        while at < len(words):
            word = words[at].upper()
            at += 1 + self.skipped.get(word, 0)
            if word == b"STREAMS":
                count = (len(words) - at) // 2
                return range(at, at + count) if count else None
        return None


class MigrateRule(NamedTuple):
    """The keys of MIGRATE: the third argument, or if that is empty, all that follow KEYS.

    :param skipped: how many words of their own the options before KEYS have.
    """

    skipped: Mapping[bytes, int]

    def find(self, words: Sequence[bytes]) -> range | None:
        if len(words) < 6:
            return None
        at = 6
        while at < len(words):
            word = words[at].upper()
            at += 1 + self.skipped.get(word, 0)
            if word == b"KEYS":
                return None if words[3] or at == len(words) else range(at, len(words))
        return range(3, 4)


def positions(rules: Sequence[KeyRule], words: Sequence[bytes]) -> list[int]:
    """The positions of a command's keys by all of its rules; none if one of them finds the command not valid."""
    found: list[int] = []
    for rule in rules:
        some = rule.find(words)
        if some is None:
            return []
        found += some
    return found
