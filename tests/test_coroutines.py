"""Coroutines of user code, in a loop of asyncio's and without one."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail, succeed

from proxymux import coroutines
from proxymux.coroutines import _running, ended, lacks_asyncio, run


def in_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test that runs in a loop of asyncio's, and leaves no task and no unhandled failure."""

    def test_in_loop() -> None:
        problems: list[Any] = []

        async def check() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
            await test()
            await turns()
            assert not _running
            gc.collect()
            await turns()

        asyncio.run(check())
        assert problems == []

    test_in_loop.__doc__, test_in_loop.__name__ = test.__doc__, test.__name__
    return test_in_loop


async def turns() -> None:
    """Let whatever can happen happen."""
    for _ in range(20):
        await asyncio.sleep(0)


class Waiting:
    """A coroutine that waits for what a test has, and notes what comes of it."""

    def __init__(self, wanted: Callable[[], Awaitable[object]]) -> None:
        self.notes: list[object] = []
        self.results: list[Any] = []
        self.deferred = run(self._wait(wanted))
        self.deferred.addBoth(self.results.append)

    async def _wait(self, wanted: Callable[[], Awaitable[object]]) -> object:
        try:
            return await wanted()
        except BaseException as error:
            self.notes.append(type(error))
            raise
        finally:
            self.notes.append("end")


# In a loop


@in_loop
async def test_it_runs_as_a_task_and_awaits_what_asyncio_has() -> None:
    async def coroutine() -> str:
        task = asyncio.current_task()
        assert task is not None
        await asyncio.sleep(0)
        async with asyncio.Lock():
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.001, future.set_result, "result")
            return str(await asyncio.wait_for(future, 30))

    assert await run(coroutine()).asFuture(asyncio.get_running_loop()) == "result"


@in_loop
async def test_it_may_await_deferreds_and_both_in_turn() -> None:
    later: Deferred[str] = Deferred()

    async def coroutine() -> list[str]:
        found = [await succeed("now")]
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.001, later.callback, "later")
        found.append(await later)
        await asyncio.sleep(0)
        with pytest.raises(ValueError, match="wrong"):
            await fail(ValueError("wrong"))
        found.append(await Deferred.fromFuture(asyncio.ensure_future(asyncio.sleep(0, "of both"))))
        return found

    done = run(coroutine()).asFuture(asyncio.get_running_loop())
    assert await done == ["now", "later", "of both"]


@in_loop
async def test_a_deferred_that_fails_later_raises_where_it_is_awaited() -> None:
    later: Deferred[object] = Deferred()
    waiting = Waiting(lambda: later)
    await turns()
    later.errback(ValueError("wrong"))
    await turns()
    assert waiting.notes == [ValueError, "end"]
    assert waiting.results[0].check(ValueError)


@in_loop
async def test_a_deferred_that_waits_for_another_is_waited_for_to_the_end() -> None:
    first: Deferred[object] = Deferred()
    second: Deferred[object] = Deferred()
    first.addCallback(lambda _: second)
    waiting = Waiting(lambda: first)
    await turns()
    first.callback(1)
    await turns()
    assert waiting.results == []
    second.callback(2)
    await turns()
    assert waiting.results == [2]


@in_loop
async def test_an_exception_is_its_failure() -> None:
    async def coroutine() -> None:
        await asyncio.sleep(0)
        raise ValueError("wrong")

    results: list[Any] = []
    run(coroutine()).addBoth(results.append)
    await turns()
    assert results[0].check(ValueError)


@in_loop
async def test_cancelling_it_cancels_what_it_awaits_of_asyncio() -> None:
    waiting = Waiting(lambda: asyncio.sleep(600))
    await turns()
    waiting.deferred.cancel()
    assert waiting.results[0].check(CancelledError), "it fires at once"
    await turns()
    assert waiting.notes == [asyncio.CancelledError, "end"]


@in_loop
async def test_cancelling_it_cancels_the_deferred_that_it_awaits_as_twisted_does() -> None:
    cancelled: list[Deferred[object]] = []
    waiting = Waiting(lambda: Deferred(cancelled.append))
    await turns()
    waiting.deferred.cancel()
    await turns()
    assert len(cancelled) == 1
    assert waiting.notes == [CancelledError, "end"]
    assert waiting.results[0].check(CancelledError)


