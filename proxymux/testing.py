"""Testing a router without a network.

A router is asked through the same session as in a running proxy, so that what holds here holds there::

    from proxymux.testing import decide, every_split

    def test_routes_by_name():
        assert decide("router.py", b"alice ", b"hello").remote == "10.0.0.1:80"

    def test_does_not_depend_on_segments():
        for chunks in every_split(b"alice hello"):
            assert decide("router.py", *chunks) == Forward("10.0.0.1:80")
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Final

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from proxymux.core.commands import Ask, Blame, Connect, Input, Join, Pause, Send, State
from proxymux.core.decision import NEED_DATA, Forward, NeedData, Reject
from proxymux.core.identity import Client, Notes
from proxymux.core.outcome import Outcome
from proxymux.core.session import Session
from proxymux.errors import DecisionFailed
from proxymux.router.loading import Router, from_object, load
from proxymux.router.router_decider import RouterDecider

#: A client for routers that ask for one.
CLIENT: Final = Client(("192.0.2.1", 50000), ("192.0.2.2", 5432))
#: Up to this many bytes :func:`every_split` gives every way of splitting there is.
_ALL_WAYS: Final = 10

AnyRouter = str | ModuleType | Router | Callable[..., Any] | object


class StillDeciding(AssertionError):
    """The router waits for something that only a running reactor could bring."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a router made of some chunks.

    :param decision: its last word: Forward, Reject, or NEED_DATA if it did not come to one.
    :param sent: what the client was sent up to the decision, the decision's ``reply`` or ``close`` included.
    :param upstream: what the upstream would be sent.
    """

    decision: Forward | Reject | NeedData
    sent: bytes
    upstream: bytes

    def in_effect(self) -> Conversation:
        """The same with what the decision says of the buffer taken as done: equal for all splits that act alike."""
        decision = self.decision
        if isinstance(decision, Forward):
            decision = replace(decision, data=None, reply=b"")
        return replace(self, decision=decision)


def decide(router: AnyRouter, *chunks: bytes, client: Client = CLIENT) -> Forward | Reject | NeedData:
    """What ``router`` decides on a client that sends ``chunks``.

    :param router: as on the command line, or a module, an object with the functions, or a ``proxy`` function.
    :raises DecisionFailed: as the running proxy would log it.
    :raises StillDeciding: if it waits for a Deferred that does not fire; :func:`decide_later` can wait for it.
    """
    return converse(router, *chunks, client=client).decision


def converse(router: AnyRouter, *chunks: bytes, client: Client = CLIENT) -> Conversation:
    """As :func:`decide`, with all that was said."""
    results: list[Any] = []
    converse_later(router, *chunks, client=client).addBoth(results.append)
    if not results:
        raise StillDeciding("the router awaits something; test it with decide_later and a reactor")
    if isinstance(results[0], Failure):
        results[0].raiseException()
    conversation: Conversation = results[0]
    return conversation


def decide_later(router: AnyRouter, *chunks: bytes, client: Client = CLIENT) -> Deferred[Forward | Reject | NeedData]:
    """As :func:`decide`, for a router that waits."""
    return converse_later(router, *chunks, client=client).addCallback(lambda conversation: conversation.decision)


def converse_later(router: AnyRouter, *chunks: bytes, client: Client = CLIENT) -> Deferred[Conversation]:
    """As :func:`converse`, for a router that waits."""
    return ensureDeferred(_converse(as_decider(router), chunks, client))


def every_split(data: bytes) -> Iterator[tuple[bytes, ...]]:
    """Ways in which ``data`` may arrive: all there are up to 10 bytes; beyond, whole, cut in two at every place,
    and byte by byte.

    A router that keeps nothing from one call to the next sees every prefix of the data this way, so that one which
    acts alike for these acts alike for all others.
    """
    if len(data) <= _ALL_WAYS:
        places = range(1, len(data))
        for count in range(len(data) or 1):
            for cuts in itertools.combinations(places, count):
                edges = (0, *cuts, len(data))
                yield tuple(data[start:end] for start, end in itertools.pairwise(edges))
        return
    yield (data,)
    for place in range(1, len(data)):
        yield data[:place], data[place:]
    yield tuple(data[place : place + 1] for place in range(len(data)))


def as_decider(router: AnyRouter) -> RouterDecider:
    """The decider that asks ``router``."""
    if isinstance(router, RouterDecider):
        return router
    if isinstance(router, str):
        router = load(router)
    elif not isinstance(router, Router):
        name = getattr(router, "__name__", type(router).__name__)
        code = getattr(router, "__code__", None)
        filename = code.co_filename if code is not None else getattr(router, "__file__", name)
        router = from_object(router, name, filename)
    return RouterDecider(router, time.perf_counter, Logger("proxymux"))


async def _converse(decider: RouterDecider, chunks: tuple[bytes, ...], client: Client) -> Conversation:
    session = Session(65536, decider.greets)
    client = replace(client, state=Notes(client.state))
    decision: Any = NEED_DATA
    sent, upstream = b"", b""
    inputs: list[tuple[Input, Any]] = [(Input.OPENED, None)] + [(Input.RECEIVED, chunk) for chunk in chunks if chunk]
    while inputs:
        what, value = inputs.pop(0)
        if session.state is State.JOINED and what is Input.RECEIVED:
            upstream += value
        for command in session.take(what, value):
            if isinstance(command, Ask):
                decision = await _ask(decider, command.data, client)
                inputs.insert(0, (Input.DECIDED, decision))
            elif isinstance(command, Connect):
                inputs.insert(0, (Input.CONNECTED, None))
            elif isinstance(command, Join):
                upstream += command.data
            elif isinstance(command, Send) and session.state is not State.JOINED:
                sent += command.data
            elif isinstance(command, Blame):
                raise DecisionFailed(f"{decider.place}: {command.problem}")
            elif isinstance(command, Pause):
                pass  # chunks come whole
    if not isinstance(decision, (Forward, Reject)):
        decision = NEED_DATA
    assert session.ending is None or session.ending.outcome is Outcome.REJECTED
    return Conversation(decision, sent, upstream)


async def _ask(decider: RouterDecider, data: bytes | None, client: Client) -> Any:
    result = decider.accepted(client) if data is None else decider.decide(data, client)
    return await result if isinstance(result, Deferred) else result
