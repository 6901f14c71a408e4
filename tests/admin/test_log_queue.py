"""The queue of a log: that nobody who logs waits, that the order is kept, and that what is lost is counted and said."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock

from proxymux.admin.log_queue import MAX_QUEUED, STOP_LIMIT, LogQueue
from tests.conftest import until

FULL = OSError(28, "No space left on device")
HALF = MAX_QUEUED // 2


class Written:
    """A sink whose ways a test says: it takes what it is given, or waits, or fails."""

    def __init__(self) -> None:
        #: What was written to each of the files, one for each time that it was opened.
        self.files: list[list[Any]] = [[]]
        self.error: OSError | None = None
        #: Raised once.
        self.failure: Exception | None = None
        self.takes = 1000
        self.no_reopening: OSError | None = None
        self.is_closed = False
        self.is_open = threading.Event()
        self.is_open.set()

    def write(self, items: Sequence[Any]) -> int:
        if not self.is_open.wait(0 if self.takes == 0 else 30):
            return 0
        if self.error is not None:
            raise self.error
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        self.files[-1] += items[: self.takes]
        return min(self.takes, len(items))

    def reopen(self) -> None:
        if self.no_reopening is not None:
            raise self.no_reopening
        self.files.append([])

    def close(self) -> None:
        self.is_closed = True


class Threads:
    """What a reactor has for other threads; the test runs what they want."""

    def __init__(self) -> None:
        self._calls: queue.Queue[Callable[[], None]] = queue.Queue()

    def callFromThread(self, call: Callable[[], None]) -> None:
        self._calls.put(call)

    def run(self) -> None:
        self._calls.get(timeout=30)()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def sink() -> Written:
    return Written()


@pytest.fixture
def log(sink: Written, told: list[str]) -> Iterator[LogQueue[Any]]:
    log: LogQueue[Any] = LogQueue(sink, "lines", told.append)
    yield log
    sink.is_open.set()
    log.close_within(0)


def closed(log: LogQueue[Any], reactor: Threads, clock: Clock) -> list[None]:
    over: list[None] = []
    log.closed(cast("IReactorFromThreads", reactor), clock).addCallback(over.append)
    return over


def test_what_is_put_is_written_in_its_order(log: LogQueue[Any], sink: Written) -> None:
    for number in range(1000):
        log.put(number, 10)
    assert log.close_within(30)
    assert sink.files == [[*range(1000)]]
    assert sink.is_closed


def test_a_part_that_was_written_is_not_written_again(log: LogQueue[Any], sink: Written) -> None:
    sink.takes = 3
    for number in range(10):
        log.put(number, 10)
    assert log.close_within(30)
    assert sink.files == [[*range(10)]]


def test_whoever_puts_never_waits_and_what_is_lost_is_said_once_and_counted(
    log: LogQueue[Any], sink: Written, told: list[str]
) -> None:
    sink.is_open.clear()
    for number in range(5):
        log.put(number, HALF)
    assert told == ["lines are lost: it is not written as fast as they come"]
    sink.is_open.set()
    until(lambda: len(told) == 2, "the number of the lost")
    assert told[1] == "written again; 3 lines were lost"
    log.put(5, 10)
    assert log.close_within(30)
    assert sink.files == [[0, 1, 5]]


def test_one_item_that_is_larger_than_the_queue_is_written(log: LogQueue[Any], sink: Written) -> None:
    log.put("large", 2 * MAX_QUEUED)
    assert log.close_within(30)
    assert sink.files == [["large"]]


def test_what_is_over_the_limit_on_purpose_keeps_its_place(log: LogQueue[Any], sink: Written) -> None:
    sink.is_open.clear()
    for number in range(3):
        log.put(number, HALF)
    log.put_over("some are lost here", 20)
    sink.is_open.set()
    assert log.close_within(30)
    assert sink.files == [[0, 1, "some are lost here"]]


def test_a_full_disk_is_said_once_and_what_fits_in_the_queue_is_written_later(
    log: LogQueue[Any], sink: Written, told: list[str]
) -> None:
    sink.error = FULL
    log.put(1, 10)
    until(lambda: told, "the error")
    log.put(2, 10)
    sink.error = None
    until(lambda: len(told) == 2, "that it goes on")
    assert told == [
        "cannot be written: No space left on device; up to 4 MiB of lines are kept",
        "written again; 0 lines were lost",
    ]
    assert sink.files == [[1, 2]]


def test_what_a_full_disk_does_not_keep_is_said_with_the_reason(
    log: LogQueue[Any], sink: Written, told: list[str]
) -> None:
    sink.error = FULL
    log.put(0, HALF)
    until(lambda: told, "the error")
    for number in range(1, 4):
        log.put(number, HALF)
    assert told[1:] == ["lines are lost: No space left on device"]
    sink.error = None
    until(lambda: len(told) == 3, "that it goes on")
    assert told[2] == "written again; 2 lines were lost"


def test_an_item_that_raises_is_lost_and_the_others_are_written(
    log: LogQueue[Any], sink: Written, told: list[str]
) -> None:
    sink.is_open.clear()
    sink.failure = ValueError("not a text")
    log.put(1, 10)
    log.put(2, 10)
    sink.is_open.set()
    assert log.close_within(30)
    assert sink.files == [[2]]
    assert told == ["written again; 1 lines were lost"]


# Reopening


def test_the_file_is_opened_again_after_what_was_put_before(log: LogQueue[Any], sink: Written) -> None:
    sink.is_open.clear()
    log.put(1, 10)
    log.put(2, 10)
    log.reopen()
    log.put(3, 10)
    sink.is_open.set()
    assert log.close_within(30)
    assert sink.files == [[1, 2], [3]]


def test_a_file_that_cannot_be_written_is_opened_again_at_once(log: LogQueue[Any], sink: Written) -> None:
    sink.error = FULL
    log.put(1, 10)
    log.reopen()
    until(lambda: len(sink.files) == 2, "the new file")
    sink.error = None
    assert log.close_within(30)
    assert sink.files == [[], [1]]


def test_an_idle_log_is_opened_again_and_one_that_was_never_written_too(log: LogQueue[Any], sink: Written) -> None:
    log.reopen()
    until(lambda: len(sink.files) == 2, "the second file")
    log.reopen()
    until(lambda: len(sink.files) == 3, "the third file")


def test_a_file_that_cannot_be_opened_again_is_said_and_the_old_one_stays(
    log: LogQueue[Any], sink: Written, told: list[str]
) -> None:
    sink.no_reopening = OSError(21, "Is a directory")
    log.reopen()
    log.put(1, 10)
    assert log.close_within(30)
    assert told == ["not reopened, the old file stays: Is a directory"]
    assert sink.files == [[1]]


# The stop


def test_the_stop_waits_for_what_is_still_to_be_written(log: LogQueue[Any], sink: Written) -> None:
    reactor, clock = Threads(), Clock()
    sink.is_open.clear()
    log.put(1, 10)
    over = closed(log, reactor, clock)
    assert over == []
    sink.is_open.set()
    reactor.run()
    assert (over, sink.files, sink.is_closed) == ([None], [[1]], True)
    assert clock.getDelayedCalls() == []


def test_the_stop_waits_no_longer_than_its_limit_and_says_what_was_lost(
    log: LogQueue[Any], sink: Written, told: list[str]
) -> None:
    clock = Clock()
    sink.is_open.clear()
    for number in range(3):
        log.put(number, 10)
    over = closed(log, Threads(), clock)
    clock.advance(STOP_LIMIT - 0.1)
    assert over == []
    clock.advance(0.1)
    assert over == [None]
    assert told == ["3 lines were lost at the stop: they could not be written"]


def test_a_file_that_takes_nothing_now_does_not_keep_the_thread(log: LogQueue[Any], sink: Written) -> None:
    sink.takes = 0
    log.put(1, 10)
    assert not log.close_within(0.05)
    until(lambda: sink.is_closed, "the file to be closed")


def test_a_queue_that_was_never_used_is_closed_at_once(sink: Written, told: list[str]) -> None:
    log: LogQueue[Any] = LogQueue(sink, "lines", told.append)
    assert log.close_within(0)
    assert sink.is_closed
