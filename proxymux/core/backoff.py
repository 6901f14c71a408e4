"""Backoff: how long to wait until something that has failed is tried again, ever longer if it fails again and again."""

from __future__ import annotations


class Backoff:
    """The pauses after failures in a row: each is twice as long as the one before, up to the longest.

    :param first: seconds after the first failure.
    :param longest: seconds; at least ``first``.
    """

    __slots__ = ("_first", "_longest", "_next")

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        #: None after a success.
        self._next: float | None = None

    @property
    def is_failing(self) -> bool:
        """There has been a failure, and no success since."""
        return self._next is not None

    def failed(self, jitter: float) -> float:
        """Take note of a failure.

        :param jitter: a random factor of the pause, so that not all who wait try again at once.
        :returns: the seconds to the next try.
        """
        pause = self._first if self._next is None else self._next
        self._next = min(2 * pause, self._longest)
        return jitter * pause

    def succeeded(self) -> None:
        """Take note of a success: the next failure is the first one again."""
        self._next = None
