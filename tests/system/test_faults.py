"""A whole process at its limits: without descriptors, after ten thousand connections, among peers that do not read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final

import pytest

from tests.conftest import until
from tests.services.fixtures import RELAYS
from tests.system.conftest import Start, Twistd, read_all

pytestmark = pytest.mark.slow  # all of it takes long, and each of it is tested in pieces, too

MEGABYTE: Final = 1 << 20
PATIENCE: Final = 60.0
#: What a router of these tests forwards; it waits for more of anything else.
GOOD: Final = b"GOOD"


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """An upstream that the test itself plays."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        listener.settimeout(PATIENCE)
        yield listener


@pytest.fixture
def echo(listener: socket.socket) -> Iterator[int]:
    """The port of an upstream that echoes; it is one thread, and reads and writes in turns."""
    selector = selectors.DefaultSelector()
    stop, stopped = socket.socketpair()

    def serve(connection: socket.socket) -> None:
        try:
            data = connection.recv(1 << 16)
            connection.sendall(data)
        except OSError:
            data = b""
        if not data:
            selector.unregister(connection)
            connection.close()

    def run() -> None:
        while True:
            for key, _ in selector.select():
                if key.fileobj is stopped:
                    return
                if key.fileobj is listener:
                    connection, _ = listener.accept()
                    connection.settimeout(PATIENCE)
                    selector.register(connection, selectors.EVENT_READ)
                else:
                    assert isinstance(key.fileobj, socket.socket)
                    serve(key.fileobj)

    for each in (stopped, listener):
        selector.register(each, selectors.EVENT_READ)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield int(listener.getsockname()[1])
    stop.close()
    thread.join(PATIENCE)
    for key in tuple(selector.get_map().values()):
        if key.fileobj is not listener:
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
    selector.close()


def forward(port: int, first: str = "") -> str:
    """A router's source, with ``first`` in its first lines."""
    return f"{first}\ndef proxy(data):\n    return {{'remote': '127.0.0.1:{port}'}} if {GOOD!r} in data else None\n"


def served(proxy: Twistd, word: bytes = GOOD) -> socket.socket:
    """A client that an echo has answered."""
    client = proxy.connect()
    client.sendall(word)
    assert receive(client, len(word)) == word
    return client


