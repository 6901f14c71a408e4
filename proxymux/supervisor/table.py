"""The table: memory that the processes of a service share, for what its limits and counters need of all of them.

Each process has a row, which it alone writes; whoever wants a sum reads all rows.  So nobody waits for a lock, and what
a process that dies has counted stays.  The arrival times of ``--max-rate`` and ``--max-failures`` alone are written by
all: of two that write the same one in the same instant, one is not counted.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from dataclasses import dataclass
from typing import Final

#: The most processes of a service at a time: workers, and those that drain after a rollover.
MOST_ROWS: Final = 128
#: Cells of a row, each a double of 8 bytes, which counts up to 2**53 exactly.
ROW_CELLS: Final = 512
#: The cell of a row in which the process counts its clients.
PRESENT: Final = 0
#: The cell in which it notes how many sessions have ended there.
ENDED: Final = 1
#: The first cell of the service's counters.
COUNTERS: Final = 8
_CELL: Final = 8
#: Addresses that a row can count separately (``--max-per-client``).
_ADDRESSES: Final = 1 << 14
#: Sets of arrival times: those of ``--max-rate`` and those of ``--max-failures``.
RATES: Final = 0
FAILURES: Final = 1
_SETS: Final = 2
#: Addresses whose arrival times are kept, in each set.
_TIMES: Final = 1 << 16
#: How many places of a hash table are looked at for a key.
_PROBES: Final = 16


@dataclass(frozen=True, slots=True)
class TableSize:
    """What a table has.

    :param counts_addresses: the clients of each address are counted.
    """

    counts_addresses: bool

    @property
    def rows_size(self) -> int:
        """Bytes of all rows."""
        return (MOST_ROWS + 1) * ROW_CELLS * _CELL

    @property
    def addresses_size(self) -> int:
        """Bytes of the clients of each address in all rows."""
        return MOST_ROWS * _ADDRESSES * 2 * _CELL if self.counts_addresses else 0

    @property
    def size(self) -> int:
        """Bytes of the table.  What is never written takes no memory."""
        return self.rows_size + self.addresses_size + _SETS * _TIMES * 2 * _CELL


class Table:
    """The table, mapped into this process.

    :param descriptor: of the memory, which must stay open; see :func:`make_memory`.
    """

    def __init__(self, descriptor: int, size: TableSize) -> None:
        self.descriptor = descriptor
        self.size = size
        self._map = mmap.mmap(descriptor, size.size)
        self._bytes = memoryview(self._map)
        cells = self._bytes[: size.rows_size].cast("d")
        #: The first cell of all: the number of rows that may be in use.
        self._head = cells[:ROW_CELLS]
        self._cells = cells[ROW_CELLS:]

    @property
    def used(self) -> int:
        """Rows from this one on have never been used."""
        return int(self._head[0])

    def take(self, row: int) -> None:
        """Note that a row is in use, which the supervisor does before it starts its process."""
        self._head[0] = max(self._head[0], row + 1)

    def row(self, row: int) -> memoryview[float]:
        """The cells of a row."""
        return self._cells[row * ROW_CELLS : (row + 1) * ROW_CELLS]

    def rows(self) -> list[memoryview[float]]:
        """The rows that may be in use."""
        return [self.row(number) for number in range(self.used)]

    def column(self, cell: int) -> memoryview[float]:
        """One cell of all rows."""
        return self._cells[cell::ROW_CELLS]

    def addresses(self, row: int) -> HashTable:
        """The clients of each address, as the process of a row has counted them."""
        start = self.size.rows_size + row * _ADDRESSES * 2 * _CELL
        return HashTable(self._bytes[start : start + _ADDRESSES * 2 * _CELL])

    def times(self, number: int) -> SharedTimes:
        """A set of arrival times."""
        start = self.size.rows_size + self.size.addresses_size + number * _TIMES * 2 * _CELL
        return SharedTimes(self._bytes[start : start + _TIMES * 2 * _CELL])

    def clear(self, row: int) -> None:
        """Forget what is in a row, whose process has ended."""
        self.row(row)[:] = memoryview(bytes(ROW_CELLS * _CELL)).cast("d")
        if self.size.counts_addresses:
            self.addresses(row).clear()


class HashTable:
    """Numbers by a key of 64 bits other than 0, in shared memory: one process writes them, all read them."""

    def __init__(self, memory: memoryview) -> None:
        half = len(memory) // 2
        self._memory = memory
        self._keys = memory[:half].cast("Q")
        self._values = memory[half:].cast("q")
        self._mask = len(self._keys) - 1

    def get(self, key: int) -> int:
        """The number of ``key``; 0 if there is none."""
        at = self._find(key)
        return 0 if at is None else self._values[at]

    def add(self, key: int, change: int) -> None:
        """Change the number of ``key``.  Where its places are all taken it is not counted."""
        at = self._find(key)
        if at is None:
            at = self._room(key)
            if at is None or change < 0:
                return
            self._values[at] = 0
            self._keys[at] = key
        self._values[at] = max(0, self._values[at] + change)

    def clear(self) -> None:
        """Forget all."""
        self._memory[:] = bytes(len(self._memory))

    def _find(self, key: int) -> int | None:
        keys, mask = self._keys, self._mask
        for probe in range(_PROBES):
            at = (key + probe) & mask
            if keys[at] == key:
                return at
        return None

    def _room(self, key: int) -> int | None:
        for probe in range(_PROBES):
            at = (key + probe) & self._mask
            if not self._values[at]:
                return at
        return None


class SharedTimes:
    """Arrival times in shared memory, which all processes write."""

    def __init__(self, memory: memoryview) -> None:
        half = len(memory) // 2
        self._keys = memory[:half].cast("Q")
        self._times = memory[half:].cast("d")
        self._mask = len(self._keys) - 1

    def get(self, key: int) -> float:
        """The time of ``key``, in seconds; 0 if there is none."""
        keys, mask = self._keys, self._mask
        for probe in range(_PROBES):
            at = (key + probe) & mask
            if keys[at] == key:
                return float(self._times[at])
        return 0.0

    def set(self, key: int, time: float) -> None:
        """Replace the time of ``key``; where all its places are taken, that which is the least is forgotten."""
        places = [(key + probe) & self._mask for probe in range(_PROBES)]
        own = [at for at in places if self._keys[at] == key]
        at = own[0] if own else min(places, key=self._times.__getitem__)
        if not own:
            self._times[at] = 0.0  # nobody may read the time of the one before as that of this key
            self._keys[at] = key
        self._times[at] = time


def make_memory(size: TableSize) -> int:
    """Make the memory of a table.

    :returns: its descriptor.
    :raises OSError: if there is none to be had.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("proxymux", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size.size)
    return descriptor
