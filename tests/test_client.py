"""The client endpoint for the gateway, and its command."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import endpoints
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IHalfCloseableProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.client import GatewayClientEndpoint, GatewayRefused

TOKEN = "U2FsdGVkX19KIJ9OQJKT/yHGMrS+5SsBAAjetomptQ0="


class Transport(StringTransport):
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


@implementer(IStreamClientEndpoint)
class Gateway:
    """An endpoint whose other end the test plays."""

    def __init__(self, problem: Exception | None = None, answers: bool = True) -> None:
        self.transport = Transport()
        self.protocol: Any = None
        self._problem = problem
        self._answers = answers

    def connect(self, factory: Any) -> Deferred[Any]:
        if self._problem is not None:
            return fail(self._problem)
        if not self._answers:
            return Deferred()
        self.protocol = factory.buildProtocol(None)
        self.protocol.makeConnection(self.transport)
        return succeed(self.protocol)


class Plain(Protocol):
    def __init__(self) -> None:
        self.heard = b""
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = reason


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Plain):
    has_finished = False
    has_sent_fin = False

    def readConnectionLost(self) -> None:
        self.has_finished = True

    def writeConnectionLost(self) -> None:
        self.has_sent_fin = True


class Scene:
    def __init__(self, gateway: Gateway | None = None, protocol: type[Plain] = Plain) -> None:
        self.clock = Clock()
        self.gateway = gateway or Gateway()
        self.results: list[Any] = []
        self.endpoint = GatewayClientEndpoint(self.clock, self.gateway, TOKEN, timeout=5)
        self.done = self.endpoint.connect(Factory.forProtocol(protocol))
        self.done.addBoth(self.results.append)

    def says(self, *parts: bytes) -> None:
        for part in parts:
            self.gateway.protocol.dataReceived(part)

    def failed(self) -> Any:
        [result] = self.results
        assert isinstance(result, Failure)
        assert not self.clock.getDelayedCalls()
        return result.value


def test_it_shows_the_token_and_nothing_else() -> None:
    scene = Scene()
    assert scene.gateway.transport.value() == TOKEN.encode() + b"\n"
    assert scene.results == []
    assert TOKEN not in repr(scene.endpoint)


@pytest.mark.parametrize("parts", [[b"200welcome"], [b"2", b"0", b"0", b"wel", b"come"], [b"200", b"welcome"]])
def test_after_200_the_protocol_has_what_follows(parts: list[bytes]) -> None:
    scene = Scene()
    scene.says(*parts)
    [protocol] = scene.results
    assert isinstance(protocol, Plain)
    assert protocol.heard == b"welcome"
    assert protocol.transport is scene.gateway.transport
    assert not scene.clock.getDelayedCalls()
    reason = Failure(ConnectionDone())
    scene.gateway.protocol.connectionLost(reason)
    assert protocol.lost is reason


@pytest.mark.parametrize("status", [b"400", b"401", b"502", b"504", b"999"])
def test_any_other_status_is_an_error(status: bytes) -> None:
    scene = Scene()
    scene.says(status[:1], status[1:] + b"more")
    error = scene.failed()
    assert isinstance(error, GatewayRefused)
    assert error.status == status
    assert status.decode() in str(error)
    assert scene.gateway.transport.aborted


@pytest.mark.parametrize("said", [b"", b"20"])
@pytest.mark.parametrize("how", ["lost", "finished"])
def test_a_gateway_that_closes_before_its_status_is_an_error(said: bytes, how: str) -> None:
    scene = Scene()
    scene.says(*[said] if said else [])
    if how == "finished":
        scene.gateway.protocol.readConnectionLost()
    scene.gateway.protocol.connectionLost(Failure(ConnectionDone()))
    error = scene.failed()
    assert isinstance(error, GatewayRefused)
    assert error.status == said


def test_a_gateway_that_cannot_be_reached_is_an_error() -> None:
    assert isinstance(Scene(Gateway(ConnectionRefusedError())).failed(), ConnectionRefusedError)


def test_a_gateway_that_says_nothing_is_a_time_out() -> None:
    scene = Scene()
    scene.clock.advance(4.9)
    assert scene.results == []
    scene.clock.advance(0.2)
    assert isinstance(scene.failed(), TimeoutError)
    assert scene.gateway.transport.aborted


@pytest.mark.parametrize("answers", [True, False])
def test_it_may_be_cancelled(answers: bool) -> None:
    scene = Scene(Gateway(answers=answers))
    scene.done.cancel()
    assert isinstance(scene.failed(), CancelledError)
    assert scene.gateway.transport.aborted is answers


def test_half_closes_reach_a_protocol_that_wants_them() -> None:
    scene = Scene(protocol=HalfCloseable)
    scene.says(b"200")
    [protocol] = scene.results
    scene.gateway.protocol.readConnectionLost()
    scene.gateway.protocol.writeConnectionLost()
    assert protocol.has_finished
    assert protocol.has_sent_fin
    assert not scene.gateway.transport.disconnecting


def test_for_another_protocol_a_half_close_is_the_end() -> None:
    scene = Scene()
    scene.says(b"200")
    scene.gateway.protocol.readConnectionLost()
    scene.gateway.protocol.writeConnectionLost()
    assert scene.gateway.transport.disconnecting


def test_a_factory_that_builds_nothing_is_an_error() -> None:
    clock, gateway = Clock(), Gateway()
    factory = Factory()
    factory.buildProtocol = lambda addr: None  # type: ignore[method-assign]
    results: list[Any] = []
    GatewayClientEndpoint(clock, gateway, TOKEN).connect(factory).addBoth(results.append)
    gateway.protocol.dataReceived(b"200")
    assert isinstance(results[0], Failure)
    assert gateway.transport.aborted


def test_twisted_knows_it_by_its_description() -> None:
    endpoint = endpoints.clientFromString(Clock(), r"gateway:tcp\:gw.example\:8000:token=pm1.k1.AAAA:timeout=3m")
    assert isinstance(endpoint, GatewayClientEndpoint)
    assert endpoint._timeout == 180.0
    assert "gw.example" not in repr(endpoint) or "pm1" not in repr(endpoint)
