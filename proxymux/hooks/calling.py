"""Calls the user's functions and contains their errors: whatever they do ends one client at most."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from proxymux.coroutines import REMEDY, RunCoroutine, lacks_asyncio, run
from proxymux.errors import BadResult, DecisionFailed
from proxymux.hooks.hook import Hook
from proxymux.user_code import describe, place_of

#: Seconds of one call above which a plain function is reported to block the other clients.
SLOW: Final = 0.05
#: Seconds between two such reports, at least.
_SLOW_PAUSE: Final = 60.0

#: What functions return most, and nobody awaits.
_PLAIN: Final = frozenset((dict, str, type(None)))

_T = TypeVar("_T")


class Returns(Protocol):
    """Knows the line by which a function has come back: :class:`~proxymux.router.return_lines.ReturnLines`."""

    def take(self) -> str | None:
        """``file:line`` of the latest ``return``; None if there was none since the last call."""


class HookCaller:
    """Calls the functions of one router.

    :param filename: the router's file; errors name the last line of it that they went through.
    :param monotonic: a clock in seconds, for how long a function blocks.
    :param log: for functions that block.
    :param place: where the last decision was made, before there is one.
    :param returns: knows the lines by which functions come back; None if nobody does.
    :param run_coroutine: runs what the functions return to be awaited.
    """

    def __init__(
        self,
        filename: str,
        monotonic: Callable[[], float],
        log: Logger,
        place: str,
        returns: Returns | None = None,
        run_coroutine: RunCoroutine = run,
    ) -> None:
        self._filename = filename
        self._monotonic = monotonic
        self._log = log
        self._returns = returns
        self._run_coroutine = run_coroutine
        self._warned_at: float | None = None
        #: Where the last decision was made.
        self.decided_at = place
        #: Texts that need not be read again when a function returns them, and what they are.
        self.known: dict[str, Any] = {}
        #: How many calls took more than :data:`SLOW` seconds.
        self.slow = 0

    def call(self, hook: Hook, read: Callable[[object], _T], *arguments: object) -> _T | Deferred[_T]:
        """Call the user's function and read its result.

        :param read: turns the result into a value; raises BadResult.
        :returns: the value, or a Deferred of it where the function is async.
        :raises DecisionFailed: for every exception of the function and for a bad result.
        """
        started = self._monotonic()
        try:
            result = hook.function(*arguments[: hook.takes])
            if self._returns is not None:
                self.decided_at = self._place_of_return(hook)
            if type(result) not in _PLAIN and isinstance(result, Awaitable):  # to ask an abstract class takes long
                place = [self.decided_at]
                waiting = self._run_coroutine(self._awaited(hook, read, result, place))
                return waiting.addCallbacks(self._note_place, self._failed_awaiting, (place,), {}, (hook,))
        except BaseException as error:  # SystemExit too: a router must not end the process
            raise self._failed(hook, error) from None
        finally:
            taken = self._monotonic() - started
            if taken > SLOW:
                self._note_slow(hook, taken)
        if type(result) is str and result in self.known:
            value: _T = self.known[result]
            return value
        return self._read(hook, read, result, self.decided_at)

    def _failed_awaiting(self, failure: Failure, hook: Hook) -> NoReturn:
        failure.trap(DecisionFailed, GeneratorExit, CancelledError)
        if isinstance(failure.value, DecisionFailed):
            failure.raiseException()
        assert failure.value is not None
        raise self._failed(hook, failure.value)

    def _place_of_return(self, hook: Hook) -> str:
        """The line by which the function of ``hook`` has just come back; that of its definition if it is not known."""
        return (self._returns.take() if self._returns is not None else None) or hook.place

    def _note_place(self, value: _T, place: list[str]) -> _T:
        """Note where the decision was made that is about to be told."""
        self.decided_at = place[0]
        return value

    async def _awaited(
        self, hook: Hook, read: Callable[[object], _T], result: Awaitable[object], place: list[str]
    ) -> _T:
        try:
            value = await result
            if inspect.iscoroutine(result):  # its return is this moment's; of another awaitable it was the call's
                place[0] = self._place_of_return(hook)
        except GeneratorExit:
            raise
        except BaseException as error:
            raise self._failed(hook, error) from None
        return self._read(hook, read, value, place[0])

    def _read(self, hook: Hook, read: Callable[[object], _T], value: object, place: str) -> _T:
        try:
            return read(value)
        except BadResult as error:
            fault = f"{place}: {type(error).__name__}"
            raise DecisionFailed(f"{hook.place}: {hook.name} {error}", fault=fault) from None
        except BaseException as error:  # of a result whose own methods raise, or exit
            raise self._failed(hook, error) from None

    def _failed(self, hook: Hook, error: BaseException) -> DecisionFailed:
        place = place_of(error, self._filename) or place_of(error, hook.place.rpartition(":")[0]) or hook.place
        details = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        remedy = f"; {REMEDY}" if lacks_asyncio(error) else ""
        is_cancelled = isinstance(error, (CancelledError, asyncio.CancelledError))
        problem = f"{place}: {hook.name} raised {describe(error)}{remedy}"
        return DecisionFailed(problem, details, is_cancelled, f"{place}: {type(error).__name__}")

    def _note_slow(self, hook: Hook, taken: float) -> None:
        self.slow += 1
        now = self._monotonic()
        if self._warned_at is None or now - self._warned_at >= _SLOW_PAUSE:
            self._warned_at = now
            self._log.warn(
                "{place}: {name} blocked every client for {milliseconds:.0f} ms ({slow} times so far);"
                " make it async or faster",
                place=hook.place,
                name=hook.name,
                milliseconds=taken * 1000,
                slow=self.slow,
            )
