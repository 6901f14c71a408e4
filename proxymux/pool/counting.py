"""The pool where its requests are counted.  It has classes of its own, so that one that counts nothing pays nothing.

A request counts once, when it ends for its client: as ``ok`` when its reply is whole, with the outcome when it fails,
as ``protocol_error`` when it is refused for want of an upstream, as ``client_aborted`` when its client is gone first.
One without a reply is not counted, nor what a client sends to an upstream that it has alone.
"""

from __future__ import annotations

from typing import Protocol

from proxymux.core.batch import Batch
from proxymux.core.outcome import ConnectFault, Outcome
from proxymux.core.slots import Slot
from proxymux.net.connection import Connection
from proxymux.pool.pool import Pool
from proxymux.pool.rewriting import RewritingUpstream
from proxymux.pool.setting_up import PreambleListener
from proxymux.pool.upstream import Upstream


class RequestCounter(Protocol):
    """Counts what the pool tells it."""

    def requests(self, result: str, count: int) -> None:
        """``count`` requests have ended; ``result`` is ``ok`` or an outcome."""

    def connect_failed(self, fault: ConnectFault) -> None:
        """An attempt to connect a slot has failed."""


class _CountedUpstream(Upstream):
    """An upstream that counts the requests which are answered."""

    counter: RequestCounter

    def _pass_on(self, batch: Batch, data: bytes, ended: int) -> None:
        if ended and ended != batch.replies:
            self._count(batch, ended)
        super()._pass_on(batch, data, ended)

    def _complete(self, batch: Batch, data: bytes) -> None:
        self._count(batch, batch.replies)
        super()._complete(batch, data)

    def _count(self, batch: Batch, replies: int) -> None:
        # Our own requests have no sender, nor has one whose client has left.
        if batch.sender is not None and not isinstance(batch.listener, PreambleListener):
            self.counter.requests("ok", replies)


class _CountedRewritingUpstream(_CountedUpstream, RewritingUpstream):
    """The same for codecs with ``rewrites``."""


class CountedPool(Pool):
    """A pool that counts its requests, and the attempts to connect that fail.

    :attr:`counter` is set before the first client comes.
    """

    counter: RequestCounter

    def make_upstream(self, slot: Slot, connection: Connection) -> Upstream:
        make = _CountedRewritingUpstream if self.codec.rewrites else _CountedUpstream
        upstream = make(self.rules, self, slot, connection)
        upstream.counter = self.counter
        return upstream

    def attempt_failed(self, fault: ConnectFault) -> None:
        self.counter.connect_failed(fault)

    def fail(self, batch: Batch, outcome: Outcome, reason: str) -> None:
        if batch.sender is not None:
            self.counter.requests(outcome.value, batch.replies or int(batch.alone))
        super().fail(batch, outcome, reason)

    def note_refusal(self, name: str, problem: str) -> None:
        self.counter.requests(Outcome.PROTOCOL_ERROR.value, 1)
        super().note_refusal(name, problem)

    def withdraw(self, batch: Batch) -> None:
        if batch.sender is not None:
            self.counter.requests(Outcome.CLIENT_ABORTED.value, batch.replies or int(batch.alone))
        super().withdraw(batch)
