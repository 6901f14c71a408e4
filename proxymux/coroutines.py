"""Runs the coroutines of user code: as asyncio tasks where the reactor is asyncio's, and as Twisted does elsewhere."""

from __future__ import annotations

import asyncio
import selectors
import threading
import time
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Final, Generic, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, succeed
from twisted.python.failure import Failure

_T = TypeVar("_T")

#: What asyncio, and libraries that are made for it, say where it does not run.
_COMPLAINTS: Final = ("no running event loop", "await wasn't used with future", "used inside a task")
#: The errors of sniffio and anyio, on which httpx is built, in the same case.
_NO_LIBRARY: Final = frozenset(("AsyncLibraryNotFoundError", "NoEventLoopError"))
#: What to do then.
REMEDY: Final = "asyncio has to be the reactor: twistd --reactor asyncio ..."

#: Seconds that tasks have to end in when the service stops.
_GRACE: Final = 1.0

#: The loop itself refers to its tasks only weakly.
_running: set[asyncio.Task[object]] = set()


class RunCoroutine(Protocol):
    """A way to run coroutines: :func:`run`, or :meth:`OwnLoop.run`."""

    def __call__(self, coroutine: Coroutine[Deferred[object], object, _T], /) -> Deferred[_T]: ...


def run(coroutine: Coroutine[Deferred[object], object, _T]) -> Deferred[_T]:
    """Run a coroutine, which may await Deferreds everywhere, and what asyncio has under asyncio's reactor.

    :returns: fires with its result.  Cancelling it cancels what the coroutine awaits; it fires then, at the latest.
    """
    loop = _running_loop()
    return ensureDeferred(coroutine) if loop is None else _Task(coroutine, loop).done


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def ended() -> Deferred[None]:
    """Fires when no task runs any more, or after a second: those that were cancelled may have to clean up."""
    if not _running or _running_loop() is None:
        return succeed(None)
    waiting = asyncio.ensure_future(asyncio.wait(set(_running), timeout=_GRACE))
    return Deferred.fromFuture(waiting).addCallback(lambda _: None)


def lacks_asyncio(error: BaseException) -> bool:
    """True if user code has failed because it wants asyncio, which does not run."""
    if type(error).__name__ in _NO_LIBRARY:
        return True
    complaint = error.args[0] if isinstance(error, RuntimeError) and error.args else None
    return isinstance(complaint, str) and any(each in complaint for each in _COMPLAINTS)


class _Task(Generic[_T]):
    """An asyncio task whose coroutine may await Deferreds, too."""

    def __init__(self, coroutine: Coroutine[Deferred[object], object, _T], loop: asyncio.AbstractEventLoop) -> None:
        self._coroutine = coroutine
        self._loop = loop
        #: The Deferred that the coroutine waits for, if it has not fired; None while it waits for asyncio.
        self._awaited: Deferred[object] | None = None
        #: Fires when the task has ended, or is cancelled.
        self.done: Deferred[_T] = Deferred(self._cancel)
        self._task = loop.create_task(self._run())
        self._task.add_done_callback(self._ended)
        _running.add(self._task)

    async def _run(self) -> _T:
        return await self._steps(self._coroutine)

    @types.coroutine
    def _steps(self, coroutine: Coroutine[Deferred[object], object, _T]) -> Generator[object, object, _T]:
        """Let the coroutine go on until it awaits something; give that to the task unless it is a Deferred."""
        value: object = None
        error: BaseException | None = None
        while True:
            try:
                awaited: object = coroutine.send(value) if error is None else coroutine.throw(error)
            except StopIteration as end:
                result: _T = end.value
                return result
            value = error = None
            try:
                if isinstance(awaited, Deferred):
                    yield from self._fired(awaited)
                else:
                    value = yield awaited
            except BaseException as problem:
                error = problem

    def _fired(self, deferred: Deferred[object]) -> Generator[object, None, None]:
        """Wait until a Deferred has fired; what with, the coroutine asks it itself."""
        future: asyncio.Future[None] = self._loop.create_future()

        def fired(result: object) -> object:
            self._awaited = None
            if not future.done():
                future.set_result(None)
            return result

        self._awaited = deferred
        deferred.addBoth(fired)
        try:
            yield from future
        except BaseException:  # asyncio's timeout, for example, cancels the task
            deferred.addErrback(lambda _: None).cancel()
            raise

    def _cancel(self, _: Deferred[_T]) -> None:
        if self._awaited is not None:
            self._awaited.cancel()  # it fails, as where Twisted runs the coroutine
        else:
            self._task.cancel()

    def _ended(self, task: asyncio.Task[_T]) -> None:
        _running.discard(self._task)
        self._coroutine.close()  # Python warns of one that was cancelled before it has begun
        problem = CancelledError() if task.cancelled() else task.exception()
        if self.done.called:
            return
        if problem is None:
            self.done.callback(task.result())
        else:
            self.done.errback(problem)


class OwnLoop:
    """A loop of asyncio's that nobody else runs, for tests without a reactor.  It is made when it is needed.

    :param limit: seconds for all that it runs, from then on.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._loop: asyncio.SelectorEventLoop | None = None
        self._selector: _Selector | None = None
        self._is_closing = False

    def run(self, coroutine: Coroutine[Deferred[object], object, _T], /) -> Deferred[_T]:
        """Run a coroutine to its end.

        :returns: has fired, unless the coroutine awaits a Deferred that nothing here would fire, or the time is over.
        """
        if _running_loop() is not None:
            return run(coroutine)  # there cannot be two in one thread
        loop = self._loop or self._make()
        begun: list[Deferred[_T]] = []

        def stop(result: _T | Failure) -> _T | Failure:
            if not self._is_closing:
                loop.stop()
            return result

        loop.call_soon(lambda: begun.append(run(coroutine).addBoth(stop)))
        loop.run_forever()
        return begun[0]

    def _make(self) -> asyncio.SelectorEventLoop:
        self._selector = _Selector(time.monotonic() + self._limit)
        self._loop = asyncio.SelectorEventLoop(self._selector)
        self._selector.stop = self._loop.stop
        return self._loop

    def close(self) -> None:
        """Cancel what still runs, and close the loop."""
        if self._loop is None or self._selector is None:
            return
        self._is_closing, self._selector.stop = True, None
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.wait(tasks, timeout=_GRACE))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


class _Selector(selectors.DefaultSelector):
    """Waits for a loop, and stops it when there is nothing to wait for, or no more time."""

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self._deadline = deadline
        self._threads = threading.active_count()
        self.stop: Callable[[], None] | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.stop is None:
            return super().select(timeout)
        left = self._deadline - time.monotonic()
        # The one descriptor is the loop's own, by which other threads wake it.
        is_stuck = timeout is None and len(self.get_map()) <= 1 and threading.active_count() <= self._threads
        if left <= 0 or is_stuck:
            self.stop()
            return []
        return super().select(left if timeout is None else min(left, timeout))
