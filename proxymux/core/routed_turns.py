"""Keeps the requests and replies of one client in order where each request has a place of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from proxymux.core.batch import Batch
from proxymux.core.choice import Apart, Choice, Chooser, Replaced
from proxymux.core.codecs import Codec
from proxymux.core.codecs.view import SplitRequest
from proxymux.core.lanes import Lane, Lanes, Place
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.pipeline_orders import Follow, GoOn, Order, Withdraw
from proxymux.core.reply_order import Entry, ReplyOrder, count_of
from proxymux.core.request_cutter import NO_SPARE_UPSTREAM, Answer
from proxymux.core.routing_run import Run, divided
from proxymux.core.setup import Change, settled
from proxymux.core.turns import ANSWER, PLENTY
from proxymux.core.window import Window
from proxymux.core.woven import Woven

#: Why a request that wants a slot alone is not divided.
NOT_DIVIDED: Final = "a request that needs an upstream of its own cannot be divided"


class RoutedTurns:
    """The items of one client in their order: runs of requests whose places are not chosen yet, and answers of our own.

    The place of a request is chosen when its turn comes.  It is then a batch in the lane to that place, where it is
    submitted when nothing is outstanding, or at once where batches are pipelined.  If it has to wait there, what goes
    to other places does not.

    :param limit: bytes of replies that the client may have under way, or kept until their turn.
    """

    __slots__ = (
        "_chooser",
        "_codec",
        "_is_counting",
        "_lanes",
        "_limit",
        "_waiting_bytes",
        "barrier",
        "claim",
        "closing",
        "last_place",
        "outstanding",
        "problem",
        "replies",
        "waiting",
        "window",
    )

    def __init__(self, codec: Codec, limit: int, chooser: Chooser) -> None:
        self._codec = codec
        self._limit = limit
        self._chooser = chooser
        self._lanes = Lanes()
        self.window = Window(limit)
        #: The window knows of all replies that are under way.
        self._is_counting = False
        self.replies = ReplyOrder()
        #: What the client is still to get.  Other classes only read it.
        self.outstanding = self.replies.due
        #: What is to be done next: lanes in which a batch may be submitted, then the items whose turn has not come.
        self.waiting: deque[Lane | Run | Answer] = deque()
        self._waiting_bytes = 0
        #: The batch that wants a slot alone, outstanding or not; further bytes of the client are added to its data.
        self.claim: Batch | None = None
        #: The batch whose reply tells in which setup the next ones are sent, until that has come.
        self.barrier: Batch | None = None
        #: The answer with which the client is closed, once one was chosen.
        self.closing: Answer | None = None
        #: The first request that nobody served, in one line; empty if all were.
        self.problem = ""
        #: Where the last reply has come from.
        self.last_place: Place | None = None

    @property
    def is_empty(self) -> bool:
        """True if no item waits and no reply is due."""
        return not self.outstanding and not self.waiting

    @property
    def is_full(self) -> bool:
        """True if more than :data:`~proxymux.core.turns.PLENTY` bytes wait, so that reading should pause."""
        return self._waiting_bytes > PLENTY or (self.claim is not None and len(self.claim.data) > PLENTY)

    @property
    def has_requests(self) -> bool:
        """True if requests wait that have no place yet."""
        return any(isinstance(item, Run) for item in self.waiting)

    def add(self, item: Batch | Answer) -> None:
        """Append an item."""
        if isinstance(item, Answer):
            self.waiting.append(item)
            self._waiting_bytes += ANSWER + len(item.data)
            return
        self.waiting.append(Run(item))
        if item.alone:
            self.claim = item
        else:
            self._waiting_bytes += len(item.data)

    def add_keyed(self, batch: Batch, ends: Sequence[int], keys: Sequence[bytes]) -> None:
        """Append requests of which is known where each ends, and its one key."""
        self.waiting.append(Run(batch, list(zip(ends, keys, strict=True))))
        self._waiting_bytes += len(batch.data)

    def add_chosen(self, batch: Batch, choice: Choice | None) -> None:
        """Append one request for which was chosen; None has asked, see :meth:`decided`."""
        self.waiting.append(Run.chosen(batch, choice))
        if batch.alone:
            self.claim = batch
        else:
            self._waiting_bytes += len(batch.data)

    def begin(self, batch: Batch, place: Place) -> Batch:
        """Have a batch of one request outstanding at ``place``, as nothing waits and no reply is due; return it.

        It changes no setup.
        """
        lane = batch.lane = self._lanes.to(place)
        lane.outstanding.append(batch)
        self.outstanding.append(batch)
        self.replies.under_way = 1
        self._is_counting = False
        return batch

    def begin_all(self, batch: Batch, ends: Sequence[int], places: Sequence[Place]) -> list[Order]:
        """As :meth:`begin`, for requests that came together; return the orders.

        :param ends: where each of them ends.
        :param places: where each of them goes.
        """
        if places.count(places[0]) == len(places):
            batches = {places[0]: batch}
            self.outstanding.append(batch)
        else:
            batches = divided(batch, batch.data, ends, places)
            self.replies.add_woven(Woven([batches[place] for place in places]))
        self.replies.under_way = len(places)
        self._is_counting = False
        for place, each in batches.items():
            lane = each.lane = self._lanes.to(place)
            lane.outstanding.append(each)
        return [*batches.values()]

    def decided(self, choice: Choice) -> None:
        """Take the choice for the request that was asked about; nothing changes if that waits no more."""
        run = next((item for item in self.waiting if isinstance(item, Run)), None)
        if run is not None and run.is_asked:
            run.decided(choice)

    def next(self, pipelined: bool) -> list[Order]:
        """Remove the items whose turn has come, up to the first batch, and return the orders for them.

        :param pipelined: a batch may be submitted while another is outstanding at the same place.
        """
        orders: list[Order] = []
        while self.waiting and not orders and self.closing is None:
            first = self.waiting[0]
            if isinstance(first, Lane):
                self._submit(first, pipelined, orders)
            elif self.barrier is not None or self._room() <= 0:
                break
            elif isinstance(first, Answer):
                self.waiting.popleft()
                self._waiting_bytes -= ANSWER + len(first.data)
                self._enter(first)
            elif (first.batch.alone and self.outstanding) or not self._choose(first):
                break
        due = len(self.outstanding)
        orders += self.replies.deliver()
        if self.waiting and len(self.outstanding) < due:
            # Answers of our own are over already, and no reply will come that has the next items go on.
            orders.append(GoOn())
        return orders

    def _submit(self, lane: Lane, pipelined: bool, orders: list[Order]) -> None:
        """Submit the first batch of the first lane, or have the lane wait."""
        outstanding = lane.outstanding
        if not lane.waiting or (outstanding and not pipelined):
            self.waiting.popleft()
            lane.is_ready = False
            return
        batch = lane.waiting.popleft()
        self._waiting_bytes -= _counted(batch)
        orders.append(Follow(batch, outstanding[-1]) if outstanding else batch)
        outstanding.append(batch)

    def _room(self) -> int:
        """How many more replies may be under way."""
        if self.replies.kept_size > self._limit:
            return 0
        if not self._is_counting:
            self.window.begin(self.replies.under_way)  # others have come and gone meanwhile, which were not counted
            self._is_counting = True
        return self.window.room(self.replies.under_way)

    def _enter(self, entry: Entry) -> None:
        """Give an item its place among the replies."""
        self.replies.add(entry)
        self.window.ask(count_of(entry))

    # Choosing

    def _choose(self, run: Run) -> bool:
        """Have the next request of ``run``, the first item, go where it is chosen to; False if that is told later."""
        choice = run.choose(self._codec, self._chooser)
        if choice is None:
            return False
        before = 0 if run.batch.alone else run.size
        if run.batch.alone:
            self._claim(run, choice)
        elif isinstance(choice, Answer):
            run.take()
            self._leave(run)
            self._answer(choice)
        elif isinstance(choice, SplitRequest):
            run.take()
            self._leave(run)
            self._enter(choice)
            self._assign(list(self._parts(run, choice)))
        elif isinstance(choice, Replaced):
            run.take()
            self._leave(run)
            self._assign_one(run.instead(choice.data, self._codec), choice.place)
        else:
            batches, places = run.take_all(choice, self._room(), self._codec, self._chooser)
            self._leave(run)
            if len(batches) == 1:
                self._assign_one(batches[choice], choice)
            else:
                self._weave(batches, places)
        self._waiting_bytes -= before - (0 if run.batch.alone else run.size)
        return True

    def _leave(self, run: Run) -> None:
        """Remove a run whose requests have all been taken."""
        if run.is_over:
            self.waiting.popleft()

    def _answer(self, answer: Answer) -> None:
        self.problem = self.problem or answer.problem
        if answer.is_last:
            self.closing = answer
        else:
            self._enter(answer)

    def _assign_one(self, batch: Batch, place: Place) -> None:
        self._enter(batch)
        if type(settled(batch.setup)) is Change:
            self.barrier = batch
        self._assign([(batch, place)])

    def _weave(self, batches: Mapping[Place, Batch], places: Sequence[Place]) -> None:
        """Have requests that came together go to several places, as one batch to each."""
        woven = Woven([batches[place] for place in places])
        self.replies.add_woven(woven)
        self.window.ask(woven.count)
        self._assign((batch, place) for place, batch in batches.items())

    def _assign(self, batches: Iterable[tuple[Batch, Place]]) -> None:
        """Have batches wait in the lanes to their places."""
        for batch, place in batches:
            lane = batch.lane = self._lanes.to(place)
            lane.waiting.append(batch)
            self._waiting_bytes += _counted(batch)
            self.go_on(lane)

    def _parts(self, run: Run, whole: SplitRequest) -> Iterable[tuple[Batch, Place]]:
        """The batches of a request that was split.  Parts with an answer of our own have none."""
        for number, part in enumerate(whole.parts):
            choice = part.place.choice if isinstance(part.place, Apart) else part.place
            if isinstance(choice, Answer):
                self.problem = self.problem or choice.problem
                self.replies.add_to(whole, number, choice.data)
                continue
            data = choice.data if isinstance(choice, Replaced) else part.data
            place = choice.place if isinstance(choice, Replaced) else cast("Place", choice)
            batch = run.instead(data, self._codec)
            self.replies.add_part(batch, whole, number)
            yield batch, place

    def _claim(self, run: Run, choice: Choice) -> None:
        """Have the client get a slot of a place alone, or be closed as it cannot."""
        batch = run.batch
        if isinstance(choice, Replaced):
            batch.data = choice.data + batch.data[batch.size :]
            choice = choice.place
        if isinstance(choice, SplitRequest | Answer):
            answer = choice if isinstance(choice, Answer) else Answer(self._codec.failure(NOT_DIVIDED))
            self._close(answer)
        elif not choice.spare_alone():
            self._close(Answer(self._codec.failure(NO_SPARE_UPSTREAM), problem=NO_SPARE_UPSTREAM))
        else:
            self.waiting.remove(run)
            self._assign_one(batch, choice)

    def _close(self, answer: Answer) -> None:
        ending = answer.ending or (Ending(Outcome.PROTOCOL_ERROR, answer.problem) if answer.problem else None)
        self.problem = self.problem or answer.problem
        self.closing = Answer(answer.data, True, ending)

    def close(self) -> Answer:
        """Have :attr:`closing` be the last that the client gets, behind what has a place already; return it."""
        answer, self.closing = self.closing, None
        assert answer is not None
        self.drop_waiting()
        self.add(answer)
        return answer

    # Replies

    def done(self, batch: Batch, data: bytes, is_failed: bool = False) -> list[Order]:
        """Take the last part of the replies to ``batch``, which is outstanding no more.

        :param is_failed: ``data`` is what stands for each of its replies that is still to come.
        :returns: the orders for what the client gets now.
        """
        replies = self.replies
        if batch is self.barrier:
            self.barrier = None
        lane = batch.lane
        self.last_place = lane.place
        if lane.waiting:
            self.go_on(lane)
        (replies.fail if is_failed else replies.done)(batch, data)
        return [*replies.deliver()]

    # Taking back

    def go_on(self, lane: Lane) -> None:
        """Have the first batch that waits in a lane submitted, if it may be."""
        if not lane.is_ready:
            lane.is_ready = True
            self.waiting.appendleft(lane)

    def put_back(self, batch: Batch) -> None:
        """Have an outstanding batch be the first that waits in its lane, until what is outstanding there is done."""
        lane = batch.lane
        lane.outstanding.remove(batch)
        lane.waiting.appendleft(batch)
        self._waiting_bytes += _counted(batch)
        if lane.is_ready:
            lane.is_ready = False
            self.waiting.remove(lane)

    def take_waiting(self) -> bytes:
        """Remove all that waits and has no place yet, and return the bytes of the requests."""
        data = b"".join([item.rest for item in self.waiting if isinstance(item, Run)])
        self.drop_waiting()
        return data

    def drop_waiting(self) -> None:
        """Drop the items that wait, but for batches that have a place."""
        lanes = [item for item in self.waiting if isinstance(item, Lane)]
        self.waiting.clear()
        self.waiting.extend(lanes)
        self._waiting_bytes = sum(map(_counted, self._lanes.waiting))
        self.claim = None

    def drop_after(self, last: Entry | None) -> list[Order]:
        """Drop all that is due after ``last``, or all if that is None, and all that waits.

        :returns: the orders to withdraw what is outstanding of it.
        """
        dropped = self.replies.drop_after(last)
        outstanding = [batch for batch in dropped if batch in batch.lane.outstanding]
        for batch in dropped:
            for batches in (batch.lane.outstanding, batch.lane.waiting):
                if batch in batches:
                    batches.remove(batch)
        self.drop_waiting()
        return [Withdraw(batch) for batch in outstanding]

    def drop_from(self, batch: Batch) -> list[Order]:
        """Drop what ``batch`` is or is a part of, which has failed, and all after it; see :meth:`drop_after`."""
        entry, last = self.replies.entry_of(batch), None
        for each in self.outstanding:
            if each is entry:
                break
            last = each
        return self.drop_after(last)

    def drop(self, failed: Batch | None = None) -> list[Order]:
        """Drop all items, and return the orders to withdraw the outstanding batches.

        :param failed: an outstanding batch that needs no withdrawal, as it has failed.
        """
        if failed is not None:
            failed.lane.outstanding.remove(failed)
        return self.drop_after(None)


def _counted(batch: Batch) -> int:
    """What a batch that waits counts for: the bytes of a claim are counted apart."""
    return 0 if batch.alone else len(batch.data)
