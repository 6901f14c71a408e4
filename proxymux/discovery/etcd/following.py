"""Following: a copy of what is under prefixes, kept up to date by a range and a watch of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from proxymux.discovery.etcd.client import EtcdClient
from proxymux.discovery.etcd.copying import PrefixCopy

#: Seconds in which changes are collected, to be told at once.
GAP: Final = 0.05
#: Seconds in which the same failure is told once.
QUIET: Final = 30.0


class FollowListener(Protocol):
    """Is told what is under the prefixes."""

    def updated(self, values: Mapping[bytes, bytes], keys: frozenset[bytes]) -> None:
        """Something has changed; the first call tells all that is there, of all prefixes.

        :param values: of all keys.  It is to be read before this returns.
        :param keys: those that have changed since the last call.  One that is not in ``values`` is gone.
        """

    def heard(self) -> None:
        """etcd has answered, and nothing has changed."""

    def failed(self, reason: str) -> None:
        """etcd cannot be asked, or has too much; the values stay as they were.  It goes on trying.

        :param reason: why, in one line without user and password.
        """


class Following:
    """Keeps a copy of the keys that begin with any of ``prefixes``, none of which begins with another.

    A prefix that the user may not read counts as empty, if there is another that may be read.

    Changes are told at most every :data:`GAP` seconds, so that no number of them makes more work than that; what is
    told is always the last state.  Of each prefix it keeps as much as a range may have.

    :param client: is not closed.
    :param jitter: returns a random factor from 0.5 to 1.5 of the pauses between attempts.
    """

    def __init__(
        self,
        client: EtcdClient,
        prefixes: Sequence[bytes],
        clock: IReactorTime,
        jitter: Callable[[], float],
        listener: FollowListener,
    ) -> None:
        self._clock = clock
        self._listener = listener
        self._values: dict[bytes, bytes] = {}
        self._copies = [PrefixCopy(client, prefix, clock, jitter, self._values, self) for prefix in prefixes]
        self._changed: set[bytes] = set()
        self._has_told = False
        self._timer: IDelayedCall | None = None
        #: The last failure that was told, and when.
        self._failure: tuple[str, float] | None = None

    def start(self) -> None:
        """Begin to tell the listener."""
        for copy in self._copies:
            copy.range()

    def look(self) -> None:
        """Read everything anew now."""
        self._failure = None
        self.start()

    def stop(self) -> None:
        """Tell nothing more, and leave no connection or delayed call."""
        for copy in self._copies:
            copy.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def changed(self, keys: set[bytes]) -> None:
        """Take note that a copy has changed, or was made for the first time."""
        self._failure = None
        self._changed |= keys
        if not self._has_told:
            self._tell_first()
        elif self._timer is None:
            self._timer = self._clock.callLater(GAP, self._gap_passed)

    def heard(self) -> None:
        """Take note that etcd has answered."""
        self._failure = None
        if self._has_told and self._timer is None:
            self._listener.heard()

    def denied(self, reason: str) -> None:
        """Take note that the user may not read one of the prefixes."""
        if all(copy.is_denied for copy in self._copies):
            self.failed(reason)
        elif not self._has_told:
            self._tell_first()

    def failed(self, reason: str) -> None:
        """Take note that etcd cannot be asked."""
        now = self._clock.seconds()
        if self._failure is None or self._failure[0] != reason or now - self._failure[1] >= QUIET:
            self._failure = reason, now
            self._listener.failed(reason)

    def _tell_first(self) -> None:
        if all(copy.is_made or copy.is_denied for copy in self._copies) and any(copy.is_made for copy in self._copies):
            self._tell()

    def _gap_passed(self) -> None:
        self._timer = None
        self._tell()

    def _tell(self) -> None:
        self._has_told = True
        changed, self._changed = frozenset(self._changed), set()
        self._listener.updated(self._values, changed)
