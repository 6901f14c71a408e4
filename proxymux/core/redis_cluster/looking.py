"""When the topology of a Redis Cluster is looked at, and which nodes are asked, in which order."""

from __future__ import annotations

from typing import Final

from proxymux.core.backoff import Backoff
from proxymux.core.target import InetTarget

#: The most nodes that are asked in one look.
MOST_ASKED: Final = 16
#: The least seconds from the begin of one look to that of the next, however often one is wanted.
LEAST_PAUSE: Final = 1.0
#: The most seconds to the next look after one in which no node has answered.
LONGEST_PAUSE: Final = 10.0


class Looking:
    """The looks at one cluster, one after another.  Each ``now`` is in seconds of one clock.

    :param seeds: the nodes that the operator has named; they are never forgotten.
    :param refresh: seconds to the next look, if nobody wants one before.
    """

    __slots__ = ("_backoff", "_began_at", "_first", "_is_wanted", "_known", "_refresh", "_seeds")

    def __init__(self, seeds: tuple[InetTarget, ...], refresh: float) -> None:
        self._seeds = seeds
        self._refresh = refresh
        self._known: tuple[InetTarget, ...] = ()
        self._backoff = Backoff(LEAST_PAUSE, LONGEST_PAUSE)
        self._began_at = 0.0
        #: Another look is wanted as soon as it may be, and whom it should ask first.
        self._is_wanted = False
        self._first: InetTarget | None = None

    def begin(self, now: float) -> list[InetTarget]:
        """Begin a look.

        :returns: who is to be asked until one answers: whoever was named when the look was wanted, the one that has
            answered last, the seeds, then the others.
        """
        first = () if self._first is None else (self._first,)
        self._began_at, self._is_wanted, self._first = now, False, None
        return list(dict.fromkeys((*first, *self._known[:1], *self._seeds, *self._known)))[:MOST_ASKED]

    def want(self, first: InetTarget | None, now: float) -> float:
        """Take note that what is known is old.

        :param first: whom to ask first, if that is known.
        :returns: the seconds until the next look, unless one is under way: then it is followed by another, as it may
            have been answered before.
        """
        self._is_wanted, self._first = True, first or self._first
        return self._pause(self._refresh, now)

    def answered(self, node: InetTarget, nodes: tuple[InetTarget, ...], now: float) -> float:
        """Take note that a node has answered.

        :param nodes: all that there are, as it says.
        :returns: the seconds until the next look.
        """
        self._known = (node, *nodes)
        self._backoff.succeeded()
        return self._pause(self._refresh, now)

    def failed(self, jitter: float, now: float) -> float:
        """Take note that no node has answered.

        :param jitter: a random factor of the pause.
        :returns: the seconds until the next look.
        """
        return self._pause(min(self._backoff.failed(jitter), self._refresh), now)

    def _pause(self, pause: float, now: float) -> float:
        return min(pause, max(0.0, self._began_at + LEAST_PAUSE - now)) if self._is_wanted else pause
