"""``--demo``: two upstreams and a router between them, in one process."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from twisted.application.service import MultiService
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import ServerFactory
from twisted.protocols.basic import LineReceiver

from proxymux.admin.access_log import STDOUT
from proxymux.core.decision import NEED_DATA, Decision, Forward, Reject
from proxymux.core.identity import Client
from proxymux.net.driver import make_driver
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.router.loading import from_object
from proxymux.router.router_decider import RouterDecider
from proxymux.settings import Settings
from proxymux.sniff import http_request
from proxymux.tap.wiring import make_log, make_service

_HELLO = """\

proxymux demo: a router between two upstreams, "red" and "blue".

    curl http://{address}/red
    curl http://{address}/blue
    curl http://{address}/green

It reads the first bytes of each connection and picks the upstream by the path.
Stop it with Ctrl-C.

"""


class _Upstream(LineReceiver):
    """An HTTP server that answers every request with the same page and closes."""

    MAX_LENGTH = 8192

    def __init__(self, colour: str) -> None:
        self._colour = colour

    def lineReceived(self, line: bytes) -> None:
        if not line:
            body = f"this is the {self._colour} upstream\n".encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            assert self.transport is not None
            self.transport.write(head + body)
            self.transport.loseConnection()


class _UpstreamFactory(ServerFactory):
    noisy = False

    def __init__(self, colour: str) -> None:
        self._colour = colour

    def buildProtocol(self, addr: object) -> _Upstream:
        return _Upstream(self._colour)


class _DemoRouter:
    """The router of the demo: forwards a request to the upstream whose colour its path names."""

    def __init__(self) -> None:
        self.ports: dict[str, IListeningPort] = {}

    def proxy(self, data: bytes, client: Client) -> Decision:
        request = http_request(data)
        if request is NEED_DATA:
            return NEED_DATA
        if request is None:
            return Reject(b"this demo speaks HTTP\n")
        port = self.ports.get(request.path.strip("/"))
        if port is None:
            return Reject(b"HTTP/1.1 404 Not Found\r\nContent-Length: 24\r\n\r\ntry /red or /blue, then\n")
        address = port.getHost()
        assert isinstance(address, IPv4Address)
        return Forward(f"127.0.0.1:{address.port}")


class Demo(MultiService):
    """The demo: two upstreams and a router, started in this order.

    :param reactor: Twisted's reactor.
    :param settings: the settings of the router.
    :raises ConfigError: naming an option that this system cannot fulfil.
    """

    def __init__(self, reactor: Reactor, settings: Settings) -> None:
        super().__init__()
        self._router = _DemoRouter()
        self._leaves_stdout = settings.access_log == STDOUT
        log = make_log(settings)
        loaded = replace(from_object(self._router, "demo", __file__), name="demo")
        driver = make_driver(reactor, settings, log)
        self._reactor = driver.reactor
        self._proxy = make_service(
            driver, "router", lambda: RouterDecider(loaded, time.perf_counter, log), settings, log
        )
        self._proxy.setServiceParent(self)

    @property
    def warnings(self) -> Sequence[str]:
        """What is unwise about the router, in one line each."""
        return self._proxy.warnings

    def check(self) -> None:
        """Check that the router could start, without listening.

        :raises ConfigError: naming the option, if it could not.
        """
        self._proxy.check()

    def privilegedStartService(self) -> None:
        for colour in ("red", "blue"):
            factory = _UpstreamFactory(colour)
            self._router.ports[colour] = self._reactor.listenTCP(0, factory, interface="127.0.0.1")
        super().privilegedStartService()
        self._reactor.callWhenRunning(self._greet)

    def stopService(self) -> Deferred[object]:
        stopped: Deferred[object] = super().stopService()
        ports = self._router.ports.values()
        return stopped.addCallback(lambda _: DeferredList([maybeDeferred(port.stopListening) for port in ports]))

    def _greet(self) -> None:
        stream = sys.__stderr__ if self._leaves_stdout else sys.__stdout__
        print(_HELLO.format(address=self._proxy.addresses[0]), file=stream, flush=True)


def make_demo(reactor: Reactor, settings: Settings) -> Demo:
    """Put the demo together; called for ``--demo``."""
    return Demo(reactor, settings)
