"""The clients of a service with workers, counted over all of them in the table."""

from __future__ import annotations

from proxymux.core.presence import IPAddress
from proxymux.core.rate_limit import key_of_bytes
from proxymux.supervisor.table import MOST_ROWS, PRESENT, Table


class SharedPresence:
    """A :class:`~proxymux.core.presence.Presence` in the table.

    Workers that admit clients in the same instant do not see each other's: so one more than the limit may come in for
    each.

    :param row: of this process.
    :param secret: makes the keys of addresses; the same in all processes.
    """

    def __init__(self, table: Table, row: int, secret: bytes) -> None:
        self._table = table
        self._row = row
        self._secret = secret
        self._present = table.column(PRESENT)
        self._by_address = [table.addresses(each) for each in range(MOST_ROWS)] if table.size.counts_addresses else []

    @property
    def total(self) -> int:
        return int(sum(self._present[: self._table.used]))

    def enter(self) -> None:
        self._present[self._row] += 1

    def leave(self) -> None:
        self._present[self._row] -= 1

    def of(self, address: IPAddress) -> int:
        key = self._key(address)
        return sum(each.get(key) for each in self._by_address[: self._table.used])

    def enter_from(self, address: IPAddress) -> None:
        self._by_address[self._row].add(self._key(address), 1)

    def leave_from(self, address: IPAddress) -> None:
        self._by_address[self._row].add(self._key(address), -1)

    def _key(self, address: IPAddress) -> int:
        return key_of_bytes(address.packed, self._secret)