def joined(proxy: Twistd, listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    """A client, and its upstream as the test plays it."""
    client = proxy.connect()
    client.sendall(GOOD)
    upstream, _ = listener.accept()
    upstream.settimeout(PATIENCE)
    assert receive(upstream, len(GOOD)) == GOOD
    return client, upstream


def receive(connection: socket.socket, count: int) -> bytes:
    """Exactly ``count`` bytes."""
    parts: list[bytes] = []
    while count:
        part = connection.recv(min(count, 1 << 18))
        assert part, f"it ended {count} bytes too early"
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def descriptors(proxy: Twistd) -> set[int]:
    """The numbers of those that it has open."""
    return {int(name) for name in os.listdir(f"/proc/{proxy.pid}/fd")}


def cpu(proxy: Twistd) -> float:
    """Seconds of processor time that it has used."""
    with open(f"/proc/{proxy.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_readable(connection: socket.socket) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(0))


# Out of descriptors

#: Its own and those of some 25 sessions; an even number and an odd one, as a session takes two.
LIMITS: Final = [64, 65]


@pytest.mark.slow
@pytest.mark.parametrize("limit", LIMITS)
def test_more_clients_than_descriptors_wait_in_the_queue_and_are_served_later(
    start: Start, echo: int, relay: str, limit: int
) -> None:
    first = f"import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}))"
    proxy = start(forward(echo, first), "--relay", relay)
    assert resource.prlimit(proxy_ready(proxy), resource.RLIMIT_NOFILE) == (limit, limit)
    served(proxy).close()
    proxy.records(1)
    before = descriptors(proxy)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(served(proxy)) for _ in range(16)]
        words = {stack.enter_context(proxy.connect()): b"GOOD%d" % number for number in range(80)}
        for client, word in words.items():
            client.sendall(word)
        at_rest(lambda: [is_readable(client) for client in words])

        does_not_spin(proxy)
        # Those who are in are served, those who are not have not been closed.
        for client in held:
            talks(client)
        at_once = [client for client in words if is_readable(client)]
        assert 2 * len(at_once) < limit
        # When some leave, the others come in; at last all were served.
        for client in held:
            client.close()
        with selectors.DefaultSelector() as selector:
            for client in words:
                selector.register(client, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(PATIENCE)
                assert ready, f"{len(selector.get_map())} clients are not served"
                for key, _ in ready:
                    assert isinstance(key.fileobj, socket.socket)
                    assert receive(key.fileobj, len(words[key.fileobj])) == words[key.fileobj]
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
    # And it goes on as before.
    with contextlib.ExitStack() as stack:
        for _ in range(16):
            stack.enter_context(served(proxy))
    records = proxy.records(1 + 16 + 80 + 16)
    assert Counter(record["outcome"] for record in records) == {"completed": 1 + 16 + 80 + 16}
    assert len({record["session"] for record in records}) == len(records)
    until(lambda: len(descriptors(proxy)) <= len(before), "it to have closed all")


@pytest.mark.parametrize("limit", LIMITS)
def test_clients_that_stay_after_their_last_word_keep_nobody_waiting(
    start: Start, echo: int, relay: str, limit: int
) -> None:
    first = f"import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}))"
    rejects = "\nasked = proxy\ndef proxy(data):\n    return {'close': b'no'} if data == b'BAD' else asked(data)\n"
    proxy = start(forward(echo, first) + rejects, "--relay", relay)
    served(proxy).close()
    proxy.records(1)
    before = descriptors(proxy)
    with contextlib.ExitStack() as stack:
        for number in range(1, 161):
            client = stack.enter_context(proxy.connect())
            client.sendall(b"BAD")
            assert read_all(client) == b"no"
            if number % 40 == 0:
                talks(stack.enter_context(served(proxy)))
        records = proxy.records(161)
        assert Counter(record["outcome"] for record in records) == {"completed": 1, "rejected": 160}
        assert max(record["seconds"] for record in records) < 2
    until(lambda: len(descriptors(proxy)) <= len(before), "it to have closed all")
    assert "accepting pauses" not in proxy.log()


def talks(client: socket.socket) -> None:
    """A client that an echo still answers."""
    client.sendall(b"ping")
    assert receive(client, 4) == b"ping"


def does_not_spin(proxy: Twistd) -> None:
    """It uses little of the processor while nothing happens, and does not fill the log."""
    logged, used = len(proxy.log()), cpu(proxy)
    time.sleep(1)  # nothing is waited for: this is what is measured
    assert cpu(proxy) - used < 0.25
    assert len(proxy.log()) - logged < 5000


def proxy_ready(proxy: Twistd) -> int:
    """Its number, when it listens."""
    assert proxy.port
    return proxy.pid


def at_rest(look: Callable[[], Any]) -> None:
    """Wait until what is seen has not changed for a second."""
    seen, since = look(), time.monotonic()

    def is_at_rest() -> bool:
        nonlocal seen, since
        now = look()
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > 1

    until(is_at_rest, "rest")


@contextlib.contextmanager
def only(proxy: Twistd, count: int) -> Iterator[None]:
    """Meanwhile it may open ``count`` more descriptors than it has."""
    soft, hard = resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE)
    taken = descriptors(proxy)
    free = (number for number in range(soft) if number not in taken)
    for _ in range(count):
        next(free)
    resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (next(free), hard))
    try:
        yield
    finally:
        resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (soft, hard))


def undecided(proxy: Twistd) -> socket.socket:
    """A client that has been accepted and has not said enough."""
    before = len(descriptors(proxy))
    client = proxy.connect()
    client.sendall(b"?")
    until(lambda: len(descriptors(proxy)) > before, "the client to be accepted")
    return client


@pytest.mark.slow
@pytest.mark.parametrize("count", range(4))
def test_while_there_are_no_descriptors_clients_wait_and_are_served_when_there_are(
    start: Start, echo: int, relay: str, count: int
) -> None:
    """Whoever takes them: ``count`` are left when the clients come.  None, or one for a client and its upstream.

    Who was accepted and finds none for its upstream tries on until there is one, however slow the machine is.
    """
    target = f"{{'remote': '127.0.0.1:{echo}', 'retries': 100_000}}"
    proxy = start(f"def proxy(data):\n    return {target} if {GOOD!r} in data else None\n", "--relay", relay)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(served(proxy)) for _ in range(4)]
        before = descriptors(proxy)
        with only(proxy, count):
            clients = [stack.enter_context(proxy.connect()) for _ in range(20)]
            for client in clients:
                client.sendall(GOOD)
            until(lambda: len(descriptors(proxy)) == len(before) + count, "it to have taken all")
            does_not_spin(proxy)
            for client in held:
                talks(client)
            assert sum(map(is_readable, clients)) <= count / 2  # each has an upstream, too
        for client in clients:
            assert receive(client, len(GOOD)) == GOOD
            talks(client)
            client.close()
        outcomes = Counter(record["outcome"] for record in proxy.records(len(clients)))
        assert outcomes == Counter({"completed": len(clients)})
        until(lambda: len(descriptors(proxy)) <= len(before), "it to have closed theirs")
        for client in held:
            talks(client)


