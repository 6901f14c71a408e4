"""The pipeline: one client of the pool, whose requests go to shared upstreams, as a state machine.

Rules of this file: whatever decides the course of a pooled client lives here; nothing here knows of sockets, clocks or
the pool.  :meth:`Pipeline.take` is given what has happened and returns what to do.  The table :data:`TRANSITIONS` says
what counts in which state; an input that has no place in it came too late (a reply for a client that has gone, say) and
changes nothing.  Exactly one End, Leave or HandOver ends every pipeline.

At most one batch is submitted in answer to one input, as whether another may follow it on its slot is known only when
it has one: GO_ON is to be said then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from proxymux.core import pipeline_orders
from proxymux.core.batch import Batch
from proxymux.core.codecs import BODY_LIMIT
from proxymux.core.commands import Cause
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.pipeline_orders import Failure, Input, Order, PipelineRules, State
from proxymux.core.request_cutter import Answer, RequestCutter
from proxymux.core.turns import Turns

#: Bytes that came at once of a request without an end, from which on it is taken for one that comes in parts.
LARGE: Final = 1 << 14
#: Batches of a client that may be outstanding without a slot, where all are served in the order in which they came.
MOST_WAITING: Final = 16
_FINISHING: Final = State.FINISHING  # an Enum's member takes as long to look up as a call


class Pipeline:
    """The course of one pooled client."""

    __slots__ = ("_ending", "_is_slow", "_reactions", "_requests", "_rules", "_turns", "is_paused", "state", "waiting")

    def __init__(self, rules: PipelineRules) -> None:
        self._rules = rules
        self._requests = RequestCutter(rules)
        self._turns = turns = Turns()
        #: What waits for its turn.  For others to see whether anything does.
        self.waiting = turns.waiting
        self._is_slow = False
        #: No more is to be read of the client for now.
        self.is_paused = False
        #: How it ends when all that the client is still to get is sent, if not well.
        self._ending: Ending | None = None
        self._enter(State.OPEN)

    def __repr__(self) -> str:
        return f"<Pipeline {self.state.value}, {len(self.waiting)} waiting, {len(self._turns.outstanding)} outstanding>"

    @property
    def is_over(self) -> bool:
        """True if nothing counts any more, whatever happens."""
        return not self._reactions

    def take(self, what: Input, value: Any = None) -> list[Order]:
        """Take note of what has happened; answer what to do, in this order."""
        reactions = self._reactions
        return reactions[what](self, value) if what in reactions else []

    def _enter(self, state: State) -> None:
        self.state = state
        self._reactions = TRANSITIONS[state]

    # What the client sends

    def _received(self, data: bytes) -> list[Order]:
        if len(data) >= LARGE and self._rules.codec.gap:
            return self._collect(data)
        return self._accept(self._requests.cut(data))

    def _accept(self, cut: Batch | list[Batch | Answer]) -> list[Order]:
        """Put what the client has sent behind what waits."""
        if isinstance(cut, Batch):
            if not (self._turns.outstanding or self.waiting or self._is_slow):
                self._turns.outstanding.append(cut)
                return [cut]  # nothing is before it, as most often
            cut = [cut]
        for item in cut:
            self._turns.add(item)
            if isinstance(item, Answer):
                self._ending = item.ending
            elif item.alone:
                self._enter(State.CLAIMING)
            if item.is_last:
                self._enter(State.FINISHING)
        orders = self._go_on()
        return orders + self._interim() if self._requests.scanner.interim else orders

    def _interim(self) -> list[Order]:
        """What is to be sent before a request is whole, once all before it is out."""
        if not self._turns.is_over or self.state is State.ENDED:
            return []
        interim, self._requests.scanner.interim = self._requests.scanner.interim, b""
        return [interim]

    def _collect(self, data: bytes) -> list[Order]:
        """A part of a request whose end cannot be seen has come."""
        self._requests.keep(data)
        if self._requests.kept_size > BODY_LIMIT:
            return [pipeline_orders.StopGap(), *self._bad(f"a request of more than {BODY_LIMIT} bytes")]
        self._enter(State.COLLECTING)
        return [pipeline_orders.StartGap()]

    def _collected(self, _: None) -> list[Order]:
        self._enter(State.OPEN)
        return self._accept(self._requests.cut_kept())

    def _claimed(self, data: bytes) -> list[Order]:
        assert self._turns.claim is not None
        self._turns.claim.data += data
        return self._settle([])

    def _finished(self, _: None) -> list[Order]:
        if self._requests.kept_size:
            return self._bad("the client finished within a message")
        self._enter(State.FINISHING)
        return self._settle([])

    def _finished_collecting(self, _: None) -> list[Order]:
        return [pipeline_orders.StopGap(), *self._collected(None), *self.take(Input.CLIENT_FINISHED)]

    def _lost(self, reason: str | None) -> list[Order]:
        if reason is None and self._turns.is_over:
            return self._end(Cause.COMPLETED)
        return self._end(Cause.CLIENT_ABORTED, None, reason or "closed")

    def _full(self, _: None) -> list[Order]:
        """The client does not read its replies: no request of it is submitted meanwhile."""
        self._is_slow = True
        return self._settle([])

    def _free(self, _: None) -> list[Order]:
        self._is_slow = False
        return self._go_on()

    # What becomes of it

    def _go_on(self, _: None = None) -> list[Order]:
        return self._settle([] if self._is_slow else self._turns.next(self._rules.pipelined))

    def _settle(self, orders: list[Order]) -> list[Order]:
        """After all else: read no more of a client for which too much waits, and end one that waits for nothing."""
        is_paused = self._is_slow or self._turns.is_full
        if is_paused != self.is_paused:
            self.is_paused = is_paused
            orders.append(pipeline_orders.Pause() if is_paused else pipeline_orders.Resume())
        if self.state is State.FINISHING and self._turns.is_over:
            if self._ending is None:
                orders += self._end(Cause.COMPLETED)
            else:
                orders += self._end(Cause.DISMISSED, self._ending.outcome, self._ending.reason)
        return orders

    def _held_up(self, batch: Batch) -> list[Order]:
        outstanding = self._turns.outstanding
        if batch not in outstanding:
            return []
        if self._rules.is_ordered and len(outstanding) <= MOST_WAITING:
            return [batch]  # it waits in its place among those of all
        self._turns.put_back(batch)
        return self._settle([])

    def _unsent(self, batch: Batch) -> list[Order]:
        outstanding = self._turns.outstanding
        if batch not in outstanding:
            return []
        if self._rules.is_ordered or batch is outstanding[0]:
            return [pipeline_orders.Requeue(batch)]
        # Several could get several slots: those after the first are to follow it again.
        self._turns.put_back(batch)
        return self._settle([])

    def _given(self, batch: Batch) -> list[Order]:
        """The client has an upstream for itself: from here on bytes pass as they come."""
        self._enter(State.HANDED_OVER)
        return [pipeline_orders.HandOver(batch)]

    def _reply(self, data: bytes) -> list[Order]:
        self._turns.outstanding[0].is_begun = True
        return [data]

    def _done(self, done: tuple[Batch, bytes]) -> list[Order]:
        batch, data = done
        outstanding = self._turns.outstanding
        if outstanding and outstanding[0] is batch:
            outstanding.popleft()
        elif batch in outstanding:
            outstanding.remove(batch)  # it has no reply, and is done before its turn
        orders: list[Order] = [data] if data else []
        if batch.is_last:
            self._turns.drop_waiting()  # nobody will answer what came after it
            self._enter(State.FINISHING)
        if self.waiting or self.state is _FINISHING:
            orders += self._go_on()
        if self._requests.scanner.interim:
            orders += self._interim()
        return orders

    def _failed(self, failure: Failure) -> list[Order]:
        batch, ending = failure.batch, failure.ending
        if batch not in self._turns.outstanding:
            return []
        if batch.is_begun:
            self._ending = ending
            self._enter(State.BREAKING_OFF)
            return [*self._turns.drop(batch), pipeline_orders.BreakOff()]
        orders = self._turns.drop_from(batch)
        return orders + self._dismiss(self._rules.codec.failure(ending.reason or ""), ending)

    # The end

    def _bad(self, problem: str) -> list[Order]:
        return self._dismiss(b"", Ending(Outcome.PROTOCOL_ERROR, problem))

    def _dismiss(self, answer: bytes, ending: Ending) -> list[Order]:
        """The client is told ``answer``, in its turn, and ends."""
        self._requests.drop()
        self._ending = ending
        self._turns.add(Answer(answer))
        self._enter(State.FINISHING)
        return self._go_on()

    def _lost_breaking_off(self, reason: str | None) -> list[Order]:
        # In good order, but not with all that it was to get.
        return self._broken_off(None) if reason is None else self._lost(reason)

    def _broken_off(self, _: None) -> list[Order]:
        assert self._ending is not None
        return self._end(Cause.UPSTREAM_ABORTED, self._ending.outcome, self._ending.reason)

    def _idle(self, reason: str) -> list[Order]:
        return [] if self._turns.outstanding else self._end(Cause.IDLE, None, reason)

    def _aborted(self, _: None) -> list[Order]:
        self._enter(State.ENDED)
        return [*self._turns.drop(), pipeline_orders.Leave()]

    def _end(self, cause: Cause, outcome: Outcome | None = None, reason: str | None = None) -> list[Order]:
        self._enter(State.ENDED)
        return [*self._turns.drop(), pipeline_orders.End(cause, outcome, reason)]


_Reaction = Callable[[Pipeline, Any], list[Order]]
_ALWAYS: Final[dict[Input, _Reaction]] = {
    Input.CLIENT_LOST: Pipeline._lost,
    Input.IDLE: Pipeline._idle,
    Input.ABORTED: Pipeline._aborted,
}
_SHARING: Final[dict[Input, _Reaction]] = _ALWAYS | {
    Input.OUTPUT_FULL: Pipeline._full,
    Input.OUTPUT_FREE: Pipeline._free,
    Input.REPLY: Pipeline._reply,
    Input.DONE: Pipeline._done,
    Input.FAILED: Pipeline._failed,
    Input.UNSENT: Pipeline._unsent,
    Input.HELD_UP: Pipeline._held_up,
    Input.GO_ON: Pipeline._go_on,
}
#: What counts in which state.
TRANSITIONS: Final[dict[State, dict[Input, _Reaction]]] = {
    State.OPEN: _SHARING | {Input.RECEIVED: Pipeline._received, Input.CLIENT_FINISHED: Pipeline._finished},
    State.COLLECTING: _SHARING
    | {
        Input.RECEIVED: Pipeline._collect,
        Input.SILENCE: Pipeline._collected,
        Input.CLIENT_FINISHED: Pipeline._finished_collecting,
    },
    State.CLAIMING: _SHARING | {Input.RECEIVED: Pipeline._claimed, Input.GIVEN: Pipeline._given},
    State.FINISHING: _SHARING,
    State.BREAKING_OFF: _ALWAYS | {Input.CLIENT_LOST: Pipeline._lost_breaking_off, Input.FLUSHED: Pipeline._broken_off},
    State.HANDED_OVER: {},
    State.ENDED: {},
}
