"""TLS over one of Twisted's transports: what of it is still to be sent."""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import Logger

from proxymux.net.connection import UNOWNED
from proxymux.net.reactor.connection import TransportConnection
from proxymux.net.timers import Timers
from proxymux.net.tls.engine import RECORD
from proxymux.net.tls.rules import ServerRules
from proxymux.net.tls.server import ServerContexts
from tests.net.tls.memory import MemoryClient
from tests.services.certificates import Authority, Credentials


class Transport(StringTransport):
    """One whose kernel takes what a test lets it take, and which keeps the rest as Twisted's do."""

    offset = 0
    _tempDataLen = 0

    @property
    def dataBuffer(self) -> bytes:
        return bytes(self.value())


@pytest.mark.parametrize(
    ("piece", "tolerance"), [(1000, 0), (RECORD, 0), (1 << 20, 0), pytest.param(50_000, RECORD, id="of uneven records")]
)
def test_what_is_not_unsent_can_be_read_by_the_peer(
    authority: Authority, own: Credentials, piece: int, tolerance: int
) -> None:
    engine = ServerContexts(str(own.file), ServerRules()).engine(None)
    context = authority.for_client()
    context.check_hostname = False
    client = MemoryClient(engine, context, None)
    client.shake_hands()
    connection = TransportConnection(Timers(Clock(), Logger()), UNOWNED)
    transport: Any = Transport()
    connection.transport = transport
    connection.start_tls(engine)
    for _ in range(3):
        connection.send(bytes(piece))
    written = transport.value()
    received = 0
    for taken in (0, len(written) // 3, len(written) - 1, len(written)):
        client.put(written[transport.offset : taken])
        transport.offset = taken
        with contextlib.suppress(ssl.SSLWantReadError):
            while True:
                received += len(client.tls.read(1 << 20))
        assert abs(3 * piece - connection.unsent - received) <= tolerance
    assert received == 3 * piece