def test_who_finds_no_descriptor_for_its_upstream_is_served_by_a_retry(start: Start, echo: int, relay: str) -> None:
    proxy = start(forward(echo), "--relay", relay, "--log-level", "debug")
    assert proxy.port
    with undecided(proxy) as client:
        with only(proxy, 0):
            client.sendall(GOOD)
            proxy.wait_for_log(rf"session 1 \([^)]*\): .*127\.0\.0\.1:{echo}.*[Tt]oo many open files")
            assert not is_readable(client)
            other = proxy.connect()  # which waits in the queue
            other.sendall(GOOD)
        assert receive(client, 5) == b"?GOOD"
        with other:
            assert receive(other, 4) == GOOD
    assert [record["outcome"] for record in proxy.records(2)] == ["completed"] * 2


def test_who_finds_no_descriptor_for_its_upstream_for_long_is_unreachable_and_others_go_on(
    start: Start, echo: int, relay: str
) -> None:
    proxy = start(forward(echo), "--relay", relay)
    assert proxy.port
    with served(proxy) as other, undecided(proxy) as client:
        with only(proxy, 0):
            client.sendall(GOOD)
            assert read_all(client) == b""
            client.close()
            [record] = proxy.records(1)
            assert (record["outcome"], record["target"]) == ("unreachable", f"127.0.0.1:{echo}")
            talks(other)
        served(proxy).close()
    assert [record["outcome"] for record in proxy.records(3)].count("completed") == 2


@pytest.mark.parametrize("count", range(6))
def test_bulk_arrives_whole_whether_or_not_there_are_descriptors_for_pipes(
    start: Start, listener: socket.socket, relay: str, count: int
) -> None:
    """Both ways at once, while there are ``count`` descriptors left, and again when there are enough."""
    proxy = start(forward(listener.getsockname()[1]), "--relay", relay)
    question, answer = os.urandom(16 * MEGABYTE), os.urandom(16 * MEGABYTE)
    client, upstream = joined(proxy, listener)
    with client, upstream:
        with only(proxy, count):
            exchange(client, upstream, question, answer)
        exchange(client, upstream, answer, question)
    [record] = proxy.records(1)
    assert (record["outcome"], record["bytes_in"], record["bytes_out"]) == (
        "completed", 4 + 32 * MEGABYTE, 32 * MEGABYTE
    )  # fmt: skip


def exchange(client: socket.socket, upstream: socket.socket, question: bytes, answer: bytes) -> None:
    """Bulk both ways at once, which must arrive as it was sent."""
    senders = [
        threading.Thread(target=client.sendall, args=(question,)),
        threading.Thread(target=upstream.sendall, args=(answer,)),
    ]
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(receive(upstream, len(question))))
    for thread in (*senders, reader):
        thread.start()
    assert digest(receive(client, len(answer))) == digest(answer)
    for thread in (*senders, reader):
        thread.join()
    assert digest(heard[0]) == digest(question)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# After ten thousand connections

Course = Generator[None, None, None]


def client_finishes_first(client: socket.socket, upstream: socket.socket) -> Course:
    client.shutdown(socket.SHUT_WR)
    yield
    assert read_all(upstream) == b""
    upstream.sendall(b"reply")
    upstream.close()
    yield
    assert read_all(client) == b"reply"
    client.close()


def upstream_finishes_first(client: socket.socket, upstream: socket.socket) -> Course:
    upstream.sendall(b"reply")
    upstream.shutdown(socket.SHUT_WR)
    yield
    assert read_all(client) == b"reply"
    client.sendall(b"more")
    client.close()
    yield
    assert read_all(upstream) == b"more"
    upstream.close()


def bulk_comes_back(client: socket.socket, upstream: socket.socket) -> Course:
    client.shutdown(socket.SHUT_WR)
    upstream.sendall(bytes(200_000))
    upstream.close()
    yield
    assert read_all(client) == bytes(200_000)
    client.close()


def client_resets(client: socket.socket, upstream: socket.socket) -> Course:
    upstream.sendall(b"reply")
    yield
    assert receive(client, 5) == b"reply"
    reset(client)
    yield
    with pytest.raises(ConnectionResetError):
        upstream.recv(1)
    upstream.close()


