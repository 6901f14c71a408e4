"""The statistics: how many handshakes ended with which status, for which reason, and where they led."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from proxymux.core.outcome import Outcome, Record

#: Different targets that are counted each by itself.
MAX_TARGETS: Final = 1000
_OTHERS: Final = "others"
#: Stands for the status of a client that was sent none.
_NO_STATUS: Final = "-"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is counted together.

    :param status: the three digits that the client was sent; ``-`` if it was sent none.
    :param reason: why, where it is not the target's doing.
    :param target: where a good token led.
    """

    status: str
    reason: str
    target: str


class Statistics:
    """Counts handshakes."""

    def __init__(self) -> None:
        self.counts: Counter[Entry] = Counter()
        #: Good tokens by the key that opened them.
        self.keys: Counter[str] = Counter()
        self._targets: set[str] = set()

    def note(self, record: Record) -> None:
        """Count a session that has ended; an observer of records."""
        status = record.status or _NO_STATUS
        if record.target is not None:
            denied = record.outcome is Outcome.BAD_HANDSHAKE
            entry = Entry(status, "denied target" if denied else "", self._name(record.target))
        elif record.status is not None:
            entry = Entry(status, record.cause or "", "")
        else:
            entry = Entry(status, record.outcome.value, "")
        self.counts[entry] += 1

    def opened(self, key: str | None) -> None:
        """A token was good: one sealed with ``key``, or an old one."""
        self.keys[key or "old"] += 1

    def lines(self) -> list[str]:
        """What was counted, for the log: a line for each status, the most frequent first."""
        by_status: dict[str, Counter[str]] = {}
        for entry, count in self.counts.items():
            by_status.setdefault(entry.status, Counter())[f"{entry.reason} {entry.target}".strip()] += count
        if self.keys:
            by_status["good tokens"] = self.keys
        ordered = sorted(by_status.items(), key=lambda item: -item[1].total())
        return [
            f"{status}: {of.total()} ({', '.join(f'{what} {count}' for what, count in of.most_common(10))})"
            for status, of in ordered
        ]

    def _name(self, target: str) -> str:
        if target not in self._targets:
            if len(self._targets) >= MAX_TARGETS:
                return _OTHERS
            self._targets.add(target)
        return target
