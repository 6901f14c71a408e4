"""The rows of the table: one for each process of the service, and in the supervisor the sums of those that ended."""

from __future__ import annotations

import os

from proxymux.errors import ConfigError
from proxymux.supervisor.table import COUNTERS, ENDED, MOST_ROWS, PRESENT, ROW_CELLS, Table, TableSize, make_memory
from proxymux.supervisor.worker import Worker


class Rows:
    """Gives rows to the processes of a service.

    :param size: of the table.
    """

    def __init__(self, size: TableSize) -> None:
        self.size = size
        self._table: Table | None = None
        self._free = list(range(MOST_ROWS - 1, -1, -1))
        self._taken: dict[Worker, int] = {}
        #: What processes that have ended had counted.
        self._of_ended = [0.0] * (ROW_CELLS - COUNTERS)
        self._sessions_of_ended = 0.0

    def open(self) -> None:
        """Make the table.

        :raises ConfigError: if the system has no memory for it.
        """
        try:
            self._table = Table(make_memory(self.size), self.size)
        except (OSError, ValueError) as error:
            raise ConfigError("--workers", f"no memory for what workers share: {error}; allow more of it") from None

    @property
    def descriptor(self) -> int:
        """Of the table's memory."""
        assert self._table is not None
        return self._table.descriptor

    def take(self, worker: Worker) -> int:
        """The row of a process that is about to be started.

        :raises OSError: if there are too many processes.
        """
        if not self._free:
            raise OSError(None, f"{MOST_ROWS} processes are there, most of them draining; see --rollover-timeout")
        assert self._table is not None
        row = self._taken[worker] = self._free.pop()
        self._table.take(row)
        return row

    def give_back(self, worker: Worker) -> None:
        """Keep what a process that has ended had counted, and free its row."""
        row = self._taken.pop(worker, None)
        if row is None or self._table is None:
            return
        self._sessions_of_ended += self._table.row(row)[ENDED]
        for at, value in enumerate(self._table.row(row)[COUNTERS:]):
            if value:
                self._of_ended[at] += value
        self._table.clear(row)
        self._free.append(row)

    def counters(self, count: int) -> list[float]:
        """The sums of the first counters over all processes that are, and that were.

        :param count: the number of counters.
        """
        assert self._table is not None
        rows = [row[COUNTERS : COUNTERS + count] for row in self._table.rows()]
        return [sum(cells) for cells in zip(self._of_ended[:count], *rows, strict=True)]

    @property
    def connections(self) -> int:
        """The number of clients in all processes now."""
        return 0 if self._table is None else int(sum(row[PRESENT] for row in self._table.rows()))

    @property
    def ended(self) -> int:
        """The number of sessions that have ended; of a process that was killed, some of the last may be missing."""
        rows = [] if self._table is None else self._table.rows()
        return int(self._sessions_of_ended + sum(row[ENDED] for row in rows))

    def close(self) -> None:
        """Give up the table."""
        if self._table is not None:
            os.close(self._table.descriptor)
            self._table = None
