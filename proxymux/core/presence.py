"""Presence: how many clients are connected now, in all and from each address."""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import Protocol

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class Presence(Protocol):
    """Counts the clients of a service; where it has several processes, those of all."""

    @property
    def total(self) -> int:
        """All clients."""

    def enter(self) -> None:
        """Count a client that has come."""

    def leave(self) -> None:
        """Count a client less."""

    def of(self, address: IPAddress) -> int:
        """The clients of an address."""

    def enter_from(self, address: IPAddress) -> None:
        """Count a client that has come from an address."""

    def leave_from(self, address: IPAddress) -> None:
        """Count a client of an address less."""


class LocalPresence:
    """The clients of one process."""

    def __init__(self) -> None:
        self.total = 0
        self._by_address: Counter[IPAddress] = Counter()

    def __len__(self) -> int:
        """The number of addresses that are remembered."""
        return len(self._by_address)

    def enter(self) -> None:
        self.total += 1

    def leave(self) -> None:
        self.total -= 1

    def of(self, address: IPAddress) -> int:
        return self._by_address.get(address, 0)

    def enter_from(self, address: IPAddress) -> None:
        self._by_address[address] += 1

    def leave_from(self, address: IPAddress) -> None:
        self._by_address[address] -= 1
        if self._by_address[address] <= 0:
            del self._by_address[address]
