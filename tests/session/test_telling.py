"""What a session tells the log, and that texts from outside are printable wherever they come to."""

from __future__ import annotations

from typing import Any

import pytest

from proxymux import Forward, Reject
from proxymux.admin.access_log import to_json
from tests.services.fixtures import Running, Start, StartPool
from tests.services.peers import Net, in_reactor, settle
from tests.services.pools import asked

NASTY = b"\x1b[31m\0\n\xff"


def told(proxy: Running, level: str = "debug") -> list[str]:
    return [line for each, line in proxy.lines if each == level]


@in_reactor
async def test_at_level_debug_each_decision_and_each_connect_is_a_line(start: Start, net: Net) -> None:
    closed, target = net.upstream(listens=False), net.upstream()
    proxy = start(lambda data: Forward([closed.remote, target.remote]) if len(data) >= 4 else None, log_level="debug")
    client = await proxy.connect()
    for part in (b"ab", b"cd"):
        await client.send(part)
        await settle()
    upstream = await target.accept()
    upstream.close()
    assert await client.read_all() == b""
    client.close()
    record = await proxy.record()
    who = f"session 1 ({record.client}): "
    assert told(proxy) == [
        f"{who}accepted on {proxy.address}",
        f"{who}router waits for more, having read 2 bytes",
        f"{who}router forwards to {closed.remote}, {target.remote}, having read 4 bytes",
        f"{who}no connection to {closed.remote}: connection refused",
        f"{who}connected to {target.remote} at {target.remote}",
    ]


@in_reactor
async def test_a_name_is_told_with_the_address_that_it_has_led_to(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": f"upstream.example:{target.port}"}, log_level="debug")
    proxy.names.addresses["upstream.example"] = [["127.0.0.1"]]
    client = await proxy.connect()
    await client.send(b"x")
    await target.accept()
    await settle()
    assert told(proxy)[-1].endswith(f"connected to upstream.example:{target.port} at 127.0.0.1:{target.port}")


@in_reactor
async def test_below_debug_none_of_these_lines_is_made(start: Start, net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(self: object, what: str) -> None:
        raise AssertionError(what)

    monkeypatch.setattr("proxymux.session.runner.SessionRunner._log_step", made)
    closed = net.upstream(listens=False)
    proxy = start(lambda data: {"remote": closed.remote, "retries": 0})
    assert await proxy.ask(b"x") == b""
    assert (await proxy.record()).outcome == "unreachable"
    assert told(proxy) == []


@in_reactor
async def test_the_traceback_of_a_router_is_a_matter_of_level_debug(start: Start) -> None:
    def proxy(data: bytes) -> Any:
        raise ValueError("no idea")

    quiet, talkative = start(proxy), start(proxy, log_level="debug")
    for running in (quiet, talkative):
        await running.ask(b"x")
        await running.record()
        [line] = running.errors
        assert "proxy raised ValueError: no idea" in line
    assert told(quiet) == []
    assert told(talkative)[1:] == ["the traceback of this error:"]


@pytest.mark.parametrize("decoded", ["latin-1", "surrogateescape"])
@in_reactor
async def test_what_a_client_sends_is_printable_in_the_reason_even_if_a_router_raises_it(
    start: Start, decoded: str
) -> None:
    def proxy(data: bytes) -> Any:
        raise ValueError(data.decode("latin-1") if decoded == "latin-1" else data.decode("utf-8", decoded))

    running = start(proxy)
    await running.ask(NASTY)
    record = await running.record()
    assert record.reason is not None
    assert record.reason.isprintable()
    assert record.cause == record.reason
    assert "\\x1b[31m\\x00" in record.reason
    assert "\\u00" not in to_json(record).replace("\\u00ff", "")
    [line] = running.errors
    assert line.isprintable()


@in_reactor
async def test_a_path_with_control_characters_is_printable_in_the_record(start: Start, net: Net) -> None:
    proxy = start(lambda data: {"remote": "unix:/nonexistent/\x1b[31m\n", "retries": 0})
    await proxy.ask(b"x")
    record = await proxy.record()
    assert record.target == "unix:/nonexistent/\\x1b[31m\\n"
    assert record.reason == "unix:/nonexistent/\\x1b[31m\\n: no such file or directory"


# At the end


@in_reactor
async def test_a_stop_waits_for_nobody_where_nobody_is(start: Start) -> None:
    proxy = start(lambda data: Reject(b"bye"))
    await proxy.ask(b"x")
    client = await proxy.connect()
    await settle()
    drained: list[None] = []
    proxy.service.drain(10).addCallback(drained.append)
    await client.send(b"x")
    assert await client.read_all() == b"bye"
    client.close()
    await proxy.ended(2)
    await settle()
    assert drained
    assert [line for line in told(proxy, "info") if "waiting" in line] == []
    assert [line for line in told(proxy, "info") if "stopped accepting" in line] == [
        "stopped accepting; 1 sessions are left"
    ]


@pytest.mark.parametrize("mode", ["fifo", "proxy"])
@in_reactor
async def test_a_pool_says_at_the_stop_how_it_was_before(start_pool: StartPool, net: Net, mode: str) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line", mode=mode)
    client, _ = await asked(pool, target)
    await pool.stop()
    client.close()
    statistics = [line for line in told(pool, "info") if line.startswith("statistics: ")]
    assert statistics == ["statistics: cl_active 1 cl_waiting 0 sv_active 1 sv_idle 0 sv_login 0 maxwait 0"]
