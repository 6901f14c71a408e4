"""What a rollover hands over, and what becomes of it when one of the two workers is killed meanwhile."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import socket
import ssl
import threading

import pytest

from tests.conftest import until
from tests.services.certificates import Authority
from tests.system.conftest import Start, Twistd, read_all
from tests.system.test_workers_ends import sessions
from tests.system.workers import FORWARDS, WAITS, children, crew, echo, is_alive, roll_over, says, serving

pytestmark = pytest.mark.slow


class Flow(threading.Thread):
    """Sends noise to an echo and compares what comes back, as fast as it can, until it is told to finish."""

    def __init__(self, client: socket.socket) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._is_over = threading.Event()
        self.count = 0
        #: Everything has come back as it was sent; None as long as it goes on, or if the connection was cut.
        self.is_right: bool | None = None

    def run(self) -> None:
        sent, received, block = hashlib.sha256(), hashlib.sha256(), os.urandom(1 << 16)

        def receive() -> None:
            while data := self._client.recv(1 << 18):
                received.update(data)

        reading = threading.Thread(target=receive)
        reading.start()
        while not self._is_over.is_set():
            data = self.count.to_bytes(8, "big") + block
            self._client.sendall(data)
            sent.update(data)
            self.count += len(data)
        self._client.shutdown(socket.SHUT_WR)
        reading.join(30)
        self.is_right = sent.digest() == received.digest()

    def finish(self) -> None:
        self._is_over.set()
        self.join(60)
        self._client.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_flows_and_idle_sessions_live_through_rollovers(start: Start, workers: int) -> None:
    with echo() as server:
        proxy = start(FORWARDS.format(port=server.port), "--workers", str(workers))
        crew(proxy, workers)
        idle = [proxy.connect() for _ in range(200)]
        assert all(says(client, b"one") == b"one" for client in idle)
        flows = [Flow(proxy.connect()) for _ in range(2)]
        for flow in flows:
            flow.start()
        for _ in range(3):
            roll_over(proxy, workers)
        for flow in flows:
            flow.finish()
        assert [flow.is_right for flow in flows] == [True, True]
        assert all(says(client, b"two") == b"two" for client in idle)
        for client in idle:
            client.close()
        records = proxy.records(202)
        totals = sorted((record["bytes_in"], record["bytes_out"]) for record in records)
    assert totals == sorted([(6, 6)] * 200 + [(flow.count, flow.count) for flow in flows])
    assert len({record["session"] for record in records}) == 202
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0
    assert proxy.log().count("all workers are replaced") == 3


def lives(client: socket.socket) -> bool:
    """Whether a connection carries bytes; what it carries must be right."""
    word = os.urandom(16)
    try:
        client.sendall(word)
        back = b""
        while len(back) < len(word):
            part = client.recv(len(word) - len(back))
            if not part:
                return False
            back += part
    except ConnectionError:
        return False
    assert back == word
    return True


@pytest.mark.parametrize("victim", ["old", "successor"])
def test_what_a_survivor_owns_lives_on_whenever_the_other_one_is_killed(start: Start, victim: str) -> None:
    chance = random.Random(victim)
    with echo() as server:
        proxy = start(FORWARDS.format(port=server.port), "--workers", "1")
        clients: list[socket.socket] = []
        for _ in range(6):
            crew(proxy, 1)
            clients += [proxy.connect() for _ in range(400 - len(clients))]
            assert all(map(lives, clients))
            clients = survivors(proxy, clients, victim, chance.uniform(0.0, 0.08))
        for client in clients:
            client.close()
        crew(proxy, 1)
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
    assert "because of an error in proxymux" not in proxy.log()


def survivors(proxy: Twistd, clients: list[socket.socket], victim: str, pause: float) -> list[socket.socket]:
    """Kill one of the two workers of a rollover, that long after the successor serves; the clients that live on."""
    [old] = serving(proxy)
    proxy.signal(signal.SIGUSR2)
    new = until(lambda: set(serving(proxy)) - {old}, "the successor").pop()
    threading.Event().wait(pause)
    killed = old if victim == "old" else new
    with contextlib.suppress(ProcessLookupError):  # the old one may be done by now
        os.kill(killed, signal.SIGKILL)
    until(lambda: not is_alive(killed), "it to be gone")
    alive = [client for client in clients if lives(client)]
    # No worker has a session besides, which another has as well, or which carries nothing.
    until(lambda: sessions(proxy) == len(alive), f"{len(alive)} sessions in the workers' titles")
    for client in set(clients) - set(alive):
        client.close()
    return alive


SLOW = """
from twisted.internet import reactor, task

