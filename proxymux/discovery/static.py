"""A source that never changes: the members stand in the option itself."""

from __future__ import annotations

from proxymux.core.member import parse_entry
from proxymux.discovery.source import SourceListener
from proxymux.errors import BadAddress


class StaticSource:
    """Members that were written into the option.

    :param text: members, with commas between them.
    :raises BadAddress: if one is none, or is there twice.
    """

    def __init__(self, text: str) -> None:
        self._entries = tuple(parse_entry(item) for item in text.split(","))
        seen = set()
        for entry in self._entries:
            if entry.address in seen:
                raise BadAddress(f"{entry.address} is given twice")
            seen.add(entry.address)

    def check(self) -> None:
        """Do nothing: it can be used."""

    def start(self, listener: SourceListener) -> None:
        listener.changed(self._entries)

    def look(self) -> None:
        """Do nothing: it cannot change."""

    def stop(self) -> None:
        """Do nothing: it tells nothing more."""
