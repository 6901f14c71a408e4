"""Whatever places, completions and failures come in whatever order: each reply goes to its request, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core.batch import Batch, Sender
from proxymux.core.choice import Apart, Choice, Replaced, of_places
from proxymux.core.codecs import make_codec
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.pipeline_orders import (
    End,
    Failure,
    Follow,
    GoOn,
    Input,
    Order,
    Pause,
    PipelineRules,
    Requeue,
    Resume,
)
from proxymux.core.pool_target import parse_pool_target
from proxymux.core.request_cutter import Answer
from proxymux.core.routed_pipeline import RoutedPipeline
from proxymux.core.slots import Slot

CODEC = make_codec("resp")
#: What a request may be about: its number says to which place it goes.
PLACES = 3
LIMIT = 1 << 20


def word(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in words)


class Server:
    """A place with one connection, which answers its requests in their order."""

    def __init__(self) -> None:
        self.queue: deque[Batch] = deque()
        self.waiting: deque[Batch] = deque()
        self.slot = Slot(1, parse_pool_target("10.0.0.1:1"))
        self.refuses = False
        #: What it was asked, in the order in which it has executed it.
        self.executed: list[bytes] = []

    def submit(self, batch: Batch, sender: Sender) -> None:
        raise NotImplementedError

    def follow(self, batch: Batch, before: Batch, sender: Sender) -> bool:
        raise NotImplementedError

    def withdraw(self, batch: Batch) -> None:
        raise NotImplementedError

    def requeue(self, batch: Batch) -> None:
        raise NotImplementedError

    def spare_alone(self) -> bool:
        return True


def replies_of(data: bytes) -> list[bytes]:
    """What a server answers to the commands in ``data``."""
    found, at = [], 0
    for end, _ in CODEC.cut_run(data):
        view = CODEC.view(data[at:end])
        at = end
        if view.command == "MGET":
            found.append(b"*%d\r\n" % len(view.keys) + b"".join(b"+%b\r\n" % key for key in view.keys))
        else:
            found.append(b"+%b\r\n" % (view.key or b""))
    return found


class World:
    """One client, its servers, and a chooser."""

    def __init__(self, pipelined: bool) -> None:
        self.servers = [Server() for _ in range(PLACES)]
        rules = PipelineRules(CODEC, pipelined, False, False, lambda: True, max_outstanding=LIMIT)
        self.pipeline = RoutedPipeline(rules, self)
        self.sent = b""
        self.asked: deque[bytes] = deque()
        self.ends: list[End] = []
        self.is_paused = False
        self._orders: list[Order] | None = None

    # As the chooser

    def choose(self, data: bytes, key: bytes | None) -> Choice | None:
        view = CODEC.view(data)
        if view.key is not None and view.key.startswith(b"late"):
            assert not self.asked
            self.asked.append(data)
            return None
        return self.choice(data)

    def places_of(self, keys: Sequence[bytes]) -> Sequence[Server] | None:
        if any(key.startswith((b"late", b"mine", b"other", b"apart")) for key in keys):
            return None
        return [self.place(key) for key in keys]

    def claim(self, data: bytes) -> Choice | None:
        return self.choose(data, None)

    def first(self, data: bytes) -> Choice:
        return self.choice(data)

    def choice(self, data: bytes) -> Choice:
        view = CODEC.view(data)
        if view.can_split:
            return of_places(view, [self.place(key) for key in view.keys])
        key = view.key or b"x0"
        if b"mine" in key:
            return Answer(b"+%b\r\n" % key)
        if b"other" in key:
            return Replaced(self.servers[0], word(b"GET", key))
        place = self.place(key)
        assert isinstance(place, Server)
        return place

    def place(self, key: bytes) -> Any:
        if b"apart" in key:
            return Apart(Answer(b"*1\r\n+%b\r\n" % key))
        return self.servers[int(key[-1:]) % PLACES]

    # As the exchange

    def take(self, what: Input, value: Any = None) -> None:
        todo = self.pipeline.take(what, value)
        if self._orders is not None:
            self._orders += todo
            return
        self._orders = todo
        for order in todo:
            self.do(order)
        self._orders = None

    def do(self, order: Order) -> None:
        if isinstance(order, bytes):
            assert order
            self.sent += order
            self.pipeline.window.bytes_out += len(order)
        elif isinstance(order, Batch):
            server = self.server_of(order)
            assert order not in server.queue
            (server.waiting if server.refuses or server.waiting else server.queue).append(order)
            order.slot = None if order in server.waiting else server.slot
            if self.pipeline.waiting:
                self.take(Input.GO_ON)
        elif isinstance(order, Follow):
            server = self.server_of(order.batch)
            assert order.before in server.queue or order.before in server.waiting
            assert order.batch.lane.outstanding[-1] is order.batch
            if order.before.slot is None or server.refuses:
                self.take(Input.HELD_UP, order.batch)
            else:
                order.batch.slot = server.slot
                server.queue.append(order.batch)
                if self.pipeline.waiting:
                    self.take(Input.GO_ON)
        elif isinstance(order, Requeue):
            self.server_of(order.batch).waiting.appendleft(order.batch)
        elif isinstance(order, GoOn):
            self.take(Input.GO_ON)
        elif isinstance(order, (Pause, Resume)):
            self.is_paused = isinstance(order, Pause)
        else:
            assert isinstance(order, End), order
            self.ends.append(order)

    def server_of(self, batch: Batch) -> Server:
        server = batch.lane.place
        assert isinstance(server, Server)
        return server

    # What happens

    def answer(self, server: Server, in_parts: bool) -> None:
        """The first batch of a server is answered."""
        if not server.queue:
            return
        batch = server.queue[0]
        found = replies_of(batch.data)
        assert len(found) == batch.replies
        server.executed += [reply[1:-2] for reply in found]
        if in_parts:
            whole = b"".join(found)
            middle = len(whole) // 2
            ends = list(accumulate(map(len, found)))
            batch.ends = [end for end in ends if end <= middle]
            batch.replies -= len(batch.ends)
            self.take(Input.REPLY, (batch, whole[:middle]))
            found = [whole[middle:]]
            batch.ends = [end - middle for end in ends if end > middle]
        else:
            batch.ends = list(accumulate(map(len, found)))
        server.queue.popleft()
        batch.replies = 0
        self.take(Input.DONE, (batch, b"".join(found)))

    def fail(self, server: Server) -> None:
        """All that a server has fails, as its connection is lost after some replies; what waits goes on a new one."""
        first = server.queue[0] if server.queue else None
        if first is not None and first.replies > 1:
            found = replies_of(first.data)[0]
            first.replies -= 1
            server.executed.append(found[1:-2])
            first.ends = [len(found)]
            self.take(Input.REPLY, (first, found))
        elif first is not None and self.pipeline.replies.due[0] is not first:
            first.ends = ()
            self.take(Input.REPLY, (first, b"+hal"))
        while server.queue:
            self.take(Input.FAILED, Failure(server.queue.popleft(), Ending(Outcome.UPSTREAM_ABORTED, "it is gone")))

    def close(self, server: Server) -> None:
        """The connection is closed, and what it had goes on a new one."""
        returned, server.queue = server.queue, deque()
        for batch in reversed(returned):
            batch.slot = None
            self.take(Input.UNSENT, batch)
        self.give(server)
        self.take(Input.GO_ON)

    def give(self, server: Server) -> None:
        """What waits gets a slot; a pipeline is not told to go on where nothing has changed."""
        if not server.waiting and not server.refuses:
            return
        server.refuses = False
        while server.waiting:
            batch = server.waiting.popleft()
            batch.slot = server.slot
            server.queue.append(batch)
        self.take(Input.GO_ON)

    def tell(self) -> None:
        if self.asked:
            data = self.asked.popleft()
            self.take(Input.DECIDED, self.choice(data))


@st.composite
def commands(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A command of a number that will be its own, and a word for what it is."""
    kind = draw(st.sampled_from(["get", "get", "get", "late", "mine", "other", "mget", "latemget", "apart"]))
    return kind.encode(), b"%d" % draw(st.integers(0, PLACES - 1))


