"""What is tried: a router of connections, or one of requests.  Both answer alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from proxymux.cli.trying import Trial, tell
from proxymux.core.codecs import Codec
from proxymux.core.decision import NEED_DATA, in_words
from proxymux.core.identity import Notes
from proxymux.pool.loading import load_codec
from proxymux.pool.request_router import RequestRouter, find_route
from proxymux.pool.route_trial import AnyName, decide_all
from proxymux.router.loading import load
from proxymux.router.router_decider import RouterDecider
from proxymux.testing import CLIENT

#: The most characters of the words by which what a router does is compared with what it has done before.
_MOST_WORDS: Final = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What a router has done about one input.

    :param effect: is equal to another's if nobody outside can tell them apart.
    :param told: the same in words, or why it has failed.
    :param place: ``file:line`` where it was decided.
    :param kind: what it has done, without the client's data.
    :param fault: tells failures apart; empty if it has not failed.
    :param is_late: it was still waiting when its time was over.
    :param is_slow: a call has blocked for longer than :data:`~proxymux.hooks.calling.SLOW` seconds.
    :param is_waiting: it has not failed, nor decided.
    :param sent: what the client was sent.
    """

    effect: object
    told: str
    place: str
    kind: str = ""
    fault: str = ""
    is_late: bool = False
    is_slow: bool = False
    is_waiting: bool = False
    sent: bytes = b""


class Subject(Protocol):
    """A router that is tried."""

    @property
    def filename(self) -> str:
        """The router's file."""

    @property
    def place(self) -> str:
        """``file:line`` of its function."""

    async def ask(self, chunks: tuple[bytes, ...]) -> Answer:
        """What it does about a client that sends ``chunks``."""


class ConnectionSubject:
    """A router with ``proxy(data)``.

    :param clock: for ``timeout``.
    :param timeout: the most seconds that the router may keep waiting about one input.
    :param monotonic: a clock in seconds, for how long a call blocks.
    :raises RouterError: if the router cannot be loaded.
    """

    def __init__(self, clock: IReactorTime, router: str, timeout: float, monotonic: Callable[[], float]) -> None:
        loaded = load(router, notes_lines=True)
        self._clock = clock
        self._timeout = timeout
        self._decider = RouterDecider(loaded, monotonic, Logger("proxymux"))
        self.filename = loaded.filename
        self.place = self._decider.place

    async def ask(self, chunks: tuple[bytes, ...]) -> Answer:
        trial, decider = Trial(self._clock, self._timeout), self._decider
        slow = decider.slow
        found = await trial.converse(decider, chunks)
        is_slow, place = decider.slow > slow or trial.is_interrupted, decider.decided_at
        if isinstance(found, str):
            return Answer(None, found, place, "fails", trial.fault, trial.is_late, is_slow)
        return Answer(
            found.in_effect(),
            tell(found),
            place,
            in_words(found.decision)[:_MOST_WORDS],
            is_slow=is_slow,
            is_waiting=found.decision is NEED_DATA,
            sent=found.sent,
        )


class RequestSubject:
    """A pool's router, with ``route(request)``; the parameters are those of :class:`ConnectionSubject`.

    :param codec: as ``--codec`` of a pool has it.
    :raises ConfigError: if there is no such codec.
    :raises RouterError: if the router cannot be loaded.
    """

    def __init__(
        self, clock: IReactorTime, router: str, codec: str, timeout: float, monotonic: Callable[[], float]
    ) -> None:
        self._clock = clock
        self._timeout = timeout
        self._codec: Codec = load_codec(codec)
        name, self.filename, hook = find_route(router)
        self._router = RequestRouter(name, self.filename, hook, self._codec, monotonic, Logger("proxymux"), AnyName())
        self.place = hook.place

    async def ask(self, chunks: tuple[bytes, ...]) -> Answer:
        trial, client = Trial(self._clock, self._timeout), replace(CLIENT, state=Notes())
        slow = self._router.slow
        found = await trial.run(lambda: ensureDeferred(decide_all(self._router, self._codec, chunks, client)))
        is_slow = self._router.slow > slow or trial.is_interrupted
        if isinstance(found, str):
            return Answer(None, found, self.place, "fails", trial.fault, trial.is_late, is_slow)
        words = ", ".join(in_words(each.route) for one in found for each in one)[:_MOST_WORDS]
        return Answer(found, f"{len(found)} requests: {words}", self.place, words, is_slow=is_slow)
