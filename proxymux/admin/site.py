"""The site of the admin endpoint: judges each request, has it answered, and holds the limits of its connections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, cast

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPFactory, Request

from proxymux.admin.access import HostNames, TokenFile, is_same_origin
from proxymux.admin.answer import SECURITY, Answer, text
from proxymux.admin.channel import Channel
from proxymux.admin.feed import Stream, Viewer
from proxymux.admin.routes import BadQuery, Paths, Query
from proxymux.printable import printable
from proxymux.user_code import describe

#: The most connections at once; one over is closed.
MAX_CONNECTIONS: Final = 100


class Site(HTTPFactory):
    """Serves the paths to whoever may ask.

    :param paths: answer what may be asked.
    :param names: by which the site may be asked for.
    :param token: shown by who may change something.
    :param clock: measures the limits.
    """

    def __init__(self, paths: Paths, names: HostNames, token: TokenFile, clock: IReactorTime, log: Logger) -> None:
        super().__init__(timeout=None, reactor=clock)  # type: ignore[arg-type]  # None is none, as its attribute says
        self.clock = clock
        self._paths = paths
        self._names = names
        self._token = token
        self._log = log
        self._channels: set[Channel] = set()

    # Connections

    def startFactory(self) -> None:
        """Do nothing: Twisted's own access log, which would be started, is not used."""

    def stopFactory(self) -> None:
        """Do nothing, likewise."""

    def log(self, request: Request) -> None:
        """Do nothing, likewise."""

    def buildProtocol(self, addr: IAddress | None) -> Channel | None:  # type: ignore[override]  # of Twisted's wrapper
        if len(self._channels) >= MAX_CONNECTIONS:
            return None
        channel = Channel()
        channel.factory = self
        channel.requestFactory = _Request
        return channel

    def entered(self, channel: Channel) -> None:
        """Count a connection that has begun."""
        self._channels.add(channel)

    def left(self, channel: Channel) -> None:
        """Count it no more."""
        self._channels.discard(channel)

    def abort(self) -> None:
        """Reset all connections."""
        for channel in tuple(self._channels):
            channel.abort()

    # Requests

    def answer(self, request: _Request) -> None:
        """Have ``request`` answered, now or later."""
        refusal = self._judge(request)
        if refusal is not None:
            request.send(refusal)
            return
        route, match = self._paths.find(request.plain_path)[request.verb]
        answer = maybeDeferred(route.show, self._paths, request.query, match)
        answer.addErrback(self._failed, request).addCallback(request.send)

    def _judge(self, request: _Request) -> Answer | None:
        """Why the request is not answered by what it asks for; None if it is."""
        hosts = request.values("host")
        if len(hosts) > 1 or (not hosts and request.clientproto == b"HTTP/1.1"):
            return text(400, "one Host is accepted")
        if hosts and not self._names.has(hosts[0]):
            return text(421, "this is no name of this server; give it by --admin-host")
        for origin in request.values("origin"):
            if not hosts or not is_same_origin(origin, hosts[0]):
                return text(403, "no other site may ask")
        found = self._paths.find(request.plain_path)
        if not found:
            return text(404, "there is no such path")
        if request.verb not in found:
            return text(405, "the method is not accepted", Allow=", ".join(_methods(found)))
        return self._judge_token(request) if request.verb == "POST" else None

    def _judge_token(self, request: _Request) -> Answer | None:
        if not self._token.is_there:
            return text(403, "nobody may change anything, as there is no --admin-token-file")
        shown = request.values("authorization")
        if len(shown) == 1 and self._token.accepts(shown[0]):
            return None
        return text(401, "Authorization: Bearer TOKEN is wanted", WWW_Authenticate='Bearer realm="proxymux"')

    def _failed(self, failure: Failure, request: _Request) -> Answer:
        if isinstance(failure.value, BadQuery):
            return text(400, str(failure.value))
        problem = describe(cast("BaseException", failure.value))
        self._log.error("--admin: {path}: {problem}", path=printable(request.plain_path), problem=problem)
        return text(500, "it failed; the log says why")


def _methods(found: Iterable[str]) -> list[str]:
    return [name for method in found for name in (("GET", "HEAD") if method == "GET" else (method,))]


class _Request(Request):
    """One request, which the channel's site answers."""

    channel: Channel
    _is_lost = False

    def process(self) -> None:
        """Have it answered; called by Twisted once the request is whole."""
        self.notifyFinish().addErrback(self._lost)
        self.channel.factory.answer(self)

    def _lost(self, _: Failure) -> None:
        self._is_lost = True

    @property
    def verb(self) -> str:
        """The method; HEAD is answered as GET is, and Twisted leaves the body away."""
        method: str = self.method.decode("latin-1")
        return "GET" if method == "HEAD" else method

    @property
    def plain_path(self) -> str:
        """The path as it was sent, without the query."""
        path: str = self.path.decode("latin-1")
        return path

    @property
    def query(self) -> Query:
        """The values of the query."""
        return {
            name.decode("latin-1"): values[0].decode("latin-1") for name, values in (self.args or {}).items() if values
        }

    def values(self, name: str) -> list[str]:
        """The values of a header field."""
        return list(self.requestHeaders.getRawHeaders(name, []))

    def send(self, answer: Answer | Stream) -> None:
        """Send the answer, unless the client has gone."""
        if self._is_lost:
            return
        if isinstance(answer, Stream):
            self._begin(answer)
            return
        self._head(answer.status, answer.content_type, answer.headers)
        self.setHeader(b"Content-Length", b"%d" % len(answer.body))
        self.write(answer.body)
        self.finish()

    def _begin(self, stream: Stream) -> None:
        """Begin an answer that lasts as long as the client watches."""
        self._head(200, "text/event-stream", {})
        self.write(b"")
        if self.method == b"HEAD":
            self.finish()
            return
        viewer = Viewer(stream.limit, self.write, self.channel.abort, stream.feed.seconds)
        self.registerProducer(viewer, True)
        self.notifyFinish().addErrback(lambda _: stream.feed.leave(viewer))
        stream.feed.join(viewer)

    def _head(self, status: int, content_type: str, headers: Mapping[str, str]) -> None:
        self.setResponseCode(status)
        for name, value in {**SECURITY, "Content-Type": content_type, **headers}.items():
            self.setHeader(name.encode(), value.encode())
