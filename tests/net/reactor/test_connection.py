"""Connections on Twisted's transports: how they end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.logger import Logger

from proxymux.net.reactor.connection import TransportConnection
from proxymux.net.timers import Timers
from tests.services.peers import Net, Peer, in_reactor


class Owner:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.made_is: Deferred[None] = Deferred()
        self.lost_is: Deferred[None] = Deferred()

    def made(self) -> None:
        self.made_is.callback(None)

    def secured(self) -> None: ...
    def flushed(self) -> None: ...

    def received(self, data: bytes) -> None:
        self.told.append(data)

    def finished(self) -> None:
        self.told.append("finished")

    def lost(self, reason: Exception | None) -> None:
        self.told.append(type(reason))
        self.lost_is.callback(None)


@pytest.mark.parametrize(
    ("end", "told"),
    [(Peer.reset, [ConnectionResetError]), (Peer.finish, ["finished", type(None)])],
    ids=["reset", "FIN"],
)
@in_reactor
async def test_a_hang_up_is_a_fin_only_if_the_peer_has_finished(
    net: Net, end: Callable[[Peer], None], told: list[object]
) -> None:
    """Twisted reports both alike where an event says that it is the end, and not that there is something to read."""
    from twisted.internet import reactor

    listens: Any = reactor
    owner = Owner()
    connection = TransportConnection(Timers(Clock(), Logger()), owner)
    factory = Factory.forProtocol(lambda: connection)
    factory.noisy = False
    port = listens.listenTCP(0, factory, interface="127.0.0.1")
    client = await net.connect(f"127.0.0.1:{port.getHost().port}")
    await owner.made_is
    transport: Any = connection.transport
    transport.stopReading()  # its own look at the socket would tell them apart
    end(client)
    connection.readConnectionLost()
    if not connection.is_lost and told[0] == "finished":
        connection.close()
    await owner.lost_is
    assert owner.told == told
    await port.stopListening()
