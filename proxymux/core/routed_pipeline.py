"""The pipeline of a client whose requests each go to a place of their own, as a state machine.

The states are those of every :class:`~proxymux.core.client_pipeline.ClientPipeline`.  The batches to one place are
outstanding in a lane, and the replies wait for each other.  Whoever chooses the places may need time, and the caller
then gives the input DECIDED.  The input REPLY comes with a tuple of a batch and bytes.

A batch that has failed ends the client only where its codec has no error reply, or after a part of a reply: of any
other the client is told by that error, once for each reply that is missing, and goes on.
"""

from __future__ import annotations

from typing import Final

from proxymux.core import pipeline_orders
from proxymux.core.batch import Batch
from proxymux.core.choice import OTHERS, Choice, Chooser
from proxymux.core.client_pipeline import ClientPipeline, transitions_of
from proxymux.core.codecs import KeyedScanner
from proxymux.core.pipeline_orders import Failure, Input, Order, PipelineRules, State
from proxymux.core.reply_order import ReplyOrder
from proxymux.core.routed_turns import RoutedTurns
from proxymux.core.setup import Change, settled

_OPEN: Final = State.OPEN  # looking up a member of an Enum costs as much as a call


class RoutedPipeline(ClientPipeline[RoutedTurns]):
    """The state machine of one client whose requests are routed.

    :param rules: the rules of the client's pool; of its codec silence ends no message, and batches are of one request
        each, or of several that the scanner finds as one.
    :param chooser: chooses the places of this client's requests.
    """

    __slots__ = ("_chooser", "_keyed")

    def __init__(self, rules: PipelineRules, chooser: Chooser) -> None:
        self._chooser = chooser
        super().__init__(rules, RoutedTurns(rules.codec, rules.max_outstanding, chooser))
        scanner = self._requests.scanner
        #: Finds the usual requests with their keys, if the codec can.
        self._keyed = scanner if isinstance(scanner, KeyedScanner) else None

    @property
    def replies(self) -> ReplyOrder:
        """The replies that are due, with those that are kept."""
        return self._turns.replies

    def _received(self, data: bytes) -> list[Order]:
        if self._keyed is not None and not self._requests.kept_size:
            found = self._keyed.cut_keyed(data)
            if found is not None:
                return self._received_keyed(data, *found)
        cut = self._requests.cut(data)
        turns = self._turns
        if type(cut) is not Batch or cut.replies != 1 or turns.outstanding or turns.waiting or self._is_output_full:
            return self._enqueue(cut)
        if cut.setup is not None and type(cut.setup) is Change:
            return self._enqueue(cut)
        return self._begin(cut, self._chooser.choose(cut.data, None))

    def _received_keyed(self, data: bytes, ends: list[int], keys: list[bytes]) -> list[Order]:
        """Take requests with one key each."""
        turns, count = self._turns, len(keys)
        batch = self._requests.whole(data, count)
        if turns.outstanding or turns.waiting or self._is_output_full or count > self.window.most:
            turns.add_keyed(batch, ends, keys)
            return self._go_on()
        if count == 1:
            return self._begin(batch, self._chooser.choose(data, keys[0]))
        places = self._chooser.places_of(keys)
        if places is not None:
            return turns.begin_all(batch, ends, places)
        turns.add_keyed(batch, ends, keys)
        return self._go_on()

    def _begin(self, batch: Batch, choice: Choice | None) -> list[Order]:
        """Have a batch of one request go where was chosen, as nothing is before it."""
        if choice is None or isinstance(choice, OTHERS):
            self._turns.add_chosen(batch, choice)
            return self._go_on()
        return [self._turns.begin(batch, choice)]

    def _go_on(self, _: None = None) -> list[Order]:
        orders = super()._go_on()
        turns = self._turns
        if turns.problem:
            self._problem = self._problem or turns.problem
        if turns.closing is not None:
            self._requests.drop()
            self._ending = turns.close().ending
            self._enter(State.FINISHING)
            orders += super()._go_on()
        return orders

    def _pin(self) -> None:
        """Have what waits go to where the last reply has come from, on an upstream that is the client's alone."""
        turns, place = self._turns, self._turns.last_place
        if turns.outstanding or not turns.has_requests:
            return
        if self._ending is None and place is not None and place.spare_alone():
            turns.add_chosen(self._requests.claim(turns.take_waiting()), place)
            self._enter(State.CLAIMING)
            return
        self._refuse_pin()

    def _decided(self, choice: Choice) -> list[Order]:
        self._turns.decided(choice)
        return self._go_on()

    def _held_up(self, batch: Batch) -> list[Order]:
        """Have a batch that could not follow wait here."""
        if batch not in batch.lane.outstanding:
            return []
        self._turns.put_back(batch)
        return self._pause_or_end([])

    def _unsent(self, batch: Batch) -> list[Order]:
        """Have the first batch of its lane requeued; a later one waits here, as it must not overtake the first."""
        outstanding = batch.lane.outstanding
        if batch not in outstanding:
            return []
        if batch is outstanding[0]:
            return [pipeline_orders.Requeue(batch)]
        return self._held_up(batch)

    def _reply(self, reply: tuple[Batch, bytes]) -> list[Order]:
        data = self._turns.replies.reply(*reply)
        return [data] if data else []

    def _done(self, done: tuple[Batch, bytes]) -> list[Order]:
        batch, data = done
        outstanding = batch.lane.outstanding
        if outstanding and outstanding[0] is batch:
            outstanding.popleft()
        elif batch in outstanding:
            outstanding.remove(batch)  # it has no replies, so it may be done before an earlier batch
        else:
            return []
        turns = self._turns
        due = turns.outstanding
        if batch.is_last or turns.waiting or batch.lane.waiting or self.state is not _OPEN:
            return self._settle(batch, data)
        if len(due) == 1 and due[0] is batch:
            due.clear()  # nothing is before it nor behind it: the usual case
            turns.replies.end(batch)
            turns.replies.under_way = 0
            turns.last_place, turns.barrier = batch.lane.place, None
            if not self._requests.scanner.interim:
                return [data] if data else []
            return [data, *self._send_interim()]
        if batch.woven is not None:
            turns.last_place = batch.lane.place
            return [*turns.replies.weave(batch, data)]
        return self._settle(batch, data)

    def _settle(self, batch: Batch, data: bytes, is_failed: bool = False) -> list[Order]:
        """Go on after all replies to a batch have come, or what the client is told in their place."""
        turns = self._turns
        orders = turns.done(batch, data, is_failed)
        if turns.replies.is_over:
            orders += turns.drop_after(None)  # requests after the last are not served
            self._enter(State.FINISHING)
        if turns.waiting or self.state is not _OPEN:
            orders += self._go_on()
        if self._requests.scanner.interim:
            orders += self._send_interim()
        return orders

    def _failed(self, failure: Failure) -> list[Order]:
        """Tell the client of a failed batch, or end it if that cannot be told."""
        batch, ending = failure.batch, failure.ending
        turns = self._turns
        if batch not in batch.lane.outstanding:
            return []
        answer = self._rules.codec.failure_for(batch.data, ending.reason or "")
        if not turns.replies.cut(batch):
            self._ending = ending
            self._enter(State.BREAKING_OFF)
            return [*turns.drop(batch), pipeline_orders.BreakOff()]
        batch.lane.outstanding.remove(batch)
        is_change = type(settled(batch.setup)) is Change
        if batch.alone or is_change or not answer:
            # Of what the client is told nothing, it must not take a later reply for this one.
            orders = turns.drop_from(batch)
            return orders + self._dismiss(answer, ending)
        if not self._problem:
            self._problem = ending.reason or ending.outcome.value
        return self._settle(batch, answer, True)

    def _idle(self, reason: str) -> list[Order]:
        return [] if self._turns.waiting else super()._idle(reason)


RoutedPipeline._transitions = {
    state: {**reactions, Input.DECIDED: RoutedPipeline._decided} if Input.GO_ON in reactions else reactions
    for state, reactions in transitions_of(RoutedPipeline).items()
}
