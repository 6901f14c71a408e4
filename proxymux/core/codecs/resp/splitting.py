"""Redis commands for several keys: cut into a command for each place, and their replies joined.

``MSET`` over several places is not atomic, as it is on one server: others may see some of the keys set and some not,
and if a part fails, what the other parts have set stays set.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final

from proxymux.core.codecs.resp.commands import LENGTHS
from proxymux.core.codecs.resp.words import CommandWords
from proxymux.core.codecs.view import Joining, NotJoined, Part, SplitRequest, positions_of

#: What Redis Cluster answers where keys of one command are in different places.
CROSSED: Final = b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"
_UNLIKE: Final = b"-ERR a part of the command has a reply that cannot be joined with the others\r\n"
_ERRORS: Final = (b"-", b"!")
_BULK: Final = 36  # $
#: Types that are one line: simple string, error, integer, null, boolean, double, big number.
_ONE_LINE: Final = frozenset(b"+-:_#,(")
#: Types that have a length and data: bulk string, bulk error, verbatim string.
_WITH_DATA: Final = frozenset(b"$!=")


class _Values:
    """Joins the arrays of MGET."""

    def __init__(self) -> None:
        self._values: dict[int, bytes] = {}

    def add(self, part: Part, reply: bytes) -> None:
        head = b"*%d\r\n" % len(part.positions)
        values = _values_in(reply, len(head)) if reply.startswith(head) else []
        if len(values) != len(part.positions):
            raise NotJoined(_UNLIKE)
        self._values.update(zip(part.positions, values, strict=True))

    def joined(self) -> Iterable[bytes]:
        yield b"*%d\r\n" % len(self._values)
        for position in range(len(self._values)):
            yield self._values[position]


class _Sum:
    """Adds the numbers of DEL, UNLINK, EXISTS and TOUCH."""

    def __init__(self) -> None:
        self._sum = 0

    def add(self, part: Part, reply: bytes) -> None:
        if not reply.startswith(b":"):
            raise NotJoined(_UNLIKE)
        self._sum += int(reply[1:])

    def joined(self) -> Iterable[bytes]:
        yield b":%d\r\n" % self._sum


class _Ok:
    """Of MSET every part has to have the same reply."""

    def add(self, part: Part, reply: bytes) -> None:
        if reply != b"+OK\r\n":
            raise NotJoined(_UNLIKE)

    def joined(self) -> Iterable[bytes]:
        yield b"+OK\r\n"


class _WithErrors:
    """An error reply to any part is the reply to all."""

    def __init__(self, joining: Joining) -> None:
        self._joining = joining
        self.joined = joining.joined

    def add(self, part: Part, reply: bytes) -> None:
        if reply.startswith(_ERRORS):
            raise NotJoined(reply)
        self._joining.add(part, reply)


#: What joins the replies, by the command.
SPLIT: Final[dict[str, Callable[[], Joining]]] = {
    "MGET": _Values,
    "MSET": _Ok,
    "DEL": _Sum,
    "UNLINK": _Sum,
    "EXISTS": _Sum,
    "TOUCH": _Sum,
}
#: How many words belong to a key, itself included.
_WIDTHS: Final = {"MSET": 2}


def is_complete(command: str, words: CommandWords) -> bool:
    """True if all words of a command of :data:`SPLIT` are known, and those of its last key are there.

    Redis answers one of which some are missing with an error.
    """
    return words.are_all and not (len(words) - 1) % _WIDTHS.get(command, 1)


def part_of(command: str, words: CommandWords, keys: Sequence[int]) -> bytes:
    """The same command for some of its keys.

    :param keys: the positions of their words.
    """
    width = _WIDTHS.get(command, 1)
    head = b"*%d\r\n" % (1 + width * len(keys))
    return b"".join([head, *words.bulks([0]), *words.bulks(keys, width)])


def split(
    data: bytes, command: str, words: CommandWords, keys: Sequence[int], places: Sequence[Hashable]
) -> SplitRequest:
    """Cut a command of :data:`SPLIT`; one whose keys have all the same place stays as it is.

    :param data: the command.
    :param keys: the positions of its keys.
    :param places: where each of these goes.
    """
    groups = positions_of(places)
    if len(groups) == 1:
        return SplitRequest([Part(places[0], data, range(len(places)))], None)
    parts = [
        Part(place, part_of(command, words, [keys[position] for position in group]), group)
        for place, group in groups.items()
    ]
    return SplitRequest(parts, _WithErrors(SPLIT[command]()))


def _values_in(reply: bytes, at: int) -> list[bytes]:
    """The values in an array from an offset on; none if they are not such as MGET has, or not whole."""
    values: list[bytes] = []
    size, lengths = len(reply), LENGTHS
    while at < size:
        end = reply.find(b"\r\n", at)
        kind = reply[at]
        length = lengths.get(reply[at:end]) if kind == _BULK else None
        if length is None:
            number = reply[at + 1 : end]
            if kind in _ONE_LINE or number == b"-1":
                length = -2
            elif kind in _WITH_DATA and number.isdigit():
                length = int(number)
            else:
                return []
        if end < 0 or end + length + 4 > size:
            return []
        end += length + 4
        values.append(reply[at:end])
        at = end
    return values
