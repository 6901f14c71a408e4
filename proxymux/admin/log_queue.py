"""The queue before the thread that writes a log: a disk, pipe or terminal that is slow keeps no client waiting.

What is put into the queue is written in its order.  What cannot be written yet is kept, up to :data:`MAX_QUEUED`
bytes; more is lost, counted, and said once when it begins and once, with its number, when it is over.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime

#: The most bytes that wait to be written.
MAX_QUEUED: Final = 4 << 20
#: Seconds that a stop waits for what is still to be written.
STOP_LIMIT: Final = 2.0
#: The most items that are written at once: more would keep the reactor waiting for the interpreter.
_BATCH: Final = 128
#: Seconds between two batches.  Every wake-up of the thread takes the interpreter from the reactor for a moment; with a
#: pause there are few of them, whatever the load.  What comes to an idle queue is written at once.
_PAUSE: Final = 0.05
#: Seconds until what could not be written is tried again.
_RETRY: Final = 0.5

_Item = TypeVar("_Item")
_Written = TypeVar("_Written", contravariant=True)


class Sink(Protocol[_Written]):
    """What a queue's items are written to.  Once there is a thread, only that calls it."""

    def write(self, items: Sequence[_Written]) -> int:
        """Write items, from the first on.

        :returns: how many were written whole; with 0 it is tried again soon.
        :raises OSError: if the first could not be written; nothing is left of it.
        """

    def reopen(self) -> None:
        """Open the file again by its name.

        :raises OSError: if it cannot be opened; the old one stays.
        """

    def close(self) -> None:
        """Close the file."""


