"""The gateway in this process, on real sockets and on a clock that only the test moves."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
import pytest_twisted
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from proxymux.core.token import legacy as legacy_form
from proxymux.core.token.sealed import Keys
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.tap.gateway import Options, make_gateway
from tests.services.fixtures import LOOPBACK, RELAYS, ClockedReactor, Names, Running
from tests.services.peers import Net, Peer, Upstream, together

SECRET: Final = "p0S8rX680*48"
KEY: Final = bytes(range(32))
KEYS: Final = Keys({"k1": KEY})

StartGateway = Callable[..., "RunningGateway"]


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class RunningGateway(Running):
    """A running gateway.  What all log meanwhile is in ``lines``, with every detail at any level."""

    async def shows(self, line: bytes, rest: bytes = b"") -> Peer:
        """A client that has sent a token, and more, in one write."""
        client = await self.connect()
        await client.send(line + b"\n" + rest)
        return client


@pytest.fixture
def gateway(net: Net, relay: str, tmp_path: Any) -> Iterator[StartGateway]:
    """Start gateways on a clock; they are stopped when the test is over, and must then leave nothing behind."""
    running: list[tuple[RunningGateway, Any]] = []
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "keys").write_text(f"k1 {base64.b64encode(KEY).decode()}\n")

    def start(*arguments: str, listen: str = LOOPBACK) -> RunningGateway:
        options = Options()
        files = ["--secret-file", str(tmp_path / "secret"), "--key-file", str(tmp_path / "keys")]
        own = ["--listen", listen, "--relay", relay, "--gateway-pidfile", "off", "--log-level", "debug", *files]
        options.parseOptions([*own, *arguments])
        clock, names = Clock(), Names()
        made = RunningGateway(net, SimpleNamespace(), ClockedReactor(names), clock, names)

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            if event.get("log_namespace") == "proxymux":
                made.lines.append((event["log_level"].name, formatEvent(event)))

        globalLogPublisher.addObserver(observe)
        running.append((made, observe))
        made.service = make_gateway(cast("Reactor", made.reactor), options.settings, clock)
        made.events.on("ended", lambda logger, record: made.records.append(record))
        made.events.on("connect_failed", lambda logger, target, reason: made.failed_attempts.append((target, reason)))
        made.service.check()
        made.service.privilegedStartService()
        made.service.startService()
        return made

    yield start
    net.close()
    for each, observe in running:
        pytest_twisted.blockon(ensureDeferred(each.stop()))
        globalLogPublisher.removeObserver(observe)
        assert not each.clock.getDelayedCalls()
        assert each.is_free_of_sessions()
        assert len(each.records) == sum(each.service.outcomes.values()) == sum(each.service.statistics.counts.values())
        assert SECRET not in str(each.lines)
        assert "U2FsdGVkX1" not in str(each.lines)
        assert "pm1." not in str(each.lines)


def blocks(padded: bytes, secret: str = SECRET) -> bytes:
    """An old token of whole blocks, however they are padded and whatever they hold."""
    key, iv = legacy_form._DERIVE["md5"](secret.encode(), b"saltsalt")
    encryptor = Cipher(algorithms.AES256(key), modes.CBC(iv)).encryptor()
    return base64.b64encode(b"Salted__saltsalt" + encryptor.update(padded) + encryptor.finalize())


def old(address: str, secret: str = SECRET) -> bytes:
    padding = 16 - len(address) % 16
    return blocks(address.encode() + bytes([padding]) * padding, secret)


def sealed(*targets: str, **claims: Any) -> bytes:
    claims = {"t": list(targets), "e": int(time.time()) + 3600, **claims}
    return KEYS.seal(claims, os.urandom(16)).encode()


async def served(client: Peer, target: Upstream, rest: bytes = b"") -> Peer:
    """The upstream of a client that is told 200, after it has got ``rest``, bytes have gone both ways."""
    upstream = await target.accept()
    if rest:
        assert await upstream.receive(len(rest)) == rest
    assert await client.receive(3) == b"200"
    await client.send(b"to you")
    assert await upstream.receive(6) == b"to you"
    await upstream.send(b"and to you")
    assert await client.receive(10) == b"and to you"
    return upstream


async def finish(client: Peer, upstream: Peer) -> None:
    """Both end, and nothing more comes."""
    client.finish()
    upstream.finish()
    assert await together(client.read_all(), upstream.read_all()) == [b"", b""]


async def told(client: Peer) -> bytes:
    """What a client that does not finish is told, up to the end, which is no reset; then it finishes."""
    word = await client.read_all()
    client.finish()
    return word
