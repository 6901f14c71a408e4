"""The pipeline: the requests and replies of one client that shares upstreams, as a state machine.

All decisions on the course of a pooled client are made here and in
:class:`~proxymux.core.client_pipeline.ClientPipeline`, without sockets, clocks or the pool.
:class:`~proxymux.pool.exchange.DetachedExchange` calls its method ``take`` with each input and carries out the orders
that it returns.  The table :data:`TRANSITIONS` lists the reaction to each input in each state.

One input leads to at most one batch being submitted: whether the next batch may follow on the same slot depends on the
slot that the first one gets.  The caller gives the input GO_ON once that is known.
"""

from __future__ import annotations

from typing import Final

from proxymux.core import pipeline_orders
from proxymux.core.batch import Batch
from proxymux.core.client_pipeline import ClientPipeline, transitions_of
from proxymux.core.pipeline_orders import Failure, Order, PipelineRules, State
from proxymux.core.turns import Turns

#: With a codec that sees no ends, a chunk of at least this many bytes counts as a part of a request, which then ends
#: with the gap of silence instead of with the chunk.
LARGE: Final = 1 << 14
#: The most outstanding batches of one client in FIFO mode, as far as they wait for a slot.
MOST_WAITING: Final = 16
_FINISHING: Final = State.FINISHING  # looking up a member of an Enum costs as much as a call


class Pipeline(ClientPipeline[Turns]):
    """The state machine of one client that shares all upstreams of a pool.

    :param rules: the rules of the client's pool.
    """

    __slots__ = ()

    def __init__(self, rules: PipelineRules) -> None:
        super().__init__(rules, Turns(rules.codec, rules.max_outstanding))

    def _received(self, data: bytes) -> list[Order]:
        if len(data) >= LARGE and self._rules.codec.gap:
            return self._collect(data)
        cut = self._requests.cut(data)
        if (
            isinstance(cut, Batch)
            and not (self._turns.outstanding or self._turns.waiting or self._is_output_full)
            and cut.replies <= self.window.most
        ):
            self._turns.outstanding.append(cut)
            return [cut]  # nothing is before it: the usual case
        return self._enqueue(cut)

    def _held_up(self, batch: Batch) -> list[Order]:
        """Have a batch that could not follow wait: in the pool's queue in FIFO mode, otherwise here."""
        outstanding = self._turns.outstanding
        if batch not in outstanding:
            return []
        if self._rules.is_ordered and len(outstanding) <= MOST_WAITING:
            return [batch]  # submitted: the pool's queue keeps the order of all clients
        self._turns.put_back(batch)
        return self._pause_or_end([])

    def _unsent(self, batch: Batch) -> list[Order]:
        """Have the client's first batch requeued; a later one waits here, as it must not overtake the first."""
        outstanding = self._turns.outstanding
        if batch not in outstanding:
            return []
        if self._rules.is_ordered or batch is outstanding[0]:
            return [pipeline_orders.Requeue(batch)]
        # Several could get several slots: those after the first are to follow it again.
        self._turns.put_back(batch)
        return self._pause_or_end([])

    def _reply(self, data: bytes) -> list[Order]:
        self._turns.outstanding[0].is_begun = True
        return [data]

    def _done(self, done: tuple[Batch, bytes]) -> list[Order]:
        batch, data = done
        outstanding = self._turns.outstanding
        if outstanding and outstanding[0] is batch:
            outstanding.popleft()
        elif batch in outstanding:
            outstanding.remove(batch)  # it has no replies, so it may be done before an earlier batch
        orders: list[Order] = [data] if data else []
        if batch.is_last:
            self._turns.drop_waiting()  # requests after the last are not served
            self._enter(State.FINISHING)
        if self._turns.waiting or self.state is _FINISHING:
            orders += self._go_on()
        if self._requests.scanner.interim:
            orders += self._send_interim()
        return orders

    def _failed(self, failure: Failure) -> list[Order]:
        """End the client: by the codec's error reply, or by a reset if a part of the failed reply was already sent."""
        batch, ending = failure.batch, failure.ending
        if batch not in self._turns.outstanding:
            return []
        if batch.is_begun:
            self._ending = ending
            self._enter(State.BREAKING_OFF)
            return [*self._turns.drop(batch), pipeline_orders.BreakOff()]
        orders = self._turns.drop_from(batch)
        return orders + self._dismiss(self._rules.codec.failure_for(batch.data, ending.reason or ""), ending)


#: The reactions of the pipeline to each input in each state.
TRANSITIONS: Final = transitions_of(Pipeline)
Pipeline._transitions = TRANSITIONS
