"""A stand-in for a Consul agent: the one endpoint that proxymux asks, and the faults that it has to get over.

It was written from the public documentation of Consul's HTTP API (Health, Blocking Queries, Consistency Modes, API
Structure), and from nothing else: where Consul does something that its documentation does not say, this does not.
"""

from __future__ import annotations

import json
from typing import Any, cast
from urllib.parse import unquote

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IOpenSSLServerConnectionCreator, ITCPTransport
from twisted.internet.task import Clock
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from zope.interface import implementer

from proxymux.net.tls.certificates import read_certificates, read_key_pair
from proxymux.net.tls.context import new_context, trust, use_pair
from tests.services.certificates import Authority, Credentials

#: The jitter that Consul adds to a wait is never more than this part of it; here it is always that.
JITTER = 1 / 16


class Asked:
    """A request that has come."""

    def __init__(self, request: Request) -> None:
        path, _, query = request.uri.decode("ascii").partition("?")
        self.path = unquote(path)
        #: All parameters in their order; and by their name, the last of each.
        parts = [part.partition("=") for part in query.split("&") if part]
        self.pairs = [(unquote(name), unquote(value)) for name, _, value in parts]
        self.parameters = dict(self.pairs)
        headers = request.requestHeaders.getAllRawHeaders()
        self.headers = {name.decode().lower(): values[-1].decode() for name, values in headers}
        #: Bytes of the request's line, in which no token may be.
        self.line = request.uri

    @property
    def index(self) -> int:
        return int(self.parameters.get("index", 0))

    @property
    def wait(self) -> float:
        text = self.parameters.get("wait", "5m")
        return float(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


def instance(
    address: str, port: Any = 80, *, node: str = "192.0.2.1", checks: tuple[str, ...] = ("passing",), **service: Any
) -> dict[str, Any]:
    """An instance as the documentation shows it, with what matters.

    :param checks: the status of each.
    :param service: the service's other fields, such as ``Tags`` and ``Weights``.
    """
    return {
        "Node": {"ID": "40e4a748", "Node": "foobar", "Address": node, "Datacenter": "dc1"},
        "Service": {
            "ID": f"users-{address}",
            "Service": "users",
            "Tags": [],
            "Address": address,
            "Port": port,
            "Weights": {"Passing": 1, "Warning": 1},
            **service,
        },
        "Checks": [{"CheckID": f"check:{number}", "Status": status} for number, status in enumerate(checks)],
    }


class ConsulStandIn(Resource):
    """One agent, whose services are set by the test.

    :param clock: measures how long queries are held.
    """

    isLeaf = True

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._port: IListeningPort | None = None
        self._factory: WrappingFactory[ProtocolWrapper] | None = None
        self._held: dict[Request, tuple[Asked, IDelayedCall]] = {}
        self._instances: list[dict[str, Any]] = []
        #: The state's number, which is the header of every answer.
        self.index = 10
        #: What stands in the header instead; an empty text has none sent.
        self.shown_index: str | None = None
        #: What answers say besides.
        self.headers = {"X-Consul-KnownLeader": "true", "X-Consul-LastContact": "0"}
        #: The token that must be shown, if any.
        self.token: str | None = None
        #: The status and the body of every answer, where they are no good.
        self.fault: tuple[int, bytes] | None = None
        #: Nothing is answered.
        self.is_mute = False
        #: The requests so far.
        self.asked: list[Asked] = []

    # Its life

    def listen(self, port: int = 0, own: Credentials | None = None, clients: Authority | None = None) -> int:
        """Accept connections of loopback.

        :param own: of HTTPS; None is plain HTTP.
        :param clients: issues the certificates that clients must show.
        :returns: the port.
        """
        from twisted.internet import reactor as installed

        reactor: Any = installed
        factory = self._factory = _Factory(_QuietSite(self, timeout=None, reactor=self._clock))
        if own is None:
            self._port = reactor.listenTCP(port, factory, interface="127.0.0.1")
        else:
            self._port = reactor.listenSSL(port, factory, ServerSideTls(own, clients), interface="127.0.0.1")
        return self.port

    @property
    def is_listening(self) -> bool:
        return self._port is not None

    @property
    def port(self) -> int:
        assert self._port is not None
        return cast("int", cast("Any", self._port.getHost()).port)

    @property
    def connections(self) -> int:
        return 0 if self._factory is None else len(self._factory.protocols)

    def drop(self) -> None:
        """Reset all connections."""
        if self._factory is not None:
            for connection in tuple(self._factory.protocols):
                cast("ITCPTransport", connection.transport).abortConnection()

    def die(self) -> Deferred[Any]:
        """Listen no longer, and reset all connections."""
        assert self._port is not None
        port, self._port = self._port, None
        self.drop()
        return cast("Deferred[Any]", port.stopListening())

    # What it knows

    def set(self, *instances: dict[str, Any]) -> None:
        """Replace the instances of the service: a change."""
        self._instances = list(instances)
        self.touch()

    def touch(self) -> None:
        """Raise the index, and answer whoever waits for that: a write that changes nothing."""
        self.index += 1
        for request, (asked, _) in tuple(self._held.items()):
            if asked.index < self.index:
                self._answer(request)

    def restore(self, index: int, *instances: dict[str, Any]) -> None:
        """Restore a snapshot: the index goes backwards, and whoever waits for a higher one goes on waiting."""
        self._instances = list(instances)
        self.index = index

    @property
    def held(self) -> list[Asked]:
        """The queries that wait."""
        return [asked for asked, _ in self._held.values()]

    # What it answers

    def render_GET(self, request: Request) -> Any:
        asked = Asked(request)
        self.asked.append(asked)
        if self.is_mute:
            return NOT_DONE_YET
        if self.token is not None and asked.headers.get("x-consul-token") != self.token:
            return self._end(request, 403, b"Permission denied: anonymous token lacks permission 'service:read'")
        if self.fault is not None:
            return self._end(request, *self.fault)
        if asked.path != "/v1/health/service/users":
            return self._end(request, 404, b"")
        if asked.index > 0 and asked.index >= self.index:
            wait = min(asked.wait, 600.0)
            call = self._clock.callLater(wait * (1 + JITTER), self._answer, request)
            self._held[request] = asked, call
            request.notifyFinish().addErrback(lambda _: self._release(request))
        else:
            self._send(request, asked)
        return NOT_DONE_YET

    def _release(self, request: Request) -> Asked | None:
        asked, call = self._held.pop(request, (None, None))
        if call is not None and call.active():
            call.cancel()
        return asked

    def _answer(self, request: Request) -> None:
        asked = self._release(request)
        if asked is not None:
            self._send(request, asked)

    def _send(self, request: Request, asked: Asked) -> None:
        index = str(self.index) if self.shown_index is None else self.shown_index
        for name, value in {**self.headers, **({"X-Consul-Index": index} if index else {})}.items():
            request.setHeader(name, value)
        wanted = {value for name, value in asked.pairs if name == "tag"}
        found = [each for each in self._instances if wanted <= set(each["Service"]["Tags"])]
        if asked.parameters.get("passing") == "true":
            found = [each for each in found if all(check["Status"] == "passing" for check in each["Checks"])]
        self._end(request, 200, json.dumps(found).encode())

    def _end(self, request: Request, status: int, body: bytes) -> Any:
        request.setResponseCode(status)
        if status == 301:
            request.setHeader("Location", body)
        request.write(body)
        request.finish()
        return NOT_DONE_YET


@implementer(IOpenSSLServerConnectionCreator)
class ServerSideTls:
    """What Twisted wants for a TLS listener."""

    def __init__(self, own: Credentials, clients: Authority | None) -> None:
        self._context = new_context(SSL.TLS_SERVER_METHOD, SSL.TLS1_2_VERSION)
        use_pair(self._context, read_key_pair(str(own.file)))
        if clients is not None:
            trust(self._context, read_certificates(str(clients.file)))
            self._context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)

    def serverConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        return SSL.Connection(self._context, None)


class _Factory(WrappingFactory[ProtocolWrapper]):
    noisy = False


class _QuietSite(Site):
    """Without Twisted's access log, and the delayed call that it needs."""

    def startFactory(self) -> None: ...

    def stopFactory(self) -> None: ...

    def log(self, request: Request) -> None: ...