class LogQueue(Generic[_Item]):
    """Has a thread write what is put into it.  The thread begins with the first item.

    :param sink: is written to.
    :param what: what the items are, in the plural, for ``tell``.
    :param tell: called with one line for the operator, in the thread that writes or in the one that puts.
    """

    def __init__(self, sink: Sink[_Item], what: str, tell: Callable[[str], None]) -> None:
        self._sink = sink
        self._what = what
        self._tell = tell
        self._items: deque[tuple[_Item, int]] = deque()
        self._size = 0
        #: How many were lost since it was last said.
        self._lost = 0
        #: It was full, and is not half empty yet: whoever reads it is told once of each gap.
        self._is_losing = False
        #: The error of the last write; None if there was none.
        self._obstacle: str | None = None
        #: How many items are to be written before the file is opened again; None if it is not to be.
        self._reopens_after: int | None = None
        self._is_closing = self._is_abandoned = False
        self._when_closed: Callable[[], None] | None = None
        self._lock = threading.Lock()
        #: Released to wake the thread.
        self._bell = threading.Lock()
        self._bell.acquire()
        self._is_awake = True
        self._thread: threading.Thread | None = None

    def put(self, item: _Item, size: int) -> None:
        """Have ``item`` written, if there is room for it.

        :param size: its bytes.
        """
        with self._lock:
            loses = self._is_losing or (self._size > 0 and self._size + size > MAX_QUEUED)
            if not loses:
                self._items.append((item, size))
                self._size += size
                if not self._is_awake:
                    self._ring()
                if self._thread is None:
                    self._begin()
                return
            is_first = not self._is_losing
            self._is_losing = True
            self._lost += 1
        if is_first:
            reason = self._obstacle or "it is not written as fast as they come"
            self._tell(f"{self._what} are lost: {reason}")

    def put_over(self, item: _Item, size: int) -> None:
        """Have ``item`` written even if there is no room: the line that says that others are lost."""
        with self._lock:
            self._items.append((item, size))
            self._size += size
            self._ring()

    def reopen(self) -> None:
        """Have the file opened again, after what is in the queue; at once if that cannot be written."""
        with self._lock:
            self._reopens_after = len(self._items)
            if self._thread is None:
                self._begin()
            self._ring()

    def close(self, done: Callable[[], None]) -> None:
        """Have the file closed after what is in the queue.

        :param done: called then, in the thread that writes; never if that cannot go on.
        """
        with self._lock:
            self._when_closed = done
            self._is_closing = True
            has_thread = self._thread is not None
            self._ring()
        if not has_thread:
            self._end()

    def abandon(self) -> None:
        """After :meth:`close`: write no more."""
        with self._lock:
            self._is_abandoned = True
            self._lost += len(self._items)
            lost, self._lost = self._lost, 0
            self._items.clear()
            self._ring()
        if lost:
            self._tell(f"{lost} {self._what} were lost at the stop: {self._obstacle or 'they could not be written'}")

    def closed(self, reactor: IReactorFromThreads, clock: IReactorTime) -> Deferred[None]:
        """Close, and return a Deferred that fires when the file is closed, after :data:`STOP_LIMIT` seconds at most.

        :param clock: measures them.
        """
        over: Deferred[None] = Deferred()

        def end() -> None:
            if not over.called:
                timer.cancel()
                over.callback(None)

        def give_up() -> None:
            self.abandon()
            over.callback(None)

        timer = clock.callLater(STOP_LIMIT, give_up)
        self.close(lambda: reactor.callFromThread(end))
        return over

    def close_within(self, seconds: float) -> bool:
        """Close, and wait for it.

        :returns: True if all was written.
        """
        closed = threading.Event()
        self.close(closed.set)
        is_closed = closed.wait(seconds)
        if not is_closed:
            self.abandon()
        return is_closed

    def _ring(self) -> None:
        """Wake the thread; called with the lock."""
        self._is_awake = True
        if self._bell.locked():
            self._bell.release()

    def _begin(self) -> None:
        thread = threading.Thread(target=self._run, name="proxymux log", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads; the next item is another try
            return
        self._thread = thread

    # In the thread

    def _run(self) -> None:
        while not self._is_abandoned:
            batch = self._next()
            if batch is None:
                self._reopen()
            elif batch:
                pause = self._write(batch)
                if pause:
                    self._bell.acquire(timeout=pause)
            elif self._is_closing:
                break
            else:
                self._bell.acquire()
        self._end()

    def _next(self) -> list[_Item] | None:
        """The items that are to be written next; None if the file is to be opened again before."""
        with self._lock:
            if self._reopens_after == 0:
                self._reopens_after = None
                return None
            self._is_awake = bool(self._items)
            return [item for item, _ in islice(self._items, min(_BATCH, self._reopens_after or _BATCH))]

    def _write(self, batch: list[_Item]) -> float:
        """Write a batch, and return the seconds to pause then, unless the bell rings."""
        try:
            count = self._sink.write(batch)
        except OSError as error:
            self._failed(error)
            count, pause = 0, _RETRY
        except Exception:  # of an observer that is not ours; the thread has to go on
            count, pause = 1, _PAUSE
            with self._lock:
                self._lost += 1
        else:
            pause = _PAUSE if count else 0.0
        with self._lock:
            for _ in range(min(count, len(self._items))):  # none is left if they were abandoned meanwhile
                self._size -= self._items.popleft()[1]
            if self._reopens_after is not None:
                self._reopens_after = self._reopens_after - count if count else 0
            is_behind = len(self._items) > _BATCH or self._is_closing
        if count:
            self._went_on()
        return 0.0 if count and is_behind else pause

    def _failed(self, error: OSError) -> None:
        reason = error.strerror or type(error).__name__
        if self._obstacle is None and not self._is_losing:
            self._tell(f"cannot be written: {reason}; up to {MAX_QUEUED >> 20} MiB of {self._what} are kept")
        self._obstacle = reason

    def _went_on(self) -> None:
        """Tell the operator if it can be written again."""
        with self._lock:
            if self._is_losing and self._size > MAX_QUEUED // 2:
                return
            self._is_losing = False
            lost, self._lost = self._lost, 0
            was_obstructed, self._obstacle = self._obstacle is not None, None
        if was_obstructed or lost:
            self._tell(f"written again; {lost} {self._what} were lost")

    def _reopen(self) -> None:
        try:
            self._sink.reopen()
        except OSError as error:
            self._tell(f"not reopened, the old file stays: {error.strerror or type(error).__name__}")

    def _end(self) -> None:
        try:
            self._sink.close()
        except OSError:
            pass  # what could not be written was told
        if self._when_closed is not None:
            self._when_closed()
