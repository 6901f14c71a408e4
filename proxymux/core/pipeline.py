"""The pipeline: the requests and replies of one client that shares upstreams, as a state machine.

All decisions on the course of a pooled client are made in this file, without sockets, clocks or the pool.
:class:`~proxymux.pool.exchange.DetachedExchange` calls :meth:`Pipeline.take` with each input and carries out the orders
that it returns.  The table :data:`TRANSITIONS` lists the reaction to each input in each state.  An input that is not
listed for the current state came too late (a reply for a client that has gone, say) and is ignored.  Exactly one End,
Leave or HandOver ends every pipeline.

One input leads to at most one batch being submitted: whether the next batch may follow on the same slot depends on the
slot that the first one gets.  The caller gives the input GO_ON once that is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from proxymux.core import pipeline_orders
from proxymux.core.batch import Batch
from proxymux.core.commands import Cause
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.pipeline_orders import Failure, Input, Order, PipelineRules, State
from proxymux.core.request_cutter import NO_SPARE_UPSTREAM, Answer, RequestCutter
from proxymux.core.turns import Turns

#: With a codec that sees no ends, a chunk of at least this many bytes counts as a part of a request, which then ends
#: with the gap of silence instead of with the chunk.
LARGE: Final = 1 << 14
#: The most outstanding batches of one client in FIFO mode, as far as they wait for a slot.
MOST_WAITING: Final = 16
_FINISHING: Final = State.FINISHING  # looking up a member of an Enum costs as much as a call


class Pipeline:
    """The state machine of one pooled client.

    :param rules: the rules of the client's pool.
    """

    __slots__ = (
        "_ending",
        "_is_output_full",
        "_is_unserved",
        "_problem",
        "_reactions",
        "_requests",
        "_rules",
        "_turns",
        "is_paused",
        "state",
        "waiting",
        "window",
    )

    def __init__(self, rules: PipelineRules) -> None:
        self._rules = rules
        self._requests = RequestCutter(rules)
        self._turns = turns = Turns(rules.codec, rules.max_outstanding)
        #: How many replies the client may have under way.  The caller counts there what it sends to the client.
        self.window = turns.window
        #: Items that wait for their turn.  Other classes only check whether there are any.
        self.waiting = turns.waiting
        #: The client does not read its replies.
        self._is_output_full = False
        #: The client sends on after its last request.
        self._is_unserved = False
        #: Reading from the client is paused.
        self.is_paused = False
        #: The client's outcome after its last reply; None is ``completed``.
        self._ending: Ending | None = None
        #: The first request that was refused for want of an upstream, in one line; empty if none was.
        self._problem = ""
        self._enter(State.OPEN)

    def __repr__(self) -> str:
        return f"<Pipeline {self.state.value}, {len(self.waiting)} waiting, {len(self._turns.outstanding)} outstanding>"

    @property
    def is_over(self) -> bool:
        """True once the pipeline has ended and ignores all inputs."""
        return not self._reactions

    def take(self, what: Input, value: Any = None) -> list[Order]:
        """React to an input.

        :param value: as documented at the members of :class:`~proxymux.core.pipeline_orders.Input`.
        :returns: the orders to carry out, in this order.
        """
        reactions = self._reactions
        return reactions[what](self, value) if what in reactions else []

    def _enter(self, state: State) -> None:
        self.state = state
        self._reactions = TRANSITIONS[state]

    # What the client sends

    def _received(self, data: bytes) -> list[Order]:
        if len(data) >= LARGE and self._rules.codec.gap:
            return self._collect(data)
        cut = self._requests.cut(data)
        if (
            isinstance(cut, Batch)
            and not (self._turns.outstanding or self.waiting or self._is_output_full)
            and cut.replies <= self.window.most
        ):
            self._turns.outstanding.append(cut)
            return [cut]  # nothing is before it: the usual case
        return self._enqueue(cut)

    def _enqueue(self, cut: Batch | list[Batch | Answer]) -> list[Order]:
        """Queue what the client has sent, and go on with the items whose turn has come."""
        for item in [cut] if isinstance(cut, Batch) else cut:
            self._turns.add(item)
            if isinstance(item, Answer):
                self._ending = item.ending
                self._problem = self._problem or item.problem
            elif item.alone:
                self._enter(State.CLAIMING)
            if item.is_last:
                self._enter(State.FINISHING)
        orders = self._go_on()
        return orders + self._send_interim() if self._requests.scanner.interim else orders

    def _send_interim(self) -> list[Order]:
        """Send the codec's interim reply (100 Continue) to an unfinished request, once it is the first."""
        if not self._turns.is_empty or self.state is State.ENDED:
            return []
        interim, self._requests.scanner.interim = self._requests.scanner.interim, b""
        return [interim]

    def _collect(self, data: bytes) -> list[Order]:
        """Keep a part of a large request that only silence ends, and wait for that silence."""
        self._requests.keep(data)
        if self._requests.kept_size > self._rules.request_limit:
            problem = f"a request of more than {self._rules.request_limit} bytes (--max-message)"
            return [pipeline_orders.StopGap(), *self._protocol_error(problem)]
        self._enter(State.COLLECTING)
        return [pipeline_orders.StartGap()]

    def _collected(self, _: None) -> list[Order]:
        """Take the kept bytes for one request: the client has been silent for the gap."""
        self._enter(State.OPEN)
        return self._enqueue(self._requests.cut_kept())

    def _add_to_claim(self, data: bytes) -> list[Order]:
        """Keep bytes for the upstream that the client will have alone."""
        assert self._turns.claim is not None
        self._turns.claim.data += data
        return self._pause_or_end([])

    def _not_served(self, _: bytes) -> list[Order]:
        """Read no more of a client whose last request has come, however long its replies take."""
        self._is_unserved = True
        return self._pause_or_end([])

    def _client_finished(self, _: None) -> list[Order]:
        if self._requests.kept_size:
            return self._protocol_error("the client finished within a message")
        self._enter(State.FINISHING)
        return self._pause_or_end([])

    def _finished_collecting(self, _: None) -> list[Order]:
        return [pipeline_orders.StopGap(), *self._collected(None), *self.take(Input.CLIENT_FINISHED)]

    def _client_lost(self, reason: str | None) -> list[Order]:
        if reason is None and self._turns.is_empty:
            return self._end(Cause.COMPLETED)
        return self._end(Cause.CLIENT_ABORTED, None, reason or "closed")

    def _output_full(self, _: None) -> list[Order]:
        """Submit no requests of a client that does not read its replies."""
        self._is_output_full = True
        return self._pause_or_end([])

    def _output_free(self, _: None) -> list[Order]:
        self._is_output_full = False
        return self._go_on()

    # Submitting and replies

    def _go_on(self, _: None = None) -> list[Order]:
        """Submit or answer the items whose turn has come."""
        if self.waiting and self._requests.is_pinned and self._turns.claim is None:
            self._pin()
        return self._pause_or_end([] if self._is_output_full else self._turns.next(self._rules.pipelined))

    def _pin(self) -> None:
        """Have what waits go to an upstream that the client has alone, as a reply has shown that it must not share one.

        Refuse it if there is none to spare, or if it ends with an answer, which an upstream cannot give.
        """
        if not any(isinstance(item, Batch) for item in self.waiting):
            return
        if self._ending is None and self._rules.may_have_own():
            self._turns.add(self._requests.claim(self._turns.take_waiting()))
            self._enter(State.CLAIMING)
            return
        self._turns.drop_waiting()
        self._requests.drop()
        self._ending = Ending(Outcome.PROTOCOL_ERROR, NO_SPARE_UPSTREAM)
        self._turns.add(Answer(self._rules.codec.failure(NO_SPARE_UPSTREAM)))
        self._enter(State.FINISHING)

    def _pause_or_end(self, orders: list[Order]) -> list[Order]:
        """Append the orders that follow from the state: to pause or resume reading, or to end a finished client."""
        is_paused = self._is_output_full or self._turns.is_full or self._is_unserved
        if is_paused != self.is_paused:
            self.is_paused = is_paused
            orders.append(pipeline_orders.Pause() if is_paused else pipeline_orders.Resume())
        if self.state is State.FINISHING and self._turns.is_empty:
            if self._ending is None:
                orders += self._end(Cause.COMPLETED)
            else:
                orders += self._end(Cause.DISMISSED, self._ending.outcome, self._ending.reason)
        return orders

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

    def _given(self, batch: Batch) -> list[Order]:
        """End the pipeline: the client has an upstream alone, and an exchange passes its bytes from here on."""
        self._enter(State.HANDED_OVER)
        return [pipeline_orders.HandOver(batch, self._problem)]

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
        if self.waiting or self.state is _FINISHING:
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

    # The end

    def _protocol_error(self, problem: str) -> list[Order]:
        return self._dismiss(b"", Ending(Outcome.PROTOCOL_ERROR, problem))

    def _dismiss(self, answer: bytes, ending: Ending) -> list[Order]:
        """Send ``answer`` after the replies that are outstanding, and end the client."""
        self._requests.drop()
        self._ending = ending
        self._turns.add(Answer(answer))
        self._enter(State.FINISHING)
        return self._go_on()

    def _lost_breaking_off(self, reason: str | None) -> list[Order]:
        # The connection closed in good order, but before the client had the whole reply.
        return self._broken_off(None) if reason is None else self._client_lost(reason)

    def _broken_off(self, _: None) -> list[Order]:
        """End the client whose reply was cut short: it has read all that came of the reply."""
        assert self._ending is not None
        return self._end(Cause.UPSTREAM_ABORTED, self._ending.outcome, self._ending.reason)

    def _idle(self, reason: str) -> list[Order]:
        """End an idle client, unless it waits for a reply: that has a time limit of its own."""
        return [] if self._turns.outstanding else self._end(Cause.IDLE, None, reason)

    def _dismissed(self, reason: str) -> list[Order]:
        """End the client at once: what is kept for it takes too much memory."""
        return self._end(Cause.CLIENT_ABORTED, Outcome.QUEUE_FULL, reason)

    def _aborted(self, _: None) -> list[Order]:
        """Drop everything without a word: the session ends the client."""
        self._enter(State.ENDED)
        return [*self._turns.drop(), pipeline_orders.Leave()]

    def _end(self, cause: Cause, outcome: Outcome | None = None, reason: str | None = None) -> list[Order]:
        self._enter(State.ENDED)
        if self._problem and self._problem != reason:
            reason = f"{reason}; {self._problem}" if reason else self._problem
        return [*self._turns.drop(), pipeline_orders.End(cause, outcome, reason)]


