"""Nodes for each test that asks some."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest_twisted

from tests.discovery.redis_cluster.stand_in import StandInNode
from tests.services.certificates import Credentials
from tests.services.peers import settle, until

MakeNode = Callable[..., StandInNode]


@pytest_twisted.async_yield_fixture  # type: ignore[untyped-decorator]
async def make_node() -> AsyncIterator[MakeNode]:
    made: list[StandInNode] = []

    def make(own: Credentials | None = None) -> StandInNode:
        node = StandInNode()
        node.listen(own)
        made.append(node)
        return node

    yield make
    for node in made:
        await node.die()
    await until(lambda: not any(node.connections for node in made), "the end of all connections")
    await settle()
