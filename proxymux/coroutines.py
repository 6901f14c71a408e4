"""Runs the coroutines of user code: as asyncio tasks where the reactor is asyncio's, and as Twisted does elsewhere."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Final, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, succeed

_T = TypeVar("_T")

#: What asyncio, and libraries that are made for it, say where it does not run.
_COMPLAINTS: Final = ("no running event loop", "await wasn't used with future", "used inside a task")
#: The error of ``sniffio``, on which httpx and anyio are built, in the same case.
_UNKNOWN_LIBRARY: Final = "AsyncLibraryNotFoundError"
#: What to do then.
REMEDY: Final = "asyncio has to be the reactor: twistd --reactor asyncio proxymux ..."

#: Seconds that tasks have to end in when the service stops.
_GRACE: Final = 1.0

#: The loop itself refers to its tasks only weakly.
_running: set[asyncio.Task[object]] = set()


def run(coroutine: Coroutine[Deferred[object], object, _T]) -> Deferred[_T]:
    """Run a coroutine, which may await Deferreds everywhere, and what asyncio has under asyncio's reactor.

    :returns: fires with its result.  Cancelling it cancels what the coroutine awaits; it fires then, at the latest.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return ensureDeferred(coroutine)
    return _Task(coroutine, loop).done


def ended() -> Deferred[None]:
    """Fires when no task runs any more, or after a second: those that were cancelled may have to clean up."""
    if not _running:
        return succeed(None)
    waiting = asyncio.ensure_future(asyncio.wait(set(_running), timeout=_GRACE))
    return Deferred.fromFuture(waiting).addCallback(lambda _: None)


def lacks_asyncio(error: BaseException) -> bool:
    """True if user code has failed because it wants asyncio, which does not run."""
    if type(error).__name__ == _UNKNOWN_LIBRARY:
        return True
    complaint = error.args[0] if isinstance(error, RuntimeError) and error.args else None
    return isinstance(complaint, str) and any(each in complaint for each in _COMPLAINTS)


class _Task(Generic[_T]):
    """An asyncio task whose coroutine may await Deferreds, too."""

    def __init__(self, coroutine: Coroutine[Deferred[object], object, _T], loop: asyncio.AbstractEventLoop) -> None:
        self._coroutine = coroutine
        self._loop = loop
        #: The Deferred that the coroutine waits for; None while it waits for asyncio.
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
            if not future.done():
                future.set_result(None)
            return result

        self._awaited = deferred.addBoth(fired)
        try:
            yield from future
        except BaseException:  # asyncio's timeout, for example, cancels the task
            deferred.addErrback(lambda _: None).cancel()
            raise
        finally:
            self._awaited = None

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