def upstream_resets(client: socket.socket, upstream: socket.socket) -> Course:
    upstream.sendall(b"reply")
    yield
    assert receive(client, 5) == b"reply"
    reset(upstream)
    yield
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    client.close()


def upstream_resets_at_once(client: socket.socket, upstream: socket.socket) -> Course:
    reset(upstream)
    yield
    assert read_all(client) == b""
    client.close()


def upstream_finishes_without_a_word(client: socket.socket, upstream: socket.socket) -> Course:
    upstream.close()
    yield
    assert read_all(client) == b""
    client.close()


COURSES: Final[list[tuple[Callable[[socket.socket, socket.socket], Course], str]]] = [
    (client_finishes_first, "completed"),
    (upstream_finishes_first, "completed"),
    (bulk_comes_back, "completed"),
    (client_resets, "client_aborted"),
    (upstream_resets, "upstream_aborted"),
    (upstream_resets_at_once, "upstream_aborted"),
    (upstream_finishes_without_a_word, "completed"),
]
BATCH: Final = 200
#: Descriptors that a relay may keep for the next: those of 16 pipes.
SPARE: Final = 32
#: Clients of each batch that leave undecided, half of them by a reset.
UNDECIDED: Final = 4


def run_batch(proxy: Twistd, listener: socket.socket) -> Counter[str]:
    """Open :data:`BATCH` connections and end each in one of the ways there are; the outcomes that this must have."""
    clients = [proxy.connect() for _ in range(BATCH)]
    for number, client in enumerate(clients[UNDECIDED:]):
        client.sendall(b"%s%06d" % (GOOD, number))
    courses, expected = [], Counter(undecided=UNDECIDED)
    for _ in clients[UNDECIDED:]:
        upstream, _ = listener.accept()
        upstream.settimeout(PATIENCE)
        number = int(receive(upstream, 10)[4:])
        course, outcome = COURSES[number % len(COURSES)]
        courses.append(course(clients[UNDECIDED + number], upstream))
        expected[outcome] += 1
    for number, client in enumerate(clients[:UNDECIDED]):
        (reset if number % 2 else socket.socket.close)(client)
    while courses:
        courses = [course for course in courses if next(course, "over") != "over"]
    return expected


COUNTING: Final = """
import collections, gc, json

def proxy(data):
    if data == b"COUNT":
        gc.collect()
        counts = collections.Counter(type(each).__qualname__ for each in gc.get_objects())
        return {"close": json.dumps(counts).encode()}
    return {"remote": "127.0.0.1:%d"} if data.startswith(b"GOOD") else None
"""


def objects(proxy: Twistd) -> Counter[str]:
    """The objects that it has, by their types."""
    return Counter(json.loads(proxy.ask(b"COUNT")))


@pytest.mark.slow
def test_ten_thousand_connections_leave_nothing_behind(start: Start, listener: socket.socket, relay: str) -> None:
    proxy = start(COUNTING % listener.getsockname()[1], "--relay", relay, "--decide-timeout", "5")
    outcomes: Counter[str] = Counter()

    def run(batches: int) -> None:
        for _ in range(batches):
            outcomes.update(run_batch(proxy, listener))
            until(lambda: lines(proxy) >= outcomes.total(), "all of the batch to have ended")

    def grown() -> Counter[str]:
        outcomes["rejected"] += 1
        return objects(proxy) - was

    was: Counter[str] = Counter()
    proxy.ask(b"COUNT")
    outcomes["rejected"] += 1
    before = descriptors(proxy)
    run(5)  # what is kept for the next, such as pipes and what is imported late, is there then
    grown()  # likewise
    was = grown()
    memory = proxy.memory()
    run(50)
    # A slot of a timer wheel goes when its time has come, though its timers are long cancelled.
    deadline = time.monotonic() + PATIENCE
    while (left := grown()).total() >= 100:
        assert time.monotonic() < deadline, f"objects: {left.most_common(20)}"
        time.sleep(1)
    until(lambda: len(descriptors(proxy)) <= len(before) + SPARE, "it to have closed all")
    assert proxy.memory() - memory < 4 * MEGABYTE
    records = proxy.records(outcomes.total())
    assert Counter(record["outcome"] for record in records) == outcomes
    assert {record["session"] for record in records} == set(range(1, len(records) + 1))
    assert "rror" not in proxy.log()


def lines(proxy: Twistd) -> int:
    return proxy.access_log.read_bytes().count(b"\n")


# Beside bulk

#: Round trips that each chatty connection makes.
ROUNDS: Final = 300


