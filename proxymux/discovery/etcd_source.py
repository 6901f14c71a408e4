"""A source in etcd: each key under a prefix is a member, and its value the member's text."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IReactorTime

from proxymux.core.excerpt import excerpt
from proxymux.core.member import Entry, parse_entry
from proxymux.core.target import Address
from proxymux.discovery.etcd.address import parse_etcd_address
from proxymux.discovery.etcd.client import EtcdClient
from proxymux.discovery.etcd.following import Following
from proxymux.discovery.source import SourceListener
from proxymux.errors import BadAddress
from proxymux.net.reactor.twisted_types import Reactor


class EtcdSource:
    """Members whose texts are the values of the keys under ``/prefix/`` and ``prefix/``, in the order of the keys.

    A key whose value cannot be read keeps the member that it had, so that a slip of the pen takes nothing out of
    service; one that never had any is left out.  Which key it is, is told as a failure.  Where two keys name one
    address, the first counts.

    :param text: ``etcd://[user:password@]host:2379[,host2:2379…]/prefix/``, or ``etcds://…`` for TLS.
    :param jitter: returns a random factor from 0.5 to 1.5 of the pauses between attempts.
    :raises BadAddress: if the text is something else.
    """

    def __init__(self, text: str, reactor: Reactor, clock: IReactorTime, jitter: Callable[[], float]) -> None:
        self._address = parse_etcd_address(text)
        self._reactor = reactor
        self._clock = clock
        self._jitter = jitter
        self._client: EtcdClient | None = None
        self._following: Following | None = None
        self._listener: SourceListener | None = None
        #: The member of each key, and what is wrong with the keys whose value cannot be read.
        self._entries: dict[bytes, Entry] = {}
        self._problems: dict[bytes, str] = {}
        self._told: tuple[Entry, ...] | None = None
        self._told_problem: str | None = None

    def check(self) -> None:
        """Read the files of TLS.

        :raises BadAddress: if one of them cannot be used.
        """
        if self._address.tls is not None:
            self._address.tls.check()

    def start(self, listener: SourceListener) -> None:
        self._listener = listener
        self._client = EtcdClient(self._address, self._reactor, self._clock)
        self._following = Following(self._client, self._address.prefixes, self._clock, self._jitter, self)
        self._following.start()

    def look(self) -> None:
        if self._following is not None:
            self._told_problem = None
            self._following.look()

    def stop(self) -> None:
        self._listener = None
        if self._following is not None and self._client is not None:
            self._following.stop()
            self._client.close()
            self._following = self._client = None

    def updated(self, values: Mapping[bytes, bytes], keys: frozenset[bytes]) -> None:
        """Take what etcd has now."""
        for key in keys:
            self._read(key, values.get(key))
        entries = self._in_order()
        if self._listener is None:
            return
        if entries != self._told:
            self._told = entries
            self._listener.changed(entries)
        else:
            self._listener.heard()
        self._tell_problems()

    def heard(self) -> None:
        """etcd has answered."""
        if self._listener is not None:
            self._listener.heard()
            self._tell_problems()

    def failed(self, reason: str) -> None:
        """etcd cannot be asked."""
        if self._listener is not None:
            self._listener.failed(reason)

    def _read(self, key: bytes, value: bytes | None) -> None:
        self._problems.pop(key, None)
        if value is None:
            self._entries.pop(key, None)
            return
        try:
            self._entries[key] = parse_entry(value.decode("utf-8", "surrogateescape"))
        except BadAddress as problem:
            self._problems[key] = str(problem)

    def _in_order(self) -> tuple[Entry, ...]:
        by_address: dict[Address, Entry] = {}
        for key in sorted(self._entries):
            entry = self._entries[key]
            by_address.setdefault(entry.address, entry)
        return tuple(by_address.values())

    def _tell_problems(self) -> None:
        """Tell which keys cannot be read, once until that changes."""
        problem = None
        if self._problems:
            key = min(self._problems)
            others = f" (and {len(self._problems) - 1} more)" if len(self._problems) > 1 else ""
            problem = (
                f"{self._address}: the key {excerpt(key.decode('utf-8', 'replace'))}: {self._problems[key]}{others}"
            )
        if problem != self._told_problem and self._listener is not None:
            self._told_problem = problem
            if problem is not None:
                self._listener.failed(problem)