async def proxy(data):
    await task.deferLater(reactor, 2)
    return {"close": b"slowly: " + data}
"""


def test_an_async_decision_stays_with_the_old_worker_and_ends_there(start: Start) -> None:
    proxy = start(SLOW, "--workers", "1")
    [old] = crew(proxy, 1)
    with proxy.connect() as client:
        client.sendall(b"x")
        until(lambda: sessions(proxy) == 1, "the session")
        proxy.signal(signal.SIGUSR2)
        until(lambda: len(serving(proxy)) == 2, "the successor")
        assert read_all(client) == b"slowly: x"
    crew(proxy, 1, {old})
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0


def test_an_undecided_client_of_a_plain_function_is_handed_over(start: Start) -> None:
    proxy = start(WAITS, "--workers", "1")
    [old] = crew(proxy, 1)
    with proxy.connect() as client:
        client.sendall(b"a")
        until(lambda: sessions(proxy) == 1, "the session")
        proxy.signal(signal.SIGUSR2)
        crew(proxy, 1, {old})
        client.sendall(b"b.")
        assert read_all(client) == b"done: ab."
    [record] = proxy.records(1)
    assert (record["bytes_in"], record["bytes_out"]) == (3, 9)


def test_tls_sessions_end_in_the_old_worker_and_resume_in_the_new(start: Start, authority: Authority) -> None:
    listen = f"tls:{authority.issue('localhost').file}:tcp:0:interface=127.0.0.1"
    with echo() as server:
        router = FORWARDS.format(port=server.port)
        proxy = start(router, "--workers", "2", "--listen", listen, listen=False)
        old = crew(proxy, 2)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(proxy.connect()) as kept:
            assert says(kept, b"before") == b"before"
            for count in (1, 2):
                proxy.signal(signal.SIGUSR2)
                wait_for_rollovers(proxy, count)
            assert says(kept, b"after") == b"after"
            assert len(set(serving(proxy)) & old) == 1
            for _ in range(10):
                with context.wrap_socket(proxy.connect(), session=kept.session) as again:
                    assert says(again, b"again") == b"again"
                    assert again.session_reused
            until(lambda: len(children(proxy.pid)) == 3, "the others to end")
        crew(proxy, 2, old)
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0


def test_a_rollover_timeout_cuts_what_is_left_and_that_is_drained(start: Start) -> None:
    proxy = start(SLOW.replace("2)", "3600)"), "--workers", "1", "--rollover-timeout", "0.5", "--decide-timeout", "60")
    [old] = crew(proxy, 1)
    with proxy.connect() as client:
        client.sendall(b"x")
        until(lambda: sessions(proxy) == 1, "the session")
        proxy.signal(signal.SIGUSR2)
        assert read_all(client) == b""
    crew(proxy, 1, {old})
    assert [record["outcome"] for record in proxy.records(1)] == ["drained"]
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0


def test_a_session_that_is_joined_after_two_rollovers_is_handed_over_once(start: Start) -> None:
    gated = """
from twisted.internet import reactor, task
import os

async def proxy(data):
    while not os.path.exists("go"):
        await task.deferLater(reactor, 0.05)
    return {{"remote": "127.0.0.1:{port}"}}
"""
    with echo() as server, contextlib.ExitStack() as stack:
        proxy = start(gated.format(port=server.port), "--workers", "1", "--decide-timeout", "600")
        crew(proxy, 1)
        clients = [stack.enter_context(proxy.connect()) for _ in range(20)]
        for client in clients:
            client.sendall(b"x")
        until(lambda: sessions(proxy) == 20, "the sessions")
        for count in (1, 2):
            proxy.signal(signal.SIGUSR2)
            wait_for_rollovers(proxy, count)
        (proxy.folder / "go").touch()
        for client in clients:
            assert client.recv(1) == b"x"
        for _ in range(20):
            assert all(map(lives, clients))
        until(lambda: len(children(proxy.pid)) == 1, "the old ones to end")
        assert all(map(lives, clients))
        until(lambda: sessions(proxy) == 20, "all sessions in one worker")


def wait_for_rollovers(proxy: Twistd, count: int) -> None:
    until(lambda: proxy.log().count("all workers are replaced") == count, "the rollover")
