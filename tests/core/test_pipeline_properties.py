"""Pipelines, whatever happens in whatever order: each client gets its own replies, or its right end."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core import pipeline_orders as orders
from proxymux.core.batch import Batch
from proxymux.core.codecs import CodecBase, Kind, Request
from proxymux.core.codecs.pieces import Due
from proxymux.core.commands import Cause
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.pipeline import Pipeline
from proxymux.core.pipeline_orders import Failure, Input, PipelineRules, State
from proxymux.core.pool_target import parse_pool_target
from proxymux.core.slots import Slot
from proxymux.errors import BadMessage

#: A request is a letter for its kind and one for its own.
KINDS = {
    b"P": Kind.PLAIN,
    b"S": Kind.SILENT,
    b"O": Kind.OWN,
    b"L": Kind.LAST,
    b"R": Kind.REFUSED,
    b"Q": Kind.QUIT,
}
#: Few of the kinds after which a client sends no more.
LETTERS = b"P" * 60 + b"S" * 9 + b"R" * 9 + b"OOOLQX"
FAILURE, BAD = b"[failed]", b"[bad]"
GONE = (State.ENDED, State.HANDED_OVER)


class Requests:
    """Finds requests of two letters."""

    interim = b""

    def __init__(self, codec: Letters) -> None:
        self._codec = codec
        self._begun = b""
        self._is_over = False

    @property
    def is_between(self) -> bool:
        return not self._begun

    def feed(self, data: bytes) -> list[Request]:
        found: list[Request] = []
        for at, letter in enumerate(data, 1):
            if self._is_over:
                break
            self._begun += bytes([letter])
            if len(self._begun) == 2:
                self._found(found, at)
        return found

    def _found(self, found: list[Request], at: int) -> None:
        text, self._begun = self._begun, b""
        if text[:1] == b"X":
            bad = BadMessage("no request", BAD)
            bad.finished = found
            raise bad
        kind = KINDS[text[:1]]
        self._is_over = kind in (Kind.LAST, Kind.QUIT) or (kind is Kind.OWN and self._codec.ends_at_own)
        if kind is Kind.PLAIN and self._codec.runs and found and found[-1].kind is Kind.PLAIN:
            found[-1].end, found[-1].count = at, found[-1].count + 1
        else:
            found.append(Request(at, kind, answer=answer_to(text) if kind in (Kind.REFUSED, Kind.QUIT) else b""))


class Replies(Due):
    is_between = True

    def feed(self, data: bytes) -> list[int]:
        raise AssertionError("nobody asks")


class Letters(CodecBase):
    name = "letters"
    runs = False

    def requests(self) -> Requests:
        return Requests(self)

    def replies(self) -> Replies:
        return Replies()

    def failure(self, problem: str) -> bytes:
        return FAILURE


def answer_to(text: bytes) -> bytes:
    """The reply to a request, or to a run of them, from whoever is to give it."""
    requests = [text[at : at + 2] for at in range(0, len(text), 2)]
    return b"".join(b"(%b)" % each for each in requests if each[:1] not in b"SO")


class Client:
    """One client: what it has sent, and what it was sent."""

    def __init__(self, rules: PipelineRules) -> None:
        self.pipeline = Pipeline(rules)
        self.ends_at_own = rules.codec.ends_at_own
        self.to_send = b""
        self.sent = b""
        self.got = b""
        self.is_slow = False
        self.is_paused = False
        self.has_finished = False
        self.breaks_off = False
        #: For each of its requests for an upstream of its own, whether there was one.
        self.spared: list[bool] = []
        self.end: orders.End | orders.Leave | orders.HandOver | None = None
        #: All that it has submitted, in that order, and what has become of each.
        self.submitted: list[Batch] = []
        self.settled: dict[Batch, str] = {}
        self.has_failed = False

    def wanted(self) -> tuple[bytes, bool]:
        """What it is to be sent for all that it has sent; True if its end comes after that."""
        spared = iter(self.spared)
        wanted = b""
        for at in range(0, len(self.sent) - 1, 2):
            text = self.sent[at : at + 2]
            if text[:1] == b"X":
                return wanted + BAD, True
            if text[:1] == b"O":
                granted = next(spared, None)
                if granted is None or granted:
                    return wanted, False
                wanted += FAILURE
                if self.ends_at_own:
                    return wanted, True
            wanted += answer_to(text)
            if text[:1] in b"LQ":
                return wanted, True
        return wanted, False


class World:
    """Carries out what pipelines order, on upstreams that are only lists of batches.

    :param chance: says what happens.
    """

    def __init__(self, chance: Random, rules: PipelineRules, clients: int, slots: int) -> None:
        self.chance = chance
        self.rules = rules
        rules.may_have_own = self.may_have_own
        self.asking: list[Client] = []
        self.clients = [Client(rules) for _ in range(clients)]
        self.owners: dict[Batch, Client] = {}
        self.slots: dict[Slot, list[Batch]] = {Slot(number, parse_pool_target("h:1")): [] for number in range(slots)}
        #: Submitted, and without a slot.
        self.queue: list[Batch] = []
        #: The part of each batch's replies that is still to come.
        self.due: dict[Batch, bytes] = {}
        #: Batches that went before one without a reply: as that was sent, so were they.
        self.went_before: set[Batch] = set()

    def may_have_own(self) -> bool:
        spares = self.chance.random() < 0.5
        self.asking[-1].spared.append(spares)
        return spares

    def step(self) -> None:
        """Something happens."""
        often, seldom = (self.assign, self.reply), (self.fill, self.flush)
        rarely = (self.finish, self.lose, self.abort, self.be_idle, self.close, self.dismiss)
        luck = self.chance.random()
        chosen = (self.receive,) if luck < 0.3 else often if luck < 0.85 else seldom if luck < 0.95 else rarely
        self.chance.choice(chosen)()
        self.check()
        for number, client in enumerate(self.clients):
            if client.end is not None and luck < 0.3:
                self.clients[number] = Client(self.rules)

    # What happens to clients

    def some(self, *, reads: bool = False) -> Client | None:
        found = [each for each in self.clients if each.end is None and not (reads and each.is_paused)]
        return self.chance.choice(found) if found else None

    def receive(self) -> None:
        client = self.some(reads=True)
        if client is None or client.has_finished or client.breaks_off:
            return
        more = [bytes([self.chance.choice(LETTERS), self.chance.choice(b"abcdefgh")]) for _ in range(4)]
        text = client.to_send + b"".join(more[: self.chance.randint(1, 4)])
        cut = self.chance.choice([len(text), self.chance.randint(1, len(text))])
        client.to_send = text[cut:]
        client.sent += text[:cut]
        self.tell(client, Input.RECEIVED, text[:cut])

    def finish(self) -> None:
        client = self.some(reads=True)
        if client is not None and not client.has_finished:
            client.has_finished = True
            self.tell(client, Input.CLIENT_FINISHED)

    def lose(self) -> None:
        client = self.some()
        if client is not None:
            self.tell(client, Input.CLIENT_LOST, self.chance.choice([None, "reset"]))
            assert isinstance(client.end, orders.End)
            assert client.end.cause in (Cause.CLIENT_ABORTED, Cause.COMPLETED, Cause.UPSTREAM_ABORTED)
            assert client.breaks_off or client.end.cause is not Cause.UPSTREAM_ABORTED

    def abort(self) -> None:
        client = self.some()
        if client is not None:
            self.tell(client, Input.ABORTED)
            assert isinstance(client.end, orders.Leave)

    def be_idle(self) -> None:
        client = self.some()
        if client is not None:
            outstanding = any(batch not in client.settled for batch in client.submitted)
            self.tell(client, Input.IDLE, "idle")
            assert (client.end is None) == outstanding

    def fill(self) -> None:
        client = self.some()
        if client is not None and not client.breaks_off:
            client.is_slow = not client.is_slow
            self.tell(client, Input.OUTPUT_FULL if client.is_slow else Input.OUTPUT_FREE)

    def flush(self) -> None:
        client = next((each for each in self.clients if each.breaks_off and each.end is None), None)
        if client is not None:
            self.tell(client, Input.FLUSHED)
            assert isinstance(client.end, orders.End)
            assert client.end.cause is Cause.UPSTREAM_ABORTED

    # What happens to batches

    def assign(self) -> None:
        free = [slot for slot, taken in self.slots.items() if self.queue and self.takes(taken, self.queue[0])]
        if free:
            self.give(self.chance.choice(free), self.queue.pop(0))

    def takes(self, taken: list[Batch], batch: Batch) -> bool:
        return not taken or (self.rules.pipelined and not batch.alone)

    def give(self, slot: Slot, batch: Batch) -> None:
        batch.slot = slot
        if batch.alone:
            self.settle(batch, "given")
            self.tell(self.owners[batch], Input.GIVEN, batch)
        elif batch.replies:
            self.slots[slot].append(batch)
        else:
            self.went_before.update(self.slots[slot])
            self.done(batch, b"")

    def reply(self) -> None:
        busy = [taken for taken in self.slots.values() if taken]
        if not busy:
            return
        taken = self.chance.choice(busy)
        batch = taken[0]
        size = len(self.due[batch])
        cut = self.chance.choice([size, self.chance.randint(1, size)])
        part, self.due[batch] = self.due[batch][:cut], self.due[batch][cut:]
        if not self.due[batch]:
            taken.remove(batch)
            self.done(batch, part)
        elif not self.is_settled(batch):
            self.tell(self.owners[batch], Input.REPLY, part)

    def done(self, batch: Batch, part: bytes) -> None:
        if not self.is_settled(batch):
            self.settle(batch, "answered")
            self.tell(self.owners[batch], Input.DONE, (batch, part))
        self.go_on()

    def close(self) -> None:
        """An upstream is gone: the first of its batches have failed, nothing of the others was sent."""
        busy = [taken for taken in self.slots.values() if taken]
        if not busy:
            return
        taken = self.chance.choice(busy)
        batches, taken[:] = taken[:], []
        begun = [batch for batch in batches if batch.is_begun or batch in self.went_before]
        failed = self.chance.randint(len(begun), len(batches))
        for batch in batches[:failed]:
            self.fail(batch, Outcome.UPSTREAM_ABORTED)
        for batch in reversed(batches[failed:]):
            if not self.is_settled(batch):
                batch.slot = None
                client = self.owners[batch]
                self.tell(client, Input.UNSENT, batch)
                if batch not in self.queue:
                    client.submitted.remove(batch)  # it is submitted anew, or never
        self.go_on()

    def dismiss(self) -> None:
        if self.queue:
            self.fail(self.queue.pop(0), Outcome.QUEUE_TIMEOUT)

    def fail(self, batch: Batch, outcome: Outcome) -> None:
        if not self.is_settled(batch):
            self.settle(batch, "failed")
            client = self.owners[batch]
            client.has_failed = True
            self.tell(client, Input.FAILED, Failure(batch, Ending(outcome, "no")))

    def go_on(self) -> None:
        for client in self.clients:
            self.tell(client, Input.GO_ON)

    # Orders

    def tell(self, client: Client, what: Input, value: Any = None) -> None:
        was_over = client.end is not None
        self.asking.append(client)
        given = client.pipeline.take(what, value)
        self.asking.pop()
        assert not (was_over and given), "nothing comes after an end"
        for order in given:
            assert client.end is None, "an end is the last order"
            self.carry_out(client, order)

    def carry_out(self, client: Client, order: orders.Order) -> None:
        if isinstance(order, bytes):
            assert order
            assert not client.breaks_off
            client.got += order
        elif isinstance(order, Batch):
            self.submit(client, order)
            self.queue.append(order)
            self.queue.sort(key=lambda batch: batch.sequence)
            self.tell(client, Input.GO_ON)
        elif isinstance(order, orders.Follow):
            self.follow(client, order)
        elif isinstance(order, orders.Requeue):
            assert not self.is_settled(order.batch)
            self.queue.insert(0, order.batch)
        elif isinstance(order, orders.Withdraw):
            self.settle(order.batch, "withdrawn")
            if order.batch in self.queue:
                self.queue.remove(order.batch)
        elif isinstance(order, (orders.Pause, orders.Resume)):
            assert client.is_paused == isinstance(order, orders.Resume)
            client.is_paused = not client.is_paused
        elif isinstance(order, orders.BreakOff):
            client.breaks_off = True
        else:
            assert isinstance(order, (orders.End, orders.Leave, orders.HandOver))
            client.end = order
            self.check_end(client)

    def submit(self, client: Client, batch: Batch) -> None:
        assert not client.is_slow
        if batch not in client.submitted:
            client.submitted.append(batch)
            self.owners[batch] = client
            self.due[batch] = answer_to(batch.data) if not batch.alone else b""
        assert not self.is_settled(batch)

    def follow(self, client: Client, order: orders.Follow) -> None:
        assert self.rules.pipelined
        assert not order.batch.alone
        slot = order.before.slot
        if slot is not None and not self.queue and order.before in self.slots[slot]:
            self.submit(client, order.batch)
            self.give(slot, order.batch)
            self.tell(client, Input.GO_ON)
        else:
            self.tell(client, Input.HELD_UP, order.batch)

    def is_settled(self, batch: Batch) -> bool:
        return batch in self.owners[batch].settled

    def settle(self, batch: Batch, how: str) -> None:
        assert not self.is_settled(batch), f"it was {self.owners[batch].settled[batch]} and is {how}"
        self.owners[batch].settled[batch] = how

    # What is always so

    def check_end(self, client: Client) -> None:
        wanted, ends = client.wanted()
        if isinstance(client.end, orders.HandOver):
            assert client.got == wanted
            assert client.sent.endswith(client.end.batch.data)
            assert client.end.batch.data[:1] == b"O"
        elif isinstance(client.end, orders.End):
            if client.end.cause is Cause.COMPLETED:
                assert client.got == wanted
                assert ends or client.has_finished or not client.submitted[len(client.settled) :]
            elif client.end.cause is Cause.DISMISSED:
                assert client.end.outcome is not None
                assert client.has_failed or client.got == wanted or client.has_finished
        submitted = [batch for batch in client.submitted if batch not in client.settled]
        assert submitted == [], "all that was submitted was answered, has failed or was withdrawn"

    def check(self) -> None:
        for client in self.clients:
            self.each_gets_its_own_replies_in_its_order(client)
            self.each_request_is_sent_once_and_in_its_order(client)
            self.who_does_not_read_is_not_read(client)

    def each_gets_its_own_replies_in_its_order(self, client: Client) -> None:
        wanted, _ = client.wanted()
        if client.has_failed and not wanted.startswith(client.got):
            assert client.got.endswith(FAILURE)
            whole = client.got.removesuffix(FAILURE)
            assert wanted.startswith(whole)
            assert wanted[len(whole) : len(whole) + 1] in (b"", b"(", b"["), "an error within a reply"
        else:
            assert wanted.startswith(client.got)

    def each_request_is_sent_once_and_in_its_order(self, client: Client) -> None:
        texts = [client.sent[at : at + 2] for at in range(0, len(client.sent), 2)]
        shared = b"".join(text for text in texts if text[:1] in (b"P", b"S", b"L"))
        assert shared.startswith(b"".join(batch.data for batch in client.submitted if not batch.alone))

    def who_does_not_read_is_not_read(self, client: Client) -> None:
        assert (client.pipeline.state in GONE) == (client.end is not None)
        if client.end is None:
            assert client.pipeline.is_paused == client.is_paused
            assert client.is_paused or not client.is_slow or client.breaks_off

    def end(self) -> None:
        """When upstreams answer and clients read and finish, all end."""
        for client in self.clients:
            if client.is_slow and not client.breaks_off and client.end is None:
                client.is_slow = False
                self.tell(client, Input.OUTPUT_FREE)
            if not client.has_finished:
                client.has_finished = True
                self.tell(client, Input.CLIENT_FINISHED)
        while self.queue or any(self.slots.values()):
            self.assign()
            self.reply()
        for client in self.clients:
            self.tell(client, Input.FLUSHED)
            assert client.end is not None, client.pipeline
        self.check()


@given(
    seed=st.integers(0, 2**32),
    steps=st.integers(20, 400),
    clients=st.integers(1, 3),
    slots=st.integers(1, 2),
    pipelined=st.booleans(),
    batches=st.booleans(),
    is_ordered=st.booleans(),
    runs=st.booleans(),
)
@settings(max_examples=300, deadline=None, database=None)
def test_whatever_happens_each_client_gets_its_own_replies_or_its_right_end(
    seed: int, steps: int, clients: int, slots: int, pipelined: bool, batches: bool, is_ordered: bool, runs: bool
) -> None:
    codec = Letters()
    codec.runs = runs
    codec.ends_at_own = seed % 2 == 1
    rules = PipelineRules(codec, pipelined, batches, is_ordered and slots == 1, lambda: False)
    world = World(Random(seed), rules, clients, slots)
    for _ in range(steps):
        world.step()
    world.end()
