from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred

from proxymux.admin.counters import Counters
from tests.services.fixtures import start_pool_of, start_router
from tests.services.peers import Net, Peer, Upstream
from tests.supervisor.handover.pair import Pair


class Joined(Protocol):
    """Start a pair whose old worker has joined a client that has sent ``hello`` to an upstream that has read it."""

    async def __call__(
        self, decision: dict[str, Any] | None = None, *, receive_buffer: int | None = None, **settings: Any
    ) -> tuple[Pair, Peer, Peer]: ...


@pytest.fixture
def pairs(net: Net) -> Iterator[list[Pair]]:
    """Pairs, which are ended when the test is over."""
    pairs: list[Pair] = []
    yield pairs
    net.close()
    for pair in pairs:
        pytest_twisted.blockon(ensureDeferred(pair.close()))


@pytest.fixture
def start_pair(net: Net, pairs: list[Pair]) -> Callable[..., Pair]:
    """Start pairs of routers, which count."""

    def start(proxy: Callable[[bytes], Any], **settings: Any) -> Pair:
        pairs.append(Pair(lambda clock: start_router(net, clock, proxy, counters=Counters(), **settings)))
        return pairs[-1]

    return start


@pytest.fixture
def start_pools(net: Net, pairs: list[Pair]) -> Callable[..., Pair]:
    """Start pairs of pools."""

    def start(*targets: Upstream, **options: Any) -> Pair:
        given = {"codec": "resp", "mode": "funnel", **options}
        pairs.append(Pair(lambda clock: start_pool_of(net, clock, *targets, **given)))
        return pairs[-1]

    return start


@pytest.fixture
def joined(start_pair: Callable[..., Pair], net: Net) -> Joined:
    async def joined(
        decision: dict[str, Any] | None = None, *, receive_buffer: int | None = None, **settings: Any
    ) -> tuple[Pair, Peer, Peer]:
        target: Upstream = net.upstream(receive_buffer=receive_buffer)
        pair = start_pair(lambda data: {"remote": target.remote, **(decision or {})}, **settings)
        client = await pair.old.connect(receive_buffer=receive_buffer)
        await client.send(b"hello")
        upstream = await target.accept()
        assert await upstream.receive(5) == b"hello"
        return pair, client, upstream

    return joined
