"""Routers that use asyncio, in twistd with its reactor and with another."""

from __future__ import annotations

import signal
import socket
import struct
from pathlib import Path

import pytest

from tests.services.fixtures import RELAYS
from tests.system.conftest import Start, Twistd, free_port, read_all

pytestmark = pytest.mark.slow  # each of them starts processes of its own

ASYNCIO = ("--reactor", "asyncio")
#: Asks a server of asyncio's, sleeps, and awaits a Deferred, before it decides.
ASKS = """\
import asyncio
from twisted.internet import reactor
from twisted.internet.task import deferLater

async def answer(reader, writer):
    writer.write((await reader.readline()).upper())
    writer.close()

async def proxy(data):
    assert asyncio.current_task() is not None
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(data)
    await asyncio.sleep(0.001)
    await deferLater(reactor, 0.001)
    found = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    server.close()
    return {"close": found}
"""
#: Waits until it is cancelled, and says so.
WAITS = """\
import asyncio

async def proxy(data):
    try:
        print("it waits")
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        print("it is cancelled")
        raise
"""
FAILS = """\
import asyncio

async def proxy(data):
    await asyncio.sleep(0.01)
    raise ValueError("no")
"""


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def is_clean(proxy: Twistd, status: int = 0) -> bool:
    """True if it ends well, and nothing is wrong with its tasks."""
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == status
    return not any(word in proxy.log() for word in ("Traceback", "never retrieved", "destroyed", "never awaited"))


def test_a_router_awaits_what_asyncio_has_and_deferreds(start: Start, relay: str) -> None:
    proxy = start(ASKS, "--relay", relay, twistd=ASYNCIO)
    assert proxy.ask(b"hello\n") == b"HELLO\n"
    assert [record["outcome"] for record in proxy.records(1)] == ["rejected"]
    assert is_clean(proxy)


def test_every_function_may(start: Start) -> None:
    router = """\
import asyncio

async def proxy_accepted(client):
    await asyncio.sleep(0.001)

async def proxy(data):
    await asyncio.sleep(0.001)
    return {"remote": "127.0.0.1:1", "retries": 0}

async def proxy_connect_error(remote):
    await asyncio.sleep(0.001)
    return b"sorry, " + remote.encode()
"""
    proxy = start(router, twistd=ASYNCIO)
    assert proxy.ask(b"hello") == b""  # it has half-closed, and so gets no last word
    with proxy.connect() as client:
        client.sendall(b"hello")
        assert read_all(client) == b"sorry, 127.0.0.1:1"
    assert is_clean(proxy)


def test_it_has_no_more_time_than_others(start: Start, relay: str) -> None:
    proxy = start(WAITS, "--decide-timeout", "0.2", "--relay", relay, twistd=ASYNCIO)
    with proxy.connect() as client:
        client.sendall(b"hello")
        assert read_all(client) == b""
    proxy.wait_for_log("it is cancelled")
    assert [record["outcome"] for record in proxy.records(1)] == ["undecided"]
    assert is_clean(proxy)


def test_it_is_cancelled_when_the_client_resets(start: Start, relay: str) -> None:
    proxy = start(WAITS, "--relay", relay, twistd=ASYNCIO)
    client = proxy.connect()
    client.sendall(b"hello")
    proxy.wait_for_log("it waits")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    proxy.wait_for_log("it is cancelled")
    assert [record["outcome"] for record in proxy.records(1)] == ["undecided"]
    assert is_clean(proxy)


def test_it_is_cancelled_when_the_process_is_to_end(start: Start) -> None:
    proxy = start(WAITS, "--drain-timeout", "0.2", twistd=ASYNCIO)
    with proxy.connect() as client:
        client.sendall(b"hello")
        proxy.wait_for_log("it waits")
        assert is_clean(proxy, 1)  # as it had to cut the connection
    assert "it is cancelled" in proxy.log()


def test_what_it_raises_is_a_line_with_its_place(start: Start) -> None:
    proxy = start(FAILS, twistd=ASYNCIO)
    assert proxy.ask(b"hello") == b""
    proxy.wait_for_log(r"router.py:5: proxy raised ValueError: no \(127")
    assert [record["outcome"] for record in proxy.records(1)] == ["router_error"]
    assert is_clean(proxy)


def test_in_another_reactor_it_is_a_line_with_the_remedy(start: Start) -> None:
    proxy = start(FAILS, twistd=("--reactor", "poll"))
    assert proxy.ask(b"hello") == b""
    line = proxy.wait_for_log(r".*proxy raised.*").group(0)
    assert "router.py:4: proxy raised RuntimeError: no running event loop; " in line
    assert line.endswith(")")
    assert "; asyncio has to be the reactor: twistd --reactor asyncio ..." in line
    assert [record["outcome"] for record in proxy.records(1)] == ["router_error"]
    assert is_clean(proxy)


LISTENERS = """\
import asyncio

async def connected(logger, peer):
    await asyncio.sleep(0.001)
    print("it knows of", peer)
"""


@pytest.mark.parametrize(
    ("reactor", "line"),
    [
        ("asyncio", r"it knows of 127\.0\.0\.1:\d+"),
        ("poll", r"listener connected raised RuntimeError: no running event loop; .*twistd --reactor asyncio \.\.\."),
    ],
)
def test_a_listener_may_too(start: Start, tmp_path: Path, reactor: str, line: str) -> None:
    (tmp_path / "listeners.py").write_text(LISTENERS)
    options = ("--target", f"127.0.0.1:{free_port()}", "--listeners", str(tmp_path / "listeners.py"))
    pool = start(None, *options, service="proxymux-pool", twistd=("--reactor", reactor))
    with pool.connect():
        pool.wait_for_log(line)
    assert is_clean(pool)
