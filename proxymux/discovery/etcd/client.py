"""The client of an etcd: keys, leases and streams of changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol

from proxymux.core.target import InetTarget
from proxymux.discovery.etcd.address import EtcdAddress
from proxymux.discovery.etcd.http import RESOURCE_EXHAUSTED
from proxymux.discovery.etcd.requests import Requests
from proxymux.discovery.etcd.values import decoded, encoded, end_of, number
from proxymux.errors import EtcdError
from proxymux.net.reactor.twisted_types import Reactor

#: The most keys of one answer.
PAGE: Final = 1000
#: The most keys, and bytes of keys and values, that are read of one prefix.
MOST_KEYS: Final = 100_000
MOST_BYTES: Final = 64 << 20

#: gRPC's number for a lease that is not there (any more).
_NOT_FOUND: Final = 5
#: A member that has lost its leader would say nothing for ever: with this it ends a stream.
_WATCH_HEADERS: Final = {"Grpc-Metadata-hasleader": "true"}


class EtcdClient:
    """Asks an etcd cluster, member after member until one answers.

    Keys and values are bytes.  Every method returns a Deferred, which may be cancelled, and which fails with
    :class:`~proxymux.errors.EtcdError` only: within
    :data:`~proxymux.discovery.etcd.requests.REQUEST_TIMEOUT` at the latest (:meth:`range_prefix`: for each page).
    What was asked for may have been done all the same if ``error.is_unsure`` is true.

    Its constructor does no I/O.  Who has made one has to close it.

    :param address: which cluster, and as whom.
    :param clock: measures the time limits.
    """

    def __init__(self, address: EtcdAddress, reactor: Reactor, clock: IReactorTime) -> None:
        #: To be shown: the text has neither user nor password.
        self.address = address
        self._requests = Requests(address, reactor, clock)

    def range_prefix(self, prefix: bytes) -> Deferred[tuple[int, dict[bytes, bytes]]]:
        """Read all keys that begin with ``prefix``, as they were at one revision.

        :returns: the revision, after which a watch has to begin, and each key's value in the order of the keys.  Fails
            if there are more than :data:`MOST_KEYS`, or more than :data:`MOST_BYTES` of them.
        """
        return Deferred.fromCoroutine(self._range_prefix(prefix))

    def get(self, key: bytes) -> Deferred[bytes | None]:
        """Read the value of one key; None if there is no such key."""

        async def get() -> bytes | None:
            answer = await self._requests.ask("kv/range", {"key": encoded(key)})
            return next((value for _, value in _pairs(answer)), None)

        return Deferred.fromCoroutine(get())

    def put(self, key: bytes, value: bytes, lease: int | None = None) -> Deferred[None]:
        """Set the value of a key.  It may be sent twice, where nobody knows whether the first has arrived.

        :param lease: ends the key when it ends; None for a key without a lease.
        """
        return self._requests.ask("kv/put", _put(key, value, lease)).addCallback(_none)

    def create(self, key: bytes, value: bytes, lease: int | None = None) -> Deferred[bool]:
        """Set the value of a key that is not there.

        It is never sent twice: if it fails with ``is_unsure``, the key may have been created by this call.

        :param lease: as of :meth:`put`.
        :returns: True if this call has created the key, False if it was there.
        """
        body = {
            "compare": [{"key": encoded(key), "target": "CREATE", "result": "EQUAL", "create_revision": "0"}],
            "success": [{"request_put": _put(key, value, lease)}],
        }
        asking = self._requests.ask("kv/txn", body, is_repeatable=False)
        return asking.addCallback(lambda answer: answer.get("succeeded") is True)

    def delete(self, key: bytes) -> Deferred[bool]:
        """Delete a key.  It may be sent twice, as by :meth:`put`.

        :returns: True if it was there.
        """
        asking = self._requests.ask("kv/deleterange", {"key": encoded(key)})
        return asking.addCallback(lambda answer: number(answer, "deleted") > 0)

    def grant(self, ttl: int) -> Deferred[int]:
        """Make a lease.  If it is sent twice, one more is made that nobody knows of, until it ends.

        :param ttl: seconds until it ends, unless it is kept alive.
        :returns: its id.
        """

        def id_of(answer: dict[str, Any]) -> int:
            lease = number(answer, "ID")
            if not lease:
                raise EtcdError(f"{self.address}: no lease in etcd's answer", is_unsure=True)
            return lease

        return self._requests.ask("lease/grant", {"TTL": str(ttl)}).addCallback(id_of)

    def keep_alive(self, lease: int) -> Deferred[int]:
        """Have a lease begin anew.

        :returns: the seconds that it is good for; 0 if it has ended, in which case its keys are gone.
        """

        def left(answer: dict[str, Any]) -> int:
            result = answer.get("result")
            return number(result, "TTL") if isinstance(result, dict) else 0

        return self._requests.ask("lease/keepalive", {"ID": str(lease)}).addCallback(left)

    def revoke(self, lease: int) -> Deferred[None]:
        """End a lease, and with it its keys.  One that has ended already is no error."""

        async def revoke() -> None:
            try:
                await self._requests.ask("lease/revoke", {"ID": str(lease)})
            except EtcdError as error:
                if error.code != _NOT_FOUND:
                    raise

        return Deferred.fromCoroutine(revoke())

    def watch(self, prefix: bytes, revision: int, protocol: Protocol) -> Deferred[InetTarget]:
        """Open a stream of what happens to keys that begin with ``prefix``; see :mod:`proxymux.discovery.etcd.watch`.

        :param revision: the first that is told of.
        :param protocol: is given the stream.  Its transport's ``loseConnection()`` ends it at once.
        :returns: fires when the stream begins, with the member that sends it.
        """
        request = {
            "key": encoded(prefix),
            "range_end": encoded(end_of(prefix)),
            "start_revision": str(revision),
            "progress_notify": True,
            "fragment": True,
        }
        return self._requests.stream("watch", {"create_request": request}, protocol, _WATCH_HEADERS)

    def forget_token(self) -> None:
        """Have a new token asked for before the next request: the last stream was refused."""
        self._requests.forget_token()

    def avoid(self, member: InetTarget) -> None:
        """Ask another member first from now on, if there is one: the last stream of this one was of no use."""
        self._requests.avoid(member)

    def close(self) -> None:
        """End all requests, which fail, and all connections.  Later requests fail at once."""
        self._requests.close()

    async def _range_prefix(self, prefix: bytes) -> tuple[int, dict[bytes, bytes]]:
        found: dict[bytes, bytes] = {}
        revision = size = 0
        key, end, limit = prefix, encoded(end_of(prefix)), PAGE
        while True:
            body = {"key": encoded(key), "range_end": end, "limit": str(limit), "revision": str(revision)}
            try:
                answer = await self._requests.ask("kv/range", body)
            except EtcdError as error:
                if error.code != RESOURCE_EXHAUSTED or limit == 1:
                    raise
                limit = max(1, limit // 10)  # long values: fewer of them
                continue
            revision = revision or number(answer.get("header"), "revision")
            page = _pairs(answer)
            found.update(page)
            size += sum(len(key) + len(value) for key, value in page)
            if len(found) > MOST_KEYS or size > MOST_BYTES:
                raise EtcdError(f"{self.address}: more than {MOST_KEYS} keys or {MOST_BYTES >> 20} MiB of them")
            if not answer.get("more") or not page:
                return revision, found
            key = page[-1][0] + b"\0"


def _pairs(answer: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    pairs = answer.get("kvs")
    if not isinstance(pairs, list):
        return []
    return [(decoded(pair.get("key")), decoded(pair.get("value"))) for pair in pairs if isinstance(pair, dict)]


def _put(key: bytes, value: bytes, lease: int | None) -> dict[str, str]:
    return {"key": encoded(key), "value": encoded(value), **({} if lease is None else {"lease": str(lease)})}


def _none(_: object) -> None:
    return None
