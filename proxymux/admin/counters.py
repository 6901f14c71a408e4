"""The counters of a service: a row of numbers with a fixed layout, which one process writes and anybody adds up.

All values of all labels are known beforehand, so that a row is a buffer of doubles: an array, or a part of a table that
several processes map.  Every cell is additive: the rows of several workers, added cell by cell, are the service's.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from proxymux.core.outcome import ConnectFault, Outcome, Record

#: The upper bounds of the buckets of phases, in seconds; one more bucket has what took longer.
PHASE_BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
#: Those of whole connections.
CONNECTION_BOUNDS: Final = (0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
#: How a pooled request ended: well, or with the outcome that its client was told.
RESULTS: Final = ("ok", *(outcome.value for outcome in Outcome))
#: Whether a reload has read everything.
RELOADS: Final = ("ok", "failed")
DIRECTIONS: Final = ("in", "out")


@dataclass(frozen=True, slots=True)
class Histogram:
    """The cells of one histogram: its buckets, which are not cumulative, then the sum of the samples.

    The number of samples has no cell, as it is what the buckets hold together.

    :param field: the field of a record that has the samples.
    :param start: the first cell.
    """

    field: str
    bounds: tuple[float, ...]
    start: int

    @property
    def sum_cell(self) -> int:
        """The cell of the sum."""
        return self.start + len(self.bounds) + 1


_FIELDS: Final = {
    "decide_seconds": PHASE_BOUNDS,
    "connect_seconds": PHASE_BOUNDS,
    "first_byte_seconds": PHASE_BOUNDS,
    "seconds": CONNECTION_BOUNDS,
}


def _histograms(start: int) -> tuple[Histogram, ...]:
    made = []
    for field, bounds in _FIELDS.items():
        made.append(Histogram(field, bounds, start))
        start = made[-1].sum_cell + 1
    return tuple(made)


#: Where in a row each group of cells begins.  Its cells follow in the order of the values of its label.
OUTCOME_CELLS: Final = 0
BYTE_CELLS: Final = OUTCOME_CELLS + len(Outcome)
HISTOGRAMS: Final = _histograms(BYTE_CELLS + len(DIRECTIONS))
FAULT_CELLS: Final = HISTOGRAMS[-1].sum_cell + 1
RESULT_CELLS: Final = FAULT_CELLS + len(ConnectFault)
RELOAD_CELLS: Final = RESULT_CELLS + len(RESULTS)
HANDED_OVER_CELL: Final = RELOAD_CELLS + len(RELOADS)
#: The number of cells of a row.
SIZE: Final = HANDED_OVER_CELL + 1

_OUTCOME_CELL: Final = {outcome: OUTCOME_CELLS + index for index, outcome in enumerate(Outcome)}
_FAULT_CELL: Final = {fault: FAULT_CELLS + index for index, fault in enumerate(ConnectFault)}
_RESULT_CELL: Final = {result: RESULT_CELLS + index for index, result in enumerate(RESULTS)}
_BYTES_IN, _BYTES_OUT = BYTE_CELLS, BYTE_CELLS + 1
_DECIDE, _CONNECT, _FIRST_BYTE, _SECONDS = (histogram.start for histogram in HISTOGRAMS)
_DECIDE_SUM, _CONNECT_SUM, _FIRST_BYTE_SUM, _SECONDS_SUM = (histogram.sum_cell for histogram in HISTOGRAMS)


class Cells(Protocol):
    """A row of cells: an array of doubles, or a part of a table that other processes read."""

    def __getitem__(self, index: int, /) -> float: ...
    def __setitem__(self, index: int, value: float, /) -> None: ...


class Counters:
    """Counts what happens in one service of one process.

    :param cells: :data:`SIZE` doubles that nobody else writes; None makes them.  What they hold is kept.
    """

    def __init__(self, cells: Cells | None = None) -> None:
        self.cells: Cells = cells if cells is not None else array("d", bytes(8 * SIZE))
        #: The bytes of live sessions that are counted already, by the sessions' numbers.
        self._counted: dict[int, tuple[int, int]] = {}
        #: Bytes that were counted and turned out not to be delivered, by their cells: they are taken from those to
        #: come, as a counter must not go down.
        self._owed: dict[int, int] = {}

    def note(self, record: Record) -> None:
        """Count a session that has ended; an observer of its service."""
        cells = self.cells
        # Written out, as every connection pays for it: a loop over the histograms takes twice as long.
        cells[_OUTCOME_CELL[record.outcome]] += 1
        if self._counted or self._owed:
            before = self._counted.pop(record.session, (0, 0))
            self._add_bytes(record.bytes_in - before[0], record.bytes_out - before[1])
        else:
            cells[_BYTES_IN] += record.bytes_in
            cells[_BYTES_OUT] += record.bytes_out
        value = record.decide_seconds
        if value is not None:
            cells[_DECIDE + bisect_left(PHASE_BOUNDS, value)] += 1
            cells[_DECIDE_SUM] += value
        value = record.connect_seconds
        if value is not None:
            cells[_CONNECT + bisect_left(PHASE_BOUNDS, value)] += 1
            cells[_CONNECT_SUM] += value
        value = record.first_byte_seconds
        if value is not None:
            cells[_FIRST_BYTE + bisect_left(PHASE_BOUNDS, value)] += 1
            cells[_FIRST_BYTE_SUM] += value
        cells[_SECONDS + bisect_left(CONNECTION_BOUNDS, record.seconds)] += 1
        cells[_SECONDS_SUM] += record.seconds

    def count_live(self, delivered: Iterable[tuple[int, int, int]]) -> None:
        """Count what live sessions have delivered since the last call.

        :param delivered: for each live session its number and the bytes that it has delivered from and to the client.
        """
        for number, bytes_in, bytes_out in delivered:
            before = self._counted.get(number, (0, 0))
            if (bytes_in, bytes_out) != before:
                self._counted[number] = bytes_in, bytes_out
                self._add_bytes(bytes_in - before[0], bytes_out - before[1])

    def connect_failed(self, fault: ConnectFault) -> None:
        """Count an attempt to connect that has failed."""
        self.cells[_FAULT_CELL[fault]] += 1

    def requests(self, result: str, count: int) -> None:
        """Count pooled requests that have ended.

        :param result: one of :data:`RESULTS`.
        """
        self.cells[_RESULT_CELL[result]] += count

    def reloaded(self, is_complete: bool) -> None:
        """Count a reload; ``is_complete`` if everything could be read."""
        self.cells[RELOAD_CELLS + (not is_complete)] += 1

    def counted(self, number: int) -> tuple[int, int]:
        """The bytes in and out of a live session that are counted already: for :meth:`adopt` in another process."""
        return self._counted.get(number, (0, 0))

    def release(self, number: int) -> None:
        """Count a session no more here, as another process has taken it over."""
        self._counted.pop(number, None)

    def adopt(self, number: int, counted: tuple[int, int]) -> None:
        """Take a session over from another process, which has counted a part of its bytes."""
        self.cells[HANDED_OVER_CELL] += 1
        if counted != (0, 0):
            self._counted[number] = counted

    def _add_bytes(self, bytes_in: int, bytes_out: int) -> None:
        for cell, size in ((_BYTES_IN, bytes_in), (_BYTES_OUT, bytes_out)):
            size -= self._owed.pop(cell, 0)
            if size < 0:
                self._owed[cell] = -size
            else:
                self.cells[cell] += size


def add_up(rows: Iterable[Cells | Sequence[float]]) -> list[float]:
    """The cells of several rows of one service, added: those of its workers, say."""
    total = [0.0] * SIZE
    for row in rows:
        for index in range(SIZE):
            total[index] += row[index]
    return total
