"""Who is told by a source, in the tests of all of them."""

from __future__ import annotations

from collections.abc import Sequence

from proxymux.core.member import Entry


class Told:
    """A listener that keeps what it is told, as texts."""

    def __init__(self) -> None:
        #: ``changed``, ``heard`` and ``failed`` in their order, without what they said.
        self.calls: list[str] = []
        self.sets: list[list[str]] = []
        self.reasons: list[str] = []

    def changed(self, entries: tuple[Entry, ...]) -> None:
        self.calls.append("changed")
        self.sets.append(texts(entries))

    def heard(self) -> None:
        self.calls.append("heard")

    def failed(self, reason: str) -> None:
        self.calls.append("failed")
        self.reasons.append(reason)

    def since(self) -> list[str]:
        """The calls since the last call of this."""
        calls, self.calls = self.calls, []
        return calls


def texts(entries: Sequence[Entry]) -> list[str]:
    """Each entry as a line of a file would have it."""
    found = []
    for entry in entries:
        weight = "" if entry.weight is None else f" weight={entry.weight}"
        found.append(f"{entry.address}{weight}" + ("" if entry.name is None else f" name={entry.name}"))
    return found
