"""Members from Consul: the instances of a service, followed by blocking queries of its health endpoint."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from proxymux.discovery.blocking_query import BlockingQuery
from proxymux.discovery.consul_answer import Instances, read_instances
from proxymux.discovery.consul_url import ConsulUrl, parse_consul_url
from proxymux.discovery.http_client import Answer, HttpClient
from proxymux.discovery.http_connections import AskingFailed
from proxymux.discovery.source import SourceListener
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.printable import printable

#: The most characters of an error's text of Consul's.
_MAX_TEXT: Final = 120
_LOG: Final = Logger("proxymux")


class ConsulSource:
    """The instances of a service in Consul.

    :param text: ``consul://host:8500/service?…``, or ``consuls://…``.
    :param reactor: makes the connections.
    :param clock: measures the time.
    :param jitter: returns a random factor from 0.5 to 1.5 for the time before another attempt.
    :raises BadAddress: if the text cannot be used.
    """

    def __init__(self, text: str, reactor: Reactor, clock: IReactorTime, jitter: Callable[[], float]) -> None:
        self._url = parse_consul_url(text)
        self._clock = clock
        self._jitter = jitter
        self._client = HttpClient(reactor, clock, self._url.server, self._url.tls)
        self._query = BlockingQuery()
        #: What the listener has been told; None before the first set.
        self._known: Instances | None = None
        self._listener: SourceListener | None = None
        #: The query that is under way, and the call that makes the next one.
        self._asked: Deferred[Any] | None = None
        self._next: IDelayedCall | None = None

    def __repr__(self) -> str:
        return f"<ConsulSource {self._url}>"

    def check(self) -> None:
        """Read the files for TLS.

        :raises BadAddress: if one cannot be used.
        """
        if self._url.tls is not None:
            self._url.tls.check()

    def start(self, listener: SourceListener) -> None:
        self._listener = listener
        self._query, self._known = BlockingQuery(), None
        self._ask()

    def look(self) -> None:
        if self._listener is not None:
            self._leave()
            self._query.hurry()
            self._next = self._clock.callLater(self._query.pause(self._clock.seconds()), self._ask)

    def stop(self) -> None:
        self._listener = None
        self._leave()
        self._client.close()

    def _leave(self) -> None:
        """Give up the query that is under way, and the next."""
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.cancel()
        following, self._next = self._next, None
        if following is not None:
            following.cancel()

    def _ask(self) -> None:
        self._next = None
        query = self._query.begin(self._clock.seconds())
        asked = self._asked = self._client.get(self._url.path(query), self._url.headers, query.limit)
        asked.addBoth(self._ended, asked)
        asked.addErrback(functools.partial(_LOG.failure, "a cluster could not take what Consul says"))

    def _ended(self, result: Answer | Failure, asked: Deferred[Any]) -> None:
        """Take what a query has come to, and have the next one made, before the listener is told."""
        listener = self._listener
        if listener is None or asked is not self._asked:
            return
        self._asked = None
        now = self._clock.seconds()
        try:
            if isinstance(result, Failure):
                result.raiseException()
            found = read_answer(result, self._url, self._known)
        except AskingFailed as error:
            self._next = self._clock.callLater(self._query.failed(now, self._jitter()), self._ask)
            listener.failed(f"{self._url.server}: {error}")
        else:
            delay = self._query.answered(result.header("X-Consul-Index"), now)
            self._next = self._clock.callLater(delay, self._ask)
            self._tell(listener, found)

    def _tell(self, listener: SourceListener, found: Instances) -> None:
        known, self._known = self._known, found
        if found.problem and (known is None or found.problem != known.problem):
            _LOG.warn("{source}: {problem}", source=str(self._url), problem=found.problem)
        if known is None or found.entries != known.entries:
            listener.changed(found.entries)
        else:
            listener.heard()


def read_answer(answer: Answer, url: ConsulUrl, known: Instances | None) -> Instances:
    """Read an answer, unless what is known already is better.

    :raises AskingFailed: if it cannot be used, or may be worse.
    """
    if answer.status != 200:
        raise AskingFailed(f"Consul answers {answer.status}{_text(answer.body, url.token)}")
    # It may be of any age then, so it is better than nothing only.
    if known is not None and answer.header("X-Consul-KnownLeader") == "false":
        raise AskingFailed("Consul has no leader")
    found = read_instances(answer.body, url.is_passing, url.near is not None)
    if not found.entries and found.problem:
        raise AskingFailed(f"no instance can be used, {found.problem}")
    if not found.entries and answer.header("X-Consul-Results-Filtered-By-ACLs") == "true":
        raise AskingFailed("the token may not see the instances")
    return found


def _text(body: bytes, token: str | None) -> str:
    """What Consul says of an error, without the token that it may repeat."""
    text = " ".join(body[:4096].decode("utf-8", "replace").split())
    if token is not None:
        text = text.replace(token, "***")
    return f": {printable(text[:_MAX_TEXT])}" if text else ""