def make(kind: bytes, place: bytes, number: int) -> tuple[bytes, list[bytes]]:
    """A command with its reply."""
    if kind in (b"mget", b"latemget", b"apart"):
        names = [b"late" if kind == b"latemget" else b"k", b"apart" if kind == b"apart" else b"k", b"k"]
        keys = [b"%b:%d:%d" % (name, number, (int(place) + at) % PLACES) for at, name in enumerate(names)]
        return word(b"MGET", *keys), [b"*3\r\n" + b"".join(b"+%b\r\n" % key for key in keys)]
    key = b"%b:%d:%b" % (kind, number, place)
    return word(b"GET", key), [b"+%b\r\n" % key]


Step = tuple[Callable[..., None], int]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(commands(), min_size=1, max_size=40),
    st.lists(st.integers(1, 400), max_size=12),
    st.lists(
        st.tuples(
            st.sampled_from(["answer", "parts", "close", "refuse", "give", "tell", "full", "free"]), st.integers(0, 2)
        )
    ),
    st.booleans(),
    st.booleans(),
)
def test_each_reply_comes_in_its_turn(
    wanted: list[tuple[bytes, bytes]],
    cuts: list[int],
    steps: list[tuple[str, int]],
    pipelined: bool,
    fails: bool,
) -> None:
    world = World(pipelined)
    made = [make(kind, place, number) for number, (kind, place) in enumerate(wanted)]
    data = b"".join(command for command, _ in made)
    expected = [reply for _, [reply] in made]
    chunks = []
    for cut in cuts:
        chunks.append(data[:cut])
        data = data[cut:]
    chunks.append(data)
    happening = deque(steps)
    failed = False
    while chunks or happening:
        if chunks and not world.is_paused:
            chunk = chunks.pop(0)
            if chunk:
                world.take(Input.RECEIVED, chunk)
        for what, which in [happening.popleft() for _ in range(min(2, len(happening)))]:
            server = world.servers[which]
            if what in ("answer", "parts"):
                world.answer(server, what == "parts")
            elif what == "close" and fails:
                failed = failed or bool(server.queue)
                world.fail(server)
            elif what == "close":
                world.close(server)
            elif what == "refuse":
                server.refuses = True
            elif what == "give":
                world.give(server)
            elif what == "tell":
                world.tell()
            else:
                world.take(Input.OUTPUT_FULL if what == "full" else Input.OUTPUT_FREE)
        if not happening and world.is_paused:
            break
    world.take(Input.OUTPUT_FREE)
    for _ in range(50 * len(wanted) + 50):
        if not world.is_paused and chunks:
            chunk = chunks.pop(0)
            if chunk:
                world.take(Input.RECEIVED, chunk)
        world.tell()
        for server in world.servers:
            world.give(server)
            world.answer(server, False)
    assert world.pipeline.is_over is False
    assert not world.pipeline.outstanding
    assert not world.pipeline.waiting
    assert world.pipeline.replies.kept_size == 0
    if not failed:
        assert world.sent == b"".join(expected)
    else:
        check_in_order(world.sent, expected)
    for server in world.servers:
        numbers = [int(each.split(b":")[1]) for each in server.executed if each.count(b":") == 2 and b"\r" not in each]
        assert numbers == sorted(numbers)  # one client's requests to one place are executed in their order
    world.take(Input.CLIENT_FINISHED)
    assert len(world.ends) == 1


def check_in_order(sent: bytes, expected: list[bytes]) -> None:
    """Each reply is the one that is due, or an error in its place."""
    error = b"-ERR it is gone\r\n"
    for reply in expected:
        assert sent.startswith((reply, error)), (sent[:100], reply)
        sent = sent[len(error if sent.startswith(error) else reply) :]
    assert not sent