@pytest.mark.slow
def test_chatty_connections_beside_bulk_all_go_on(start: Start, listener: socket.socket, relay: str) -> None:
    """Counted, not timed: what bulk may pass while everybody is served once, and how often one is before another is."""
    proxy = start(forward(listener.getsockname()[1]), "--relay", relay)

    with contextlib.ExitStack() as stack:
        source, sink = (stack.enter_context(each) for each in joined(proxy, listener))
        passed = 0

        def drain() -> None:
            nonlocal passed
            buffer = bytearray(MEGABYTE)
            while count := sink.recv_into(buffer):
                passed += count

        def fill() -> None:
            chunk = bytes(MEGABYTE)
            while not enough.is_set():
                source.sendall(chunk)
            source.shutdown(socket.SHUT_WR)

        enough = threading.Event()
        stack.callback(enough.set)
        chatty = [tuple(stack.enter_context(each) for each in joined(proxy, listener)) for _ in range(100)]
        rounds = dict.fromkeys(range(len(chatty)), 0)
        selector = stack.enter_context(selectors.DefaultSelector())
        for number, (client, upstream) in enumerate(chatty):
            selector.register(client, selectors.EVENT_READ, number)
            selector.register(upstream, selectors.EVENT_READ)
            client.sendall(b"?")
        threads = [threading.Thread(target=each, daemon=True) for each in (drain, fill)]
        for thread in threads:
            thread.start()
        began = time.monotonic()
        while min(rounds.values()) < ROUNDS:
            ready = selector.select(PATIENCE)
            assert ready, "nobody is served"
            assert time.monotonic() < began + 2 * PATIENCE, f"{passed} of bulk, {min(rounds.values())} round trips"
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket)
                byte = receive(key.fileobj, 1)
                if key.data is not None:
                    rounds[key.data] += 1
                key.fileobj.sendall(byte)
        assert max(rounds.values()) < 2 * ROUNDS
        assert MEGABYTE < passed < ROUNDS * 64 * MEGABYTE
        enough.set()
        for thread in threads:
            thread.join(PATIENCE)


# Peers that do not read

#: More than any stock of pipes has for them.
SLEEPERS: Final = 60
#: What the process may keep for one of them, in its own memory.
KEPT: Final = 256 << 10


@pytest.mark.slow
def test_peers_that_never_read_cost_a_bounded_amount_each_and_nobody_else(
    start: Start, listener: socket.socket, relay: str
) -> None:
    proxy = start(forward(listener.getsockname()[1]), "--relay", relay)

    data = os.urandom(32 * MEGABYTE)
    with contextlib.ExitStack() as stack:
        chatty, answering = (stack.enter_context(each) for each in joined(proxy, listener))
        exchange(chatty, answering, data, data)
        before = proxy.memory()
        sleepers = [tuple(stack.enter_context(each) for each in joined(proxy, listener)) for _ in range(SLEEPERS)]
        taken = send_until_all_are_blocked([upstream for _, upstream in sleepers], data)
        assert max(taken.values()) < len(data)
        assert proxy.memory() - before < SLEEPERS * KEPT
        # Others are served, with single bytes and with bulk.
        for _ in range(100):
            chatty.sendall(b"?")
            answering.sendall(receive(answering, 1))
            assert receive(chatty, 1) == b"?"
        exchange(chatty, answering, data, data)
        # Who wakes up has everything.
        for client, upstream in sleepers[::10]:
            upstream.settimeout(PATIENCE)
            upstream.shutdown(socket.SHUT_WR)
            assert digest(read_all(client)) == digest(data[: taken[upstream]])
            client.close()
            assert read_all(upstream) == b""
        for client, _ in sleepers[5::10]:
            reset(client)
        until(lambda: lines(proxy) == SLEEPERS // 5, "those to have ended")
        exchange(chatty, answering, data, data)
    until(lambda: lines(proxy) == SLEEPERS + 1, "all to have ended")


def send_until_all_are_blocked(connections: list[socket.socket], data: bytes) -> dict[socket.socket, int]:
    """Send ``data`` on all of them until none has taken more for a while; how much each has taken."""
    taken = dict.fromkeys(connections, 0)
    with selectors.DefaultSelector() as selector:
        for each in connections:
            each.setblocking(False)
            selector.register(each, selectors.EVENT_WRITE)
        while ready := selector.select(1):
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket)
                count = taken[key.fileobj]
                with contextlib.suppress(BlockingIOError):
                    taken[key.fileobj] += key.fileobj.send(memoryview(data)[count : count + MEGABYTE])
                if taken[key.fileobj] == len(data):
                    selector.unregister(key.fileobj)
    return taken
