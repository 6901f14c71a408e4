"""Redis commands with one key, which most are: that key at a glance, as a pool that shards wants it of every request.

For a command that is written in the usual way a dictionary and one split of the first bytes are enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from proxymux.core.codecs.resp.commands import EXCEPTIONAL, LENGTHS
from proxymux.core.codecs.resp.key_rules import FixedRule
from proxymux.core.codecs.resp.key_table import KEY_TABLE, ONE

_ARRAY: Final = 42  # *
#: Bytes of a command that are looked at.  One with a longer key is not told at a glance.
BEGINNING: Final = 512
#: The most bytes that are split at once.
_WINDOW: Final = 1 << 16
#: The first line of each small command, and how many pieces it is split into at CRLF: that line, and two for each word.
_PIECES: Final = {b"*%d" % count: 2 * count + 1 for count in range(1, 65)}
_PIECES_OF_NAME: Final = 3
#: By the name of a command with one key, in upper and in lower case: the line with its length, and the name as text.
KNOWN: Final = {
    spelt: (b"$%d" % len(name), name.decode("ascii"))
    for name, rules in KEY_TABLE.items()
    if rules is ONE
    for spelt in (name, name.lower())
}
#: The same of commands with any number of keys, by the first line that they have with one key, and the name.
ALONE: Final = {
    (b"*%d" % (1 + step), spelt): (b"$%d" % len(name), name.decode("ascii"))
    for step in (1, 2)
    for name, rules in KEY_TABLE.items()
    if list(rules) == [FixedRule(1, -1, step)]
    for spelt in (name, name.lower())
}
#: The names, and first lines with names, of those of them that need not be examined.
_ONE_KEY: Final = frozenset(name for name in KNOWN if name.upper() not in EXCEPTIONAL)
_ONE_KEY_ALONE: Final = frozenset(both for both in ALONE if both[1].upper() not in EXCEPTIONAL)


def key_of(data: bytes) -> bytes | None:
    """The key of a command that has one and is written in the usual way; None says nothing.

    :param data: one whole command.
    """
    # 0.4 µs; what does not fit raises or compares unequal.
    try:
        first, length, name, key_length, key, _ = data[:BEGINNING].split(b"\r\n", 5)
    except ValueError:
        return None
    known = KNOWN.get(name) or ALONE.get((first, name))
    if known is not None and known[0] == length and LENGTHS.get(key_length) == len(key):
        return key
    return None


def cut_run(data: bytes) -> list[tuple[int, bytes | None]]:
    """Where each of several commands ends, and its key as of :func:`key_of`.

    :param data: whole commands.
    """
    found: list[tuple[int, bytes | None]] = []
    at, size = 0, len(data)
    while at < size:
        # No bytes are split twice: what stands behind a command that is not small is walked through.
        until = min(at + _WINDOW, size)
        at = _cut_small(data[at:until], at, found)
        while at < until:
            end = _end_of(data, at)
            found.append((end, key_of(data[at:end])))
            at = end
    return found


def _cut_small(data: bytes, end: int, found: list[tuple[int, bytes | None]]) -> int:
    """Add the small commands at the beginning, and return where they end.  It takes half the time of the other way.

    :param end: the offset of ``data`` in the run.
    """
    pieces = data.split(b"\r\n")
    lengths, known, alone = LENGTHS, KNOWN, ALONE
    at, last = 0, len(pieces) - 1
    while True:
        first = pieces[at]
        after = at + _PIECES.get(first, last + 1)
        if after > last:
            return end
        size = len(first) + 2 * (after - at)
        for place in range(at + 1, after, 2):
            line = pieces[place]
            length = lengths.get(line)
            if length != len(pieces[place + 1]):
                return end
            size += len(line) + length
        end += size
        name = pieces[at + 2]
        has_one = (name in known and after - at > _PIECES_OF_NAME) or (first, name) in alone
        found.append((end, pieces[at + 4] if has_one else None))
        at = after


def cut_keyed(data: bytes, lengths: Mapping[bytes, int]) -> tuple[list[int], list[bytes]] | None:
    """Where each of several small commands ends, and its key, if each has one and none is to be examined.

    :param lengths: those of :data:`~proxymux.core.codecs.resp.commands.LENGTHS` that an argument may have.
    :returns: None if that cannot be told at a glance, or the last is not whole.
    """
    pieces = data.split(b"\r\n")
    ends: list[int] = []
    keys: list[bytes] = []
    end = at = 0
    last = len(pieces) - 1
    while at < last:
        first = pieces[at]
        after = at + _PIECES.get(first, last + 1)
        if after > last:
            return None
        name = pieces[at + 2]
        if (name not in _ONE_KEY or after - at <= _PIECES_OF_NAME) and (first, name) not in _ONE_KEY_ALONE:
            return None
        end += len(first) + 2 * (after - at)
        for place in range(at + 1, after, 2):
            line = pieces[place]
            length = lengths.get(line)
            if length != len(pieces[place + 1]):
                return None
            end += len(line) + length
        ends.append(end)
        keys.append(pieces[at + 4])
        at = after
    return None if pieces[last] else (ends, keys)


def _end_of(data: bytes, at: int) -> int:
    """The end of the command at an offset."""
    end = data.index(b"\n", at) + 1
    if data[at] == _ARRAY:
        for _ in range(int(data[at + 1 : end])):
            start = data.index(b"\r\n", end)
            line = data[end:start]
            end = start + 4 + (LENGTHS[line] if line in LENGTHS else int(line[1:]))
    return end
