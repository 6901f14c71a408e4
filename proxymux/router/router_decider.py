"""The decider that asks a router.  Whatever the router's functions do ends one session at most."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.core.decision import Decision, from_result
from proxymux.core.excerpt import excerpt
from proxymux.core.identity import Client
from proxymux.coroutines import REMEDY, RunCoroutine, lacks_asyncio, run
from proxymux.errors import BadResult, DecisionFailed
from proxymux.interfaces import IDecider
from proxymux.router.loading import Hook, Router
from proxymux.user_code import describe, place_of

#: Seconds of one call above which a plain function is reported to block the other clients.
SLOW = 0.05
#: Seconds between two such reports, at least.
_SLOW_PAUSE = 60.0

_T = TypeVar("_T")


@implementer(IDecider)
class RouterDecider:
    """Decides by the functions of a router.

    :param router: has the functions.
    :param monotonic: a clock in seconds, for how long a function blocks.
    :param log: for error callbacks that raise and functions that block.
    :param run_coroutine: runs what the functions return to be awaited.
    """

    undecided_reply: bytes | None = None

    def __init__(
        self, router: Router, monotonic: Callable[[], float], log: Logger, run_coroutine: RunCoroutine = run
    ) -> None:
        self._router = router
        self._monotonic = monotonic
        self._log = log
        self._run_coroutine = run_coroutine
        self._warned_at: float | None = None
        self.name = router.name
        self.place = router.proxy.place
        self.greets = router.accepted is not None
        self.hears_failures = router.connect_error is not None
        #: How many calls took more than :data:`SLOW` seconds.
        self.slow = 0

    def accepted(self, client: Client) -> Decision | Deferred[Decision]:
        assert self._router.accepted is not None
        return self._decision(self._router.accepted, client)

    def decide(self, data: bytes, client: Client) -> Decision | Deferred[Decision]:
        return self._decision(self._router.proxy, data, client)

    def connect_error(self, remote: str, client: Client) -> bytes | Deferred[bytes]:
        return self._last_word(self._router.connect_error, remote, client)

    def inactivity_error(self, remote: str, client: Client) -> bytes | Deferred[bytes]:
        return self._last_word(self._router.inactivity_error, remote, client)

    def _decision(self, hook: Hook, *arguments: object) -> Decision | Deferred[Decision]:
        return self._outcome_of(hook, from_result, *arguments)

    def _last_word(self, hook: Hook | None, *arguments: object) -> bytes | Deferred[bytes]:
        if hook is None:
            return b""
        try:
            answer = self._outcome_of(hook, _as_last_word, *arguments)
        except DecisionFailed as error:
            return self._no_last_word(error)
        if isinstance(answer, Deferred):
            return answer.addErrback(self._failed_later)
        return answer

    def _failed_later(self, failure: Failure) -> bytes:
        failure.trap(DecisionFailed)
        assert isinstance(failure.value, DecisionFailed)
        return b"" if failure.value.is_cancelled else self._no_last_word(failure.value)

    def _no_last_word(self, error: DecisionFailed) -> bytes:
        self._log.error("{problem}", problem=error)
        return b""

    def _outcome_of(self, hook: Hook, read: Callable[[object], _T], *arguments: object) -> _T | Deferred[_T]:
        """Call the user's function and read its result.

        :param read: turns the result into a value; raises BadResult.
        :returns: the value, or a Deferred of it where the function is async.
        :raises DecisionFailed: for every exception of the function and for a bad result.
        """
        started = self._monotonic()
        try:
            result = hook(*arguments)
            if isinstance(result, Awaitable):
                waiting = self._run_coroutine(self._awaited(hook, read, result))
                return waiting.addErrback(self._failed_awaiting, hook)
        except BaseException as error:  # SystemExit too: a router must not end the process
            raise self._failed(hook, error) from None
        finally:
            taken = self._monotonic() - started
            if taken > SLOW:
                self._note_slow(hook, taken)
        return self._read(hook, read, result)

    def _failed_awaiting(self, failure: Failure, hook: Hook) -> NoReturn:
        failure.trap(DecisionFailed, GeneratorExit, CancelledError)
        if isinstance(failure.value, DecisionFailed):
            failure.raiseException()
        assert failure.value is not None
        raise self._failed(hook, failure.value)

    async def _awaited(self, hook: Hook, read: Callable[[object], _T], result: Awaitable[object]) -> _T:
        try:
            value = await result
        except GeneratorExit:
            raise
        except BaseException as error:
            raise self._failed(hook, error) from None
        return self._read(hook, read, value)

    def _read(self, hook: Hook, read: Callable[[object], _T], value: object) -> _T:
        try:
            return read(value)
        except BadResult as error:
            raise DecisionFailed(f"{hook.place}: {hook.name} {error}") from None
        except BaseException as error:  # of a result whose own methods raise, or exit
            raise self._failed(hook, error) from None

    def _failed(self, hook: Hook, error: BaseException) -> DecisionFailed:
        place = place_of(error, self._router.filename) or place_of(error, hook.place.rpartition(":")[0]) or hook.place
        details = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        remedy = f"; {REMEDY}" if lacks_asyncio(error) else ""
        is_cancelled = isinstance(error, (CancelledError, asyncio.CancelledError))
        return DecisionFailed(f"{place}: {hook.name} raised {describe(error)}{remedy}", details, is_cancelled)

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


def _as_last_word(result: object) -> bytes:
    if result is None:
        return b""
    if isinstance(result, (bytes, bytearray, memoryview)):
        return bytes(memoryview(result))
    raise BadResult(f"returned {excerpt(result)}, which is neither bytes nor None")
