"""Memcached's ``get``, ``gets``, ``gat`` and ``gats``: cut into a command for each place, and the values joined."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Final

from proxymux.core.codecs.view import NotJoined, Part, SplitRequest, positions_of

#: No command has several keys and cannot be split; a router may have answered so that its parts cannot be joined.
CROSSED: Final = b"SERVER_ERROR keys of one command are in different places\r\n"
_UNLIKE: Final = b"SERVER_ERROR a part of the command has a reply that cannot be joined with the others\r\n"
_ERROR: Final = re.compile(rb"(?:ERROR|(?:CLIENT|SERVER)_ERROR [^\n]*)\r\n")
_VALUE: Final = re.compile(rb"VALUE ([^ \r\n]+) [0-9]+ ([0-9]{1,10})(?: [0-9]+)?\r\n")
_END: Final = b"END\r\n"


class _Values:
    """Joins the values, in the order of the keys; those that a server does not have are left out.

    :param keys: of the whole command.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = keys
        self._values: dict[int, bytes] = {}

    def add(self, part: Part, reply: bytes) -> None:
        if _ERROR.fullmatch(reply):
            raise NotJoined(reply)
        # A server answers in the order of the keys.
        positions = iter(part.positions)
        at = 0
        for key, end in _values(reply):
            for position in positions:
                if self._keys[position] == key:
                    self._values[position] = reply[at:end]
                    break
            else:
                raise NotJoined(_UNLIKE)
            at = end
        if reply[at:] != _END:
            raise NotJoined(_UNLIKE)

    def joined(self) -> Iterable[bytes]:
        for position in sorted(self._values):
            yield self._values[position]
        yield _END


def _values(reply: bytes) -> Iterator[tuple[bytes, int]]:
    """The key and the end of each value, up to what is none."""
    at = 0
    while found := _VALUE.match(reply, at):
        at = found.end() + int(found[2]) + 2
        yield found[1], at


def part_of(beginning: Sequence[bytes], keys: Sequence[bytes]) -> bytes:
    """A command for some keys.

    :param beginning: its words before the keys.
    """
    return b" ".join([*beginning, *keys]) + b"\r\n"


def split(data: bytes, beginning: Sequence[bytes], keys: Sequence[bytes], places: Sequence[Hashable]) -> SplitRequest:
    """Cut a command; one whose keys have all the same place stays as it is.

    :param data: the command.
    :param beginning: its words before the keys.
    :param places: where each of the keys goes.
    """
    groups = positions_of(places)
    if len(groups) == 1:
        return SplitRequest([Part(places[0], data, range(len(places)))], None)
    parts = [
        Part(place, part_of(beginning, [keys[position] for position in group]), group)
        for place, group in groups.items()
    ]
    return SplitRequest(parts, _Values(keys))
