"""Many clients, hostile clients, and clients that do not read."""

from __future__ import annotations

import os
import random
import selectors
import signal
import socket
import threading
from collections import Counter

import pytest

from tests.conftest import until
from tests.system.conftest import Start, Twistd, read_all

pytestmark = pytest.mark.slow  # all of it takes long, and each of it is tested in pieces, too

MEGABYTE = 1 << 20


def forward(port: int) -> str:
    return f"def proxy(data):\n    return {{'remote': '127.0.0.1:{port}'}} if data.startswith(b'GOOD') else None\n"


def test_a_thousand_clients_at_once_are_all_served(start: Start, echo: int) -> None:
    proxy = start(forward(echo))
    clients = [proxy.connect() for _ in range(1000)]
    for number, client in enumerate(clients):
        client.sendall(b"GOOD %d" % number)
        client.shutdown(socket.SHUT_WR)
    answers = [read_all(client) for client in clients]
    for client in clients:
        client.close()
    assert answers == [b"GOOD %d" % number for number in range(1000)]
    assert Counter(record["outcome"] for record in proxy.records(1000)) == {"completed": 1000}


def test_silent_clients_do_not_hinder_a_good_one(start: Start, echo: int) -> None:
    proxy = start(forward(echo))
    silent = [proxy.connect() for _ in range(300)]
    assert proxy.ask(b"GOOD") == b"GOOD"
    for client in silent:
        client.close()
    assert Counter(record["outcome"] for record in proxy.records(301)) == {"completed": 1, "undecided": 300}


def test_random_bytes_leave_it_alive_with_one_line_a_connection(start: Start, echo: int) -> None:
    router = (
        "from proxymux import sniff, NEED_DATA\n"
        "def proxy(data):\n"
        "    found = [f(data) for f in (sniff.tls_client_hello, sniff.http_request, sniff.socks4, sniff.ssh)]\n"
        f"    if data.startswith(b'GOOD'): return {{'remote': '127.0.0.1:{echo}'}}\n"
        "    if NEED_DATA in found: return NEED_DATA\n"
        "    return {'close': data[:1]}[data[1:2]] if data[0] % 2 else {'close': True}\n"
    )
    proxy = start(router)
    source = random.Random(20261121)
    for _ in range(20):
        clients = [proxy.connect() for _ in range(100)]
        for client in clients:
            client.sendall(source.randbytes(source.randrange(1, 2000)))
        for client in clients:
            if source.random() < 0.5:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
    assert proxy.ask(b"GOOD") == b"GOOD"
    records = proxy.records(2001)
    assert len(records) == 2001
    assert len({record["session"] for record in records}) == 2001
    assert {record["outcome"] for record in records} <= {"completed", "rejected", "undecided", "router_error"}


def grown(proxy: Twistd, before: int) -> int:
    return proxy.memory() - before


def test_a_stalled_reader_stops_a_fast_sender_without_growing_the_process(start: Start) -> None:
    upstream = socket.create_server(("127.0.0.1", 0))
    proxy = start(forward(upstream.getsockname()[1]))
    with upstream, proxy.connect() as client:
        client.sendall(b"GOOD")
        connection, _ = upstream.accept()
        with connection:
            before = proxy.memory()
            taken = send_until_blocked(connection)
            assert taken < 32 * MEGABYTE  # what the two kernels keep
            assert grown(proxy, before) < 8 * MEGABYTE
            taken = send_until_blocked(client)
            assert taken < 32 * MEGABYTE
            assert grown(proxy, before) < 8 * MEGABYTE


def send_until_blocked(connection: socket.socket) -> int:
    """Send as much as is taken; how much that was."""
    connection.setblocking(False)
    chunk, total = bytes(1 << 16), 0
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_WRITE)
        while selector.select(0.5):
            try:
                total += connection.send(chunk)
            except BlockingIOError:
                break
    connection.setblocking(True)
    return total


def test_five_megabytes_after_a_half_close_arrive_whole(start: Start) -> None:
    upstream = socket.create_server(("127.0.0.1", 0))
    proxy = start(forward(upstream.getsockname()[1]))
    answer = os.urandom(5 * MEGABYTE)
    with upstream, proxy.connect() as client:
        client.sendall(b"GOOD")
        client.shutdown(socket.SHUT_WR)
        connection, _ = upstream.accept()
        with connection:
            assert read_all(connection) == b"GOOD"
            sender = threading.Thread(target=send_and_finish, args=(connection, answer))
            sender.start()
            assert read_all(client) == answer
            sender.join()
    [record] = proxy.records(1)
    assert (record["outcome"], record["bytes_out"]) == ("completed", 5 * MEGABYTE)


def send_and_finish(connection: socket.socket, data: bytes) -> None:
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def test_a_client_beyond_the_limit_is_refused_and_room_comes_back(start: Start, echo: int) -> None:
    proxy = start(forward(echo), "--max-connections", "2")
    with proxy.connect() as first, proxy.connect() as second, proxy.connect() as third:
        assert third.recv(1) == b""
        for client in (first, second):
            client.sendall(b"GOOD")
            assert client.recv(4) == b"GOOD"
    until(lambda: len(proxy.records()) == 3, "all to have ended")
    assert proxy.ask(b"GOOD") == b"GOOD"
    assert Counter(record["outcome"] for record in proxy.records(4)) == {"completed": 3, "refused": 1}


def test_a_router_that_never_decides_costs_one_client_and_says_where(start: Start) -> None:
    proxy = start("\n\ndef proxy(data):\n    return None\n", "--max-buffer", "1000", "--decide-timeout", "0.3")
    with proxy.connect() as client:
        client.sendall(bytes(1001))
        assert client.recv(1) == b""
    with proxy.connect() as client:
        client.sendall(b"x")
        assert client.recv(1) == b""
    assert [record["outcome"] for record in proxy.records(2)] == ["undecided", "undecided"]
    proxy.wait_for_log(r"router\.py:3: no decision within 1000 bytes \(--max-buffer\)")
    proxy.wait_for_log(r"router\.py:3: no decision within 0.3 s \(--decide-timeout\)")
    assert proxy.process.poll() is None
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0
