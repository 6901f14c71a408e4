"""Consul's blocking queries: what the next one has to say, and when it is due.

A query with the index of the last answer is answered when something has changed since, or when its wait is over.  The
rules are those of Consul's documentation (HTTP API, Blocking Queries): an index that goes backwards is forgotten, one
below 1 counts as 1, and queries that are answered at once all the time are slowed down by a token bucket.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from proxymux.core.backoff import Backoff

#: Seconds that a query waits for a change: so old is at most what a source has heard last.
WAIT: Final = 60
#: Seconds of a query that is to tell whether Consul is there, and of one that the operator waits for.
SHORT_WAIT: Final = 1
#: Consul adds up to this part of the wait, by chance.
JITTER: Final = 1 / 16
#: Seconds that an answer may take beside its wait.
MARGIN: Final = 10.0
#: So many queries are made at once, and then one in so many seconds.
BURST: Final = 5
INTERVAL: Final = 5.0
#: Seconds before the first attempt after a failure, and the most; they double in between.
FIRST_BACKOFF: Final = 1.0
LAST_BACKOFF: Final = 15.0
#: An index: a number of 64 bits.
_INDEX: Final = re.compile("[0-9]{1,20}", re.ASCII)


class Query(NamedTuple):
    """What one query says.

    :param after: the index of the last answer; 0 is none, with which the query is answered at once.
    :param wait: seconds in which Consul answers at the latest, but for its jitter.
    :param limit: seconds in which the answer must have come.
    """

    after: int
    wait: int
    limit: float


class BlockingQuery:
    """The queries for one thing, one after another.  Times are in seconds of one clock."""

    def __init__(self) -> None:
        self._index = 0
        self._backoff = Backoff(FIRST_BACKOFF, LAST_BACKOFF)
        self._is_urgent = False
        #: When the next query would be due if all were made evenly.
        self._due = 0.0

    def begin(self, now: float) -> Query:
        """Make a query now."""
        wait = SHORT_WAIT if self._backoff.is_failing or self._is_urgent else WAIT
        self._is_urgent = False
        self._due = max(self._due, now) + INTERVAL
        return Query(self._index, wait, MARGIN + (wait * (1 + JITTER) if self._index else 0.0))

    def answered(self, index: str | None, now: float) -> float:
        """Take note of an answer.

        :param index: its header ``X-Consul-Index``.
        :returns: the seconds until the next query.
        """
        self._backoff.succeeded()
        new = max(1, int(index) if index and _INDEX.fullmatch(index) else 0)
        self._index = new if new >= self._index else 0
        return self.pause(now)

    def failed(self, now: float, jitter: float) -> float:
        """Take note that there was no answer, or none of use.

        The index stays.  The next query waits for a short time only, so that it is soon known that Consul is back, or
        that its index has gone backwards.

        :param jitter: a random factor of the backoff, so that not all who ask come back at once.
        :returns: the seconds until the next query.
        """
        return max(self.pause(now), self._backoff.failed(jitter))

    def hurry(self) -> None:
        """Have the next query wait for a short time only."""
        self._is_urgent = True

    def pause(self, now: float) -> float:
        """The seconds until a query may be made."""
        return max(0.0, self._due - now - (BURST - 1) * INTERVAL)
