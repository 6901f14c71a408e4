"""Which requests wanted an upstream of their own: how often they got one, and how often they were refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: The most names that are counted.  Codecs know few names; a codec of the user's might not keep to that.
MOST_NAMES: Final = 64
#: Stands for all names beyond them.
OTHERS: Final = "others"
#: Seconds after a warning about a name within which there is no other.
QUIET: Final = 60.0


class CommandStatistics:
    """Counts the requests of one kind by their names, and says when it is time to warn."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._warned_at: dict[str, float] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """How many there were, by name."""
        return self._counts

    def note(self, name: str, now: float) -> int:
        """Count one request.

        :param now: the current time, in seconds.
        :returns: how many of this name there have been, if a warning is due; else 0.
        """
        counts = self._counts
        if name not in counts and len(counts) >= MOST_NAMES:
            name = OTHERS
        counts[name] = count = counts.get(name, 0) + 1
        if name in self._warned_at and now < self._warned_at[name] + QUIET:
            return 0
        self._warned_at[name] = now
        return count

    def __str__(self) -> str:
        """Return the counts as ``NAME COUNT, NAME COUNT``, the most frequent first."""
        ordered = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        return ", ".join(f"{name} {count}" for name, count in ordered)
