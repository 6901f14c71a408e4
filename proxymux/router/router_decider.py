"""The decider that asks a router.  Whatever the router's functions do ends one session at most."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.core.decision import Decision, from_result
from proxymux.core.excerpt import excerpt
from proxymux.core.identity import Client
from proxymux.coroutines import RunCoroutine, run
from proxymux.errors import BadResult, DecisionFailed
from proxymux.hooks.calling import HookCaller
from proxymux.hooks.hook import Hook
from proxymux.interfaces import IDecider
from proxymux.router.loading import Router


@implementer(IDecider)
class RouterDecider:
    """Decides by the functions of a router.

    :param router: has the functions.
    :param monotonic: a clock in seconds, for how long a function blocks.
    :param log: for error callbacks that raise and functions that block.
    :param clusters: the names of the clusters that there are; None takes any name.
    :param run_coroutine: runs what the functions return to be awaited.
    """

    undecided_reply: bytes | None = None

    def __init__(
        self,
        router: Router,
        monotonic: Callable[[], float],
        log: Logger,
        clusters: Collection[str] | None = None,
        run_coroutine: RunCoroutine = run,
    ) -> None:
        self._router = router
        self._log = log
        self._read_decision = partial(from_result, clusters=clusters)
        self.name = router.name
        self.place = router.proxy.place
        self._caller = HookCaller(router.filename, monotonic, log, self.place, router.returns, run_coroutine)
        self.greets = router.accepted is not None
        self.hears_failures = router.connect_error is not None

    @property
    def decided_at(self) -> str:
        """Where the last decision was made."""
        return self._caller.decided_at

    @property
    def slow(self) -> int:
        """How many calls took more than :data:`~proxymux.hooks.calling.SLOW` seconds."""
        return self._caller.slow

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
        return self._caller.call(hook, self._read_decision, *arguments)

    def _last_word(self, hook: Hook | None, *arguments: object) -> bytes | Deferred[bytes]:
        if hook is None:
            return b""
        try:
            answer = self._caller.call(hook, _as_last_word, *arguments)
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


def _as_last_word(result: object) -> bytes:
    if result is None:
        return b""
    if isinstance(result, (bytes, bytearray, memoryview)):
        return bytes(memoryview(result))
    raise BadResult(f"returned {excerpt(result)}, which is neither bytes nor None")
