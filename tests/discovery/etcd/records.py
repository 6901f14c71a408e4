"""Listeners that keep what they are told."""

from __future__ import annotations

from collections.abc import Mapping

from proxymux.core.member import Entry
from proxymux.discovery.etcd.news import Change


class SourceRecord:
    """What a source has told."""

    def __init__(self) -> None:
        self.sets: list[tuple[Entry, ...]] = []
        self.answers = 0
        self.failures: list[str] = []

    @property
    def texts(self) -> list[str]:
        """The addresses of the last set."""
        return [str(entry.address) for entry in self.sets[-1]] if self.sets else []

    def changed(self, entries: tuple[Entry, ...]) -> None:
        self.sets.append(entries)

    def heard(self) -> None:
        self.answers += 1

    def failed(self, reason: str) -> None:
        self.failures.append(reason)


class WatchRecord:
    """What a watch has told."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.answers = 0
        self.losses = 0
        self.failures: list[str] = []

    def happened(self, changes: tuple[Change, ...]) -> None:
        self.changes.extend(changes)

    def heard(self) -> None:
        self.answers += 1

    def lost(self) -> None:
        self.losses += 1

    def failed(self, reason: str) -> None:
        self.failures.append(reason)


class FollowRecord:
    """What a following has told."""

    def __init__(self) -> None:
        self.told: list[tuple[dict[bytes, bytes], set[bytes]]] = []
        self.answers = 0
        self.failures: list[str] = []

    def updated(self, values: Mapping[bytes, bytes], keys: frozenset[bytes]) -> None:
        self.told.append((dict(values), set(keys)))

    def heard(self) -> None:
        self.answers += 1

    def failed(self, reason: str) -> None:
        self.failures.append(reason)
