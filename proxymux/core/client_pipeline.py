"""What the pipelines of all pools have in common: the states of one pooled client, and what leads from one to another.

The table of :func:`transitions_of` lists the reaction to each input in each state.  An input that is not listed for the
current state came too late (a reply for a client that has gone, say) and is ignored.  Exactly one End, Leave or
HandOver ends every pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from proxymux.core import pipeline_orders
from proxymux.core.batch import Batch
from proxymux.core.commands import Cause
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.pipeline_orders import Failure, Input, Order, PipelineRules, State
from proxymux.core.request_cutter import NO_SPARE_UPSTREAM, Answer, RequestCutter
from proxymux.core.window import Window

Reaction = Callable[[Any, Any], list[Order]]
#: The reaction to each input in each state.
Reactions = Mapping[State, Mapping[Input, Reaction]]


class ClientTurns(Protocol):
    """The items of one client in their order, see :class:`~proxymux.core.turns.Turns`."""

    claim: Batch | None

    @property
    def window(self) -> Window:
        """How many replies the client may have under way."""

    @property
    def waiting(self) -> Sized:
        """Items whose turn has not come."""

    @property
    def outstanding(self) -> Sized:
        """What the client is still to get."""

    @property
    def is_empty(self) -> bool:
        """True if no item waits and nothing is outstanding."""

    @property
    def is_full(self) -> bool:
        """True if so much waits that reading should pause."""

    @property
    def has_requests(self) -> bool:
        """True if requests wait."""

    def add(self, item: Batch | Answer) -> None:
        """Append an item."""

    def next(self, pipelined: bool) -> list[Order]:
        """Remove the items whose turn has come, up to the first batch, and return the orders for them."""

    def take_waiting(self) -> bytes:
        """Remove all that waits, and return the bytes of the requests."""

    def drop_waiting(self) -> None:
        """Drop the items that wait."""

    def drop(self, failed: Batch | None = None) -> list[Order]:
        """Drop all items, and return the orders to withdraw the outstanding batches."""


OwnTurns = TypeVar("OwnTurns", bound=ClientTurns)


class ClientPipeline(Generic[OwnTurns]):
    """The state machine of one pooled client, without what depends on how its requests find their upstreams.

    :param rules: the rules of the client's pool.
    """

    #: Those of the subclass, by :func:`transitions_of`.
    _transitions: ClassVar[Reactions]

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
        "outstanding",
        "state",
        "waiting",
        "window",
    )

    def __init__(self, rules: PipelineRules, turns: OwnTurns) -> None:
        self._rules = rules
        self._requests = RequestCutter(rules)
        self._turns = turns
        #: How many replies the client may have under way.  The caller counts there what it sends to the client.
        self.window = turns.window
        #: Items that wait for their turn.  Other classes only check whether there are any.
        self.waiting = turns.waiting
        #: The batches whose replies are still to come.  Other classes only check whether there are any.
        self.outstanding = turns.outstanding
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
        return f"<Pipeline {self.state.value}, {len(self.waiting)} waiting, {len(self.outstanding)} outstanding>"

    @property
    def is_over(self) -> bool:
        """True once the pipeline has ended and ignores all inputs."""
        return not self._reactions

    def pack(self) -> dict[str, Any] | None:
        """What another process needs to go on with the client; None while it is not idle, or if it cannot be moved."""
        is_idle = self.state is State.OPEN and self._turns.is_empty and not self.is_paused and not self._is_output_full
        packed = self._requests.pack() if is_idle and not self._requests.is_pinned else None
        return None if packed is None else {**packed, "bytes_out": self.window.bytes_out, "problem": self._problem}

    def unpack(self, packed: dict[str, Any]) -> None:
        """Go on with an idle client of another process."""
        self._requests.unpack(packed)
        self.window.bytes_out = packed["bytes_out"]
        self._problem = packed["problem"]

    def take(self, what: Input, value: Any = None) -> list[Order]:
        """React to an input.

        :param value: as documented at the members of :class:`~proxymux.core.pipeline_orders.Input`.
        :returns: the orders to carry out, in this order.
        """
        reaction = self._reactions.get(what)
        return [] if reaction is None else reaction(self, value)

    def _enter(self, state: State) -> None:
        self.state = state
        self._reactions = self._transitions[state]

    # What the subclasses do

    def _received(self, data: bytes) -> list[Order]:
        raise NotImplementedError

    def _reply(self, reply: Any) -> list[Order]:
        raise NotImplementedError

    def _done(self, done: tuple[Batch, bytes]) -> list[Order]:
        raise NotImplementedError

    def _failed(self, failure: Failure) -> list[Order]:
        raise NotImplementedError

    def _held_up(self, batch: Batch) -> list[Order]:
        """Have a batch that could not follow wait."""
        raise NotImplementedError

    def _unsent(self, batch: Batch) -> list[Order]:
        """Have a batch sent again."""
        raise NotImplementedError

    # What the client sends

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
        if not self._turns.has_requests:
            return
        if self._ending is None and self._rules.may_have_own():
            self._turns.add(self._requests.claim(self._turns.take_waiting()))
            self._enter(State.CLAIMING)
            return
        self._refuse_pin()

    def _refuse_pin(self) -> None:
        """Tell the client that there is no upstream to spare, instead of what waits, and serve it no more."""
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

    def _given(self, batch: Batch) -> list[Order]:
        """End the pipeline: the client has an upstream alone, and an exchange passes its bytes from here on."""
        self._enter(State.HANDED_OVER)
        return [pipeline_orders.HandOver(batch, self._problem)]

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
        return [] if self.outstanding else self._end(Cause.IDLE, None, reason)

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


def transitions_of(kind: type[ClientPipeline[Any]]) -> Reactions:
    """The reactions of a kind of pipeline to each input in each state.  Inputs that are not listed are ignored."""
    always: dict[Input, Reaction] = {
        Input.CLIENT_LOST: kind._client_lost,
        Input.IDLE: kind._idle,
        Input.DISMISSED: kind._dismissed,
        Input.ABORTED: kind._aborted,
    }
    sharing: dict[Input, Reaction] = always | {
        Input.OUTPUT_FULL: kind._output_full,
        Input.OUTPUT_FREE: kind._output_free,
        Input.REPLY: kind._reply,
        Input.DONE: kind._done,
        Input.FAILED: kind._failed,
        Input.UNSENT: kind._unsent,
        Input.HELD_UP: kind._held_up,
        Input.GO_ON: kind._go_on,
    }
    collecting: dict[Input, Reaction] = {
        Input.RECEIVED: kind._collect,
        Input.SILENCE: kind._collected,
        Input.CLIENT_FINISHED: kind._finished_collecting,
    }
    return {
        State.OPEN: sharing | {Input.RECEIVED: kind._received, Input.CLIENT_FINISHED: kind._client_finished},
        State.COLLECTING: sharing | collecting,
        State.CLAIMING: sharing | {Input.RECEIVED: kind._add_to_claim, Input.GIVEN: kind._given},
        State.FINISHING: sharing | {Input.RECEIVED: kind._not_served},
        State.BREAKING_OFF: always | {Input.CLIENT_LOST: kind._lost_breaking_off, Input.FLUSHED: kind._broken_off},
        State.HANDED_OVER: {},
        State.ENDED: {},
    }
