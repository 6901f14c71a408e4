"""The statistics of the gateway: how many handshakes ended with which status, by reason or by target."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from proxymux.core.outcome import Outcome, Record

#: The most targets that are counted separately; the others are counted together.
MAX_TARGETS: Final = 1000
_OTHERS: Final = "others"
#: Stands for the status of a client that was sent none.
_NO_STATUS: Final = "-"


@dataclass(frozen=True, slots=True)
class Entry:
    """The properties by which sessions are counted.

    :param status: the status of three digits that the client was sent; ``-`` if it was sent none.
    :param reason: why the session ended so; empty if that depended on the target.
    :param target: the target of a good token, or ``others``; empty if no token was good.
    """

    status: str
    reason: str
    target: str


class Statistics:
    """Counts the sessions that have ended, and the good tokens."""

    def __init__(self) -> None:
        self.counts: Counter[Entry] = Counter()
        #: The number of good tokens by the id of the key that opened them.
        self.keys: Counter[str] = Counter()
        self._targets: set[str] = set()

    def note(self, record: Record) -> None:
        """Count a session that has ended; the service calls it as an observer."""
        status = record.status or _NO_STATUS
        if record.target is not None:
            denied = record.outcome is Outcome.BAD_HANDSHAKE
            entry = Entry(status, "denied target" if denied else "", self._counted_target(record.target))
        elif record.status is not None:
            entry = Entry(status, record.cause or "", "")
        else:
            entry = Entry(status, record.outcome.value, "")
        self.counts[entry] += 1

    def opened(self, key: str | None) -> None:
        """Count a good token.

        :param key: the id of the key that it was sealed with; None for an old token.
        """
        self.keys[key or "old"] += 1

    def lines(self) -> list[str]:
        """Return the counts for the log: a line for each status, the most frequent first."""
        by_status: dict[str, Counter[str]] = {}
        for entry, count in self.counts.items():
            by_status.setdefault(entry.status, Counter())[f"{entry.reason} {entry.target}".strip()] += count
        if self.keys:
            by_status["good tokens"] = self.keys
        ordered = sorted(by_status.items(), key=lambda item: -item[1].total())
        return [
            f"{status}: {counts.total()} ({', '.join(f'{what} {count}' for what, count in counts.most_common(10))})"
            for status, counts in ordered
        ]

    def _counted_target(self, target: str) -> str:
        """The name under which ``target`` is counted: its own, or ``others`` once there are too many."""
        if target not in self._targets:
            if len(self._targets) >= MAX_TARGETS:
                return _OTHERS
            self._targets.add(target)
        return target
