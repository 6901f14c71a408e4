"""A source that is a Redis Cluster: its primaries, and the map of its slots."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from proxymux.core.member import Entry
from proxymux.core.redis_cluster.looking import Looking
from proxymux.core.redis_cluster.slot_map import SlotMap
from proxymux.core.redis_cluster.topology import Topology
from proxymux.core.target import InetTarget
from proxymux.discovery.http_connections import AskingFailed
from proxymux.discovery.redis_cluster.address import parse_redis_cluster_address
from proxymux.discovery.redis_cluster.question import Questions
from proxymux.discovery.source import SourceListener
from proxymux.net.reactor.twisted_types import Reactor

_LOG: Final = Logger("proxymux")


class RedisClusterSource:
    """The primaries of a Redis Cluster, asked for at any node that answers.

    :param text: ``rediscluster://host:6379,…``, or ``redisclusters://…`` for TLS.
    :param jitter: returns a random factor from 0.5 to 1.5 of the pauses after failures.
    :raises BadAddress: if the text is something else.
    """

    def __init__(self, text: str, reactor: Reactor, clock: IReactorTime, jitter: Callable[[], float]) -> None:
        self._address = parse_redis_cluster_address(text)
        self._clock = clock
        self._jitter = jitter
        self._questions = Questions(reactor, clock, self._address)
        self._looking = Looking(self._address.hosts, self._address.refresh)
        self._listener: SourceListener | None = None
        #: Called with the map of the slots when it is known or has changed, after the members.
        self.watchers: list[Callable[[SlotMap], None]] = []
        #: What is known; None before the first answer.
        self.topology: Topology | None = None
        #: The question that is under way, and the call that begins the next look.
        self._asked: Deferred[Topology] | None = None
        self._next: IDelayedCall | None = None

    def __repr__(self) -> str:
        return f"<RedisClusterSource {self._address}>"

    def check(self) -> None:
        """Read the files of TLS.

        :raises BadAddress: if one of them cannot be used.
        """
        if self._address.tls is not None:
            self._address.tls.check()

    def start(self, listener: SourceListener) -> None:
        self._listener = listener
        self.topology = None
        self._look()

    def look(self) -> None:
        self.look_soon()

    def stop(self) -> None:
        self._listener = None
        self._cancel_next()
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.cancel()

    def look_soon(self, first: InetTarget | None = None) -> None:
        """Look again, as what is known is old: at once, or a second after the begin of the last look.

        :param first: who is asked first, as a redirect leads there.
        """
        if self._listener is not None:
            pause = self._looking.want(first, self._clock.seconds())
            if self._asked is None:
                self._look_in(pause)

    def _look_in(self, pause: float) -> None:
        self._cancel_next()
        self._next = self._clock.callLater(pause, self._look)

    def _cancel_next(self) -> None:
        following, self._next = self._next, None
        if following is not None:
            following.cancel()

    def _look(self) -> None:
        self._next = None
        self._ask(self._looking.begin(self._clock.seconds()), "")

    def _ask(self, nodes: list[InetTarget], problem: str) -> None:
        """Ask the first of some nodes, and the next one if that does not answer.

        :param problem: why the first node of the look has not answered; empty while it may.
        """
        self._asked = asked = self._questions.ask(nodes[0])
        asked.addBoth(self._ended, asked, nodes, problem)
        asked.addErrback(functools.partial(_LOG.failure, "a cluster could not take what Redis says"))

    def _ended(
        self, result: Topology | Failure, asked: Deferred[Topology], nodes: list[InetTarget], problem: str
    ) -> None:
        """Take what a question has come to, and have the next look made, before the listener is told."""
        listener = self._listener
        if listener is None or asked is not self._asked:
            return
        self._asked = None
        node, *others = nodes
        now = self._clock.seconds()
        if not isinstance(result, Failure):
            self._look_in(self._looking.answered(node, result.nodes, now))
            self._take(listener, result)
            return
        result.trap(AskingFailed)
        problem = problem or f"{node}: {result.getErrorMessage()}"
        if others:
            self._ask(others, problem)
        else:
            self._look_in(self._looking.failed(self._jitter(), now))
            listener.failed(f"{self._address}: no node has answered; {problem}")

    def _take(self, listener: SourceListener, found: Topology) -> None:
        known, self.topology = self.topology, found
        if known is None or found.primaries != known.primaries:
            listener.changed(tuple(Entry(each) for each in found.primaries))
        else:
            listener.heard()
        if known is None or found.slots != known.slots:
            for watcher in self.watchers:
                watcher(found.slots)
