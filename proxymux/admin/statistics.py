"""The statistics: how many handshakes ended with which status, for which reason, and where they led."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

from proxymux.core.outcome import Ending, Outcome

#: Different targets that are counted each by itself.
MAX_TARGETS: Final = 1000
#: A reason of the gateway: the status, and what can be counted of the rest.
_REASON: Final = re.compile("([0-9]{3}) (.*?)(?:: |$)")
_OTHERS: Final = "others"
_FAILURES: Final = {Outcome.UNREACHABLE: "502", Outcome.CONNECT_TIMEOUT: "504"}


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

    def note(self, ending: Ending, target: object, was_connected: bool) -> None:
        """A session has ended.

        :param target: the last one that was tried, or None.
        """
        if target is not None:
            status = _status_at_target(ending, was_connected)
            entry = Entry(status, "denied target" if status == "401" else "", self._name(str(target)))
        elif ending.outcome is Outcome.BAD_HANDSHAKE and (match := _REASON.match(ending.reason or "")):
            entry = Entry(match[1], match[2], "")
        else:
            entry = Entry("-", ending.outcome.value, "")
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


def _status_at_target(ending: Ending, was_connected: bool) -> str:
    if was_connected:
        return "200"
    if ending.outcome is Outcome.BAD_HANDSHAKE:
        return "401"
    return _FAILURES.get(ending.outcome, "-")
