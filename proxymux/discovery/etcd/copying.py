"""The copy of what is under one prefix: a range, then a watch from there, and a range again where that is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from proxymux.discovery.etcd.client import MOST_BYTES, MOST_KEYS, EtcdClient
from proxymux.discovery.etcd.news import Change
from proxymux.discovery.etcd.retrying import Retrying
from proxymux.discovery.etcd.watch import Watch
from proxymux.net.wording import explain

#: gRPC's number for what a user may not do.
_PERMISSION_DENIED: Final = 7


class CopyListener(Protocol):
    """Is told what becomes of a copy."""

    def changed(self, keys: set[bytes]) -> None:
        """These keys have changed; none if the copy was made for the first time, and nothing is there."""

    def heard(self) -> None:
        """etcd has answered, and nothing has changed."""

    def denied(self, reason: str) -> None:
        """The user may not read this prefix; the copy stays."""

    def failed(self, reason: str) -> None:
        """etcd cannot be asked, or has too much; the copy stays."""


class PrefixCopy:
    """Keeps the keys that begin with ``prefix`` in ``values``.

    :param values: may have keys of others, which are left alone.
    """

    def __init__(
        self,
        client: EtcdClient,
        prefix: bytes,
        clock: IReactorTime,
        jitter: Callable[[], float],
        values: dict[bytes, bytes],
        listener: CopyListener,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._clock = clock
        self._jitter = jitter
        self._values = values
        self._listener = listener
        self._retrying = Retrying(clock, jitter)
        self._ranging: Deferred[tuple[int, dict[bytes, bytes]]] | None = None
        self._watch: Watch | None = None
        #: Keys, and bytes of keys and values.
        self._count = self._size = 0
        #: It has been read, and the user may not read it.
        self.is_made = self.is_denied = False

    def range(self) -> None:
        """Read all of it, and follow it from there."""
        self.stop()
        self._ranging = ranging = self._client.range_prefix(self._prefix)
        ranging.addCallbacks(self._ranged, self._not_ranged)

    def stop(self) -> None:
        """Leave no connection or delayed call."""
        self._retrying.cancel()
        ranging, self._ranging = self._ranging, None
        if ranging is not None:
            ranging.cancel()
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def _ranged(self, found: tuple[int, dict[bytes, bytes]]) -> None:
        self._ranging = None
        self.is_denied = False
        revision, pairs = found
        changed = {key for key in self._values if key.startswith(self._prefix) and key not in pairs}
        changed.update(key for key, value in pairs.items() if self._values.get(key) != value)
        for key in changed:
            self._set(key, pairs.get(key))
        self._watch = Watch(self._client, self._clock, self._jitter, self._prefix, revision + 1, self)
        self._watch.start()
        if changed or not self.is_made:
            self.is_made = True
            self._listener.changed(changed)
        else:
            self._listener.heard()

    def _not_ranged(self, failure: Failure) -> None:
        if self._ranging is not None:  # else it was stopped
            self._ranging = None
            self.is_denied = getattr(failure.value, "code", None) == _PERMISSION_DENIED
            self._retrying.later(self.range)
            (self._listener.denied if self.is_denied else self._listener.failed)(explain(failure))

    def happened(self, changes: tuple[Change, ...]) -> None:
        """Take what the watch tells."""
        changed = {key for key, value in changes if key.startswith(self._prefix)}
        for key, value in changes:
            if key in changed:
                self._set(key, value)
        self._listener.changed(changed)
        if self._count > MOST_KEYS or self._size > MOST_BYTES:
            self.failed(f"{self._client.address}: more than {MOST_KEYS} keys or {MOST_BYTES >> 20} MiB of them")
            self.lost()  # a range fails, too, until there is less

    def heard(self) -> None:
        """The watch has heard of etcd."""
        self._listener.heard()

    def lost(self) -> None:
        """The watch has ended: what came after its last change is only to be had by a range."""
        self.stop()
        self._retrying.later(self.range)

    def failed(self, reason: str) -> None:
        """etcd cannot be asked."""
        self._listener.failed(reason)

    def _set(self, key: bytes, value: bytes | None) -> None:
        old = self._values.pop(key, None)
        if old is not None:
            self._count -= 1
            self._size -= len(key) + len(old)
        if value is not None:
            self._values[key] = value
            self._count += 1
            self._size += len(key) + len(value)