_Reaction = Callable[[Pipeline, Any], list[Order]]
_ALWAYS: Final[dict[Input, _Reaction]] = {
    Input.CLIENT_LOST: Pipeline._client_lost,
    Input.IDLE: Pipeline._idle,
    Input.DISMISSED: Pipeline._dismissed,
    Input.ABORTED: Pipeline._aborted,
}
_SHARING: Final[dict[Input, _Reaction]] = _ALWAYS | {
    Input.OUTPUT_FULL: Pipeline._output_full,
    Input.OUTPUT_FREE: Pipeline._output_free,
    Input.REPLY: Pipeline._reply,
    Input.DONE: Pipeline._done,
    Input.FAILED: Pipeline._failed,
    Input.UNSENT: Pipeline._unsent,
    Input.HELD_UP: Pipeline._held_up,
    Input.GO_ON: Pipeline._go_on,
}
#: The reaction to each input in each state.  Inputs that are not listed are ignored.
TRANSITIONS: Final[dict[State, dict[Input, _Reaction]]] = {
    State.OPEN: _SHARING | {Input.RECEIVED: Pipeline._received, Input.CLIENT_FINISHED: Pipeline._client_finished},
    State.COLLECTING: _SHARING
    | {
        Input.RECEIVED: Pipeline._collect,
        Input.SILENCE: Pipeline._collected,
        Input.CLIENT_FINISHED: Pipeline._finished_collecting,
    },
    State.CLAIMING: _SHARING | {Input.RECEIVED: Pipeline._add_to_claim, Input.GIVEN: Pipeline._given},
    State.FINISHING: _SHARING | {Input.RECEIVED: Pipeline._not_served},
    State.BREAKING_OFF: _ALWAYS | {Input.CLIENT_LOST: Pipeline._lost_breaking_off, Input.FLUSHED: Pipeline._broken_off},
    State.HANDED_OVER: {},
    State.ENDED: {},
}
