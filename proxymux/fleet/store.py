"""The keys of a fleet in etcd: a few questions about what is under its prefix."""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from proxymux.discovery.etcd.address import EtcdAddress, parse_etcd_address
from proxymux.discovery.etcd.client import EtcdClient
from proxymux.net.reactor.twisted_types import Reactor

#: The number of etcd's answer that a lease is not there.
LEASE_NOT_FOUND: Final = 5


class Store(Protocol):
    """The keys under a prefix.  Each Deferred fires within a limit, or fails with
    :class:`~proxymux.errors.EtcdError`."""

    @property
    def name(self) -> str:
        """Where it is, without user and password."""

    def list(self, below: str) -> Deferred[list[tuple[str, bytes]]]:
        """The keys that begin with ``below``, without it, and their values, in the order of the keys."""

    def get(self, key: str) -> Deferred[bytes | None]:
        """The value of a key; None if it is not there."""

    def put(self, key: str, value: str, lease: int) -> Deferred[None]:
        """Write a key under a lease."""

    def create(self, key: str, value: str, lease: int) -> Deferred[bool]:
        """Write a key under a lease if it is not there; fires with False if it is.  It is sent once only."""

    def grant(self, seconds: int) -> Deferred[int]:
        """Have a lease granted; fires with its number."""

    def keep_alive(self, lease: int) -> Deferred[bool]:
        """Have a lease last for as long again; fires with False if there is none of that number any more."""

    def revoke(self, lease: int) -> Deferred[None]:
        """End a lease; its keys go with it."""

    def close(self) -> None:
        """Have all questions fail, and leave no connection."""


class EtcdStore:
    """The :class:`Store` of an etcd.

    :param address: of the etcd, with the prefix.
    """

    def __init__(self, address: EtcdAddress, client: EtcdClient) -> None:
        self.name = str(address)
        self._prefix = address.prefix
        self._client = client

    def list(self, below: str) -> Deferred[list[tuple[str, bytes]]]:
        prefix = self._key(below)

        def found(answer: tuple[int, dict[bytes, bytes]]) -> list[tuple[str, bytes]]:
            return [(key[len(prefix) :].decode("utf-8", "replace"), value) for key, value in answer[1].items()]

        return self._client.range_prefix(prefix).addCallback(found)

    def get(self, key: str) -> Deferred[bytes | None]:
        return self._client.get(self._key(key))

    def put(self, key: str, value: str, lease: int) -> Deferred[None]:
        return self._client.put(self._key(key), value.encode(), lease)

    def create(self, key: str, value: str, lease: int) -> Deferred[bool]:
        return self._client.create(self._key(key), value.encode(), lease)

    def grant(self, seconds: int) -> Deferred[int]:
        return self._client.grant(seconds)

    def keep_alive(self, lease: int) -> Deferred[bool]:
        return self._client.keep_alive(lease).addCallback(lambda seconds: seconds > 0)

    def revoke(self, lease: int) -> Deferred[None]:
        return self._client.revoke(lease)

    def close(self) -> None:
        self._client.close()

    def _key(self, key: str) -> bytes:
        return (self._prefix + key).encode("utf-8", "surrogateescape")


def open_store(url: str, reactor: Reactor, clock: IReactorTime) -> EtcdStore:
    """The store at an ``etcd://`` URL; nothing is asked yet.

    :raises BadAddress: if it is none; the text has no password.
    """
    address = parse_etcd_address(url)
    return EtcdStore(address, EtcdClient(address, reactor, clock))