@in_loop
async def test_cancelling_it_in_the_turn_in_which_a_deferred_has_fired_cancels_it_too() -> None:
    later: Deferred[None] = Deferred()

    async def both() -> None:
        await later
        await asyncio.sleep(600)

    waiting = Waiting(both)
    await turns()
    later.callback(None)
    waiting.deferred.cancel()
    await turns()
    assert waiting.notes == [asyncio.CancelledError, "end"]


@in_loop
async def test_cancelling_it_before_it_has_begun_is_harmless() -> None:
    waiting = Waiting(lambda: asyncio.sleep(600))
    waiting.deferred.cancel()
    await turns()
    assert waiting.notes == []
    assert waiting.results[0].check(CancelledError)


@in_loop
async def test_one_that_goes_on_after_it_was_cancelled_is_heard_no_more() -> None:
    async def coroutine() -> None:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            raise ValueError("while it cleans up") from None

    results: list[Any] = []
    deferred = run(coroutine())
    deferred.addBoth(results.append)
    await turns()
    deferred.cancel()
    await turns()
    assert len(results) == 1
    assert results[0].check(CancelledError)


@in_loop
async def test_a_time_limit_of_asyncios_cancels_a_deferred() -> None:
    cancelled: list[Deferred[object]] = []

    async def waits() -> None:
        await Deferred(cancelled.append)

    async def coroutine() -> str:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        loop.call_later(0.001, task.cancel)  # as asyncio.timeout() does, which Python has from 3.11
        try:
            await waits()
        except asyncio.CancelledError:
            if hasattr(task, "uncancel"):
                task.uncancel()
            return "in time"
        return "too late"

    assert await run(coroutine()).asFuture(asyncio.get_running_loop()) == "in time"
    assert len(cancelled) == 1


@in_loop
async def test_nobody_else_needs_to_refer_to_it() -> None:
    found: list[object] = []
    loop = asyncio.get_running_loop()

    async def coroutine() -> None:
        future = loop.create_future()
        loop.call_later(0.002, future.set_result, 1)
        found.append(await future)

    run(coroutine())
    gc.collect()
    await asyncio.sleep(0.001)
    gc.collect()
    while not found:
        await asyncio.sleep(0)
    assert found == [1]


@in_loop
async def test_who_stops_waits_for_those_that_clean_up() -> None:
    found: list[str] = []

    async def cleans_up() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0.001)
            found.append("clean")

    deferred = run(cleans_up())
    deferred.addErrback(lambda failure: failure.trap(CancelledError))
    await turns()
    deferred.cancel()
    await ended().asFuture(asyncio.get_running_loop())
    assert found == ["clean"]


@in_loop
async def test_but_not_for_ever() -> None:
    stubborn = Waiting(asyncio.get_running_loop().create_future)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coroutines, "_GRACE", 0.001)
        await ended().asFuture(asyncio.get_running_loop())
    assert stubborn.results == []
    stubborn.deferred.cancel()


def test_without_tasks_there_is_nothing_to_wait_for() -> None:
    assert ended().called


# Without a loop


def test_without_a_loop_it_is_run_at_once_up_to_the_first_deferred() -> None:
    later: Deferred[object] = Deferred()
    waiting = Waiting(lambda: later)
    assert waiting.results == []
    later.callback(1)
    assert waiting.results == [1]


@pytest.mark.parametrize(
    "make", [lambda: asyncio.sleep(1), lambda: asyncio.wait_for(Deferred(), 1), lambda: asyncio.to_thread(print)]
)
def test_without_a_loop_it_is_known_what_asyncio_lacks(make: Callable[[], Awaitable[object]]) -> None:
    waiting = Waiting(make)
    assert lacks_asyncio(waiting.results[0].value)


def test_so_it_is_for_a_future_of_a_loop_that_does_not_run() -> None:
    loop = asyncio.new_event_loop()
    waiting = Waiting(loop.create_future)
    assert lacks_asyncio(waiting.results[0].value)
    loop.close()


@pytest.mark.parametrize("name", ["AsyncLibraryNotFoundError", "NoEventLoopError"])
def test_so_it_is_by_the_libraries_on_which_httpx_is_built(name: str) -> None:
    assert lacks_asyncio(type(name, (RuntimeError,), {})("in their own words"))


@pytest.mark.parametrize(
    "error", [RuntimeError(), RuntimeError(7), RuntimeError("other"), ValueError("no running event loop")]
)
def test_other_errors_are_no_complaint_of_asyncios(error: Exception) -> None:
    assert not lacks_asyncio(error)
