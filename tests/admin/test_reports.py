from __future__ import annotations

import json
import os

import pytest

from proxymux.admin.counters import BYTE_CELLS, FAULT_CELLS, OUTCOME_CELLS, RELOAD_CELLS, RESULT_CELLS, RESULTS
from proxymux.admin.reports import Reports, merge_sessions, merge_status
from proxymux.core.outcome import ConnectFault, Outcome
from proxymux.version import __version__
from tests.services.fixtures import RELAYS, Join, Running, Start, StartPool
from tests.services.peers import MEGABYTE, Net, in_reactor, settle, until
from tests.services.pools import asked

PING = b"*1\r\n$4\r\nPING\r\n"


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def reports_of(*running: Running) -> Reports:
    return Reports(lambda: [each.service for each in running], running[0].clock.seconds)


def outcomes(cells: list[float]) -> dict[str, float]:
    counts = zip((outcome.value for outcome in Outcome), cells[OUTCOME_CELLS:], strict=False)
    return {outcome: count for outcome, count in counts if count}


def results(cells: list[float]) -> dict[str, float]:
    return {result: count for result, count in zip(RESULTS, cells[RESULT_CELLS:], strict=False) if count}


def faults(cells: list[float]) -> dict[str, float]:
    counts = zip((fault.value for fault in ConnectFault), cells[FAULT_CELLS:], strict=False)
    return {fault: count for fault, count in counts if count}


# The status


@in_reactor
async def test_the_status_has_these_keys_and_the_bytes_of_live_sessions(join: Join) -> None:
    proxy, client, upstream = await join(admin="0")
    await upstream.send(b"a reply")
    assert await client.receive(7) == b"a reply"
    proxy.clock.advance(5)
    status = reports_of(proxy).status_part()
    assert json.loads(json.dumps(status)) == status
    assert status == {
        "name": "proxymux",
        "version": __version__,
        "uptime_seconds": 0,
        "workers": [{"pid": os.getpid(), "connections": 1}],
        "services": [
            {
                "service": "router",
                "addresses": [proxy.address],
                "connections": 1,
                "most": 1,
                "total": 1,
                "outcomes": {},
                "bytes_in": 5,
                "bytes_out": 7,
                "draining": False,
                "pool": None,
                "clusters": {},
                "cluster_ages": {},
                "holds": [],
            }
        ],
    }


@in_reactor
async def test_bytes_count_once_whether_they_were_seen_live_or_not(join: Join) -> None:
    proxy, client, upstream = await join(admin="0")
    reports = reports_of(proxy)
    assert reports.counters()["router"][BYTE_CELLS : BYTE_CELLS + 2] == [5, 0]
    await upstream.send(b"a reply")
    upstream.finish()
    assert await client.read_all() == b"a reply"
    client.finish()
    await proxy.ended(1)
    cells = reports.counters()["router"]
    assert cells[BYTE_CELLS : BYTE_CELLS + 2] == [5, 7]
    assert outcomes(cells) == {"completed": 1}


@in_reactor
async def test_what_is_not_delivered_does_not_count_while_it_is_live(net: Net, start: Start) -> None:
    target = net.upstream(receive_buffer=4096)
    proxy = start(lambda data: {"remote": target.remote}, admin="0")
    client = await proxy.connect()
    sent = await client.send_until_stalled(bytes(20 * MEGABYTE))
    upstream = await target.accept()
    counted = reports_of(proxy).counters()["router"][BYTE_CELLS]
    assert 0 < counted < sent
    client.finish()
    assert len(await upstream.read_all()) == sent
    upstream.finish()
    await proxy.ended(1)
    assert reports_of(proxy).counters()["router"][BYTE_CELLS] == sent


@in_reactor
async def test_a_reload_counts_by_whether_everything_was_read(start: Start) -> None:
    proxy = start(lambda data: None, admin="0")
    proxy.service.reload()
    proxy.router.proxy = "no function"
    assert len(proxy.service.reload()) == 1
    assert reports_of(proxy).counters()["router"][RELOAD_CELLS : RELOAD_CELLS + 2] == [1, 1]


@in_reactor
async def test_attempts_that_fail_count_by_their_reason(start: Start, net: Net) -> None:
    target = net.upstream(listens=False)
    names = [target.remote, "unix:/nowhere/at/all", "no.such.name:1"]
    proxy = start(lambda data: {"remote": names, "retries": 0}, admin="0")
    await proxy.ask(b"hello")
    assert faults(reports_of(proxy).counters()["router"]) == {"refused": 1, "unreachable": 1, "name": 1}
    slow = start(lambda data: {"remote": "blackhole:1", "connect_timeout": 1, "retries": 0}, admin="0")
    client = await slow.connect()
    await client.send(b"hello")
    await settle()
    slow.clock.advance(1.2)
    assert await client.read_all() == b""
    await slow.ended(1)
    counted = faults(reports_of(slow).counters()["router"])
    assert counted in ({"timeout": 1}, {"name": 1})


@in_reactor
async def test_services_without_an_admin_endpoint_count_nothing_and_are_shown(start: Start) -> None:
    proxy, other = start(lambda data: {"close": True}), start(lambda data: {"close": True}, admin="0")
    await proxy.ask(b"hello")
    reports = reports_of(proxy, other)
    first, second = reports.status_part()["services"]
    assert (first["total"], first["bytes_in"]) == (1, None)
    assert (second["total"], second["bytes_in"]) == (0, 0)
    assert outcomes(reports.counters()["router"]) == {}


@in_reactor
async def test_it_is_ready_until_one_drains(start: Start) -> None:
    proxy, other = start(lambda data: None, admin="0"), start(lambda data: None, admin="0")
    reports = reports_of(proxy, other)
    assert reports.is_ready()
    other.service.drain(None)
    assert not reports.is_ready()
    assert [each["draining"] for each in reports.status_part()["services"]] == [False, True]
    assert not Reports(list, proxy.clock.seconds).is_ready()


# Sessions


@in_reactor
async def test_live_sessions_are_listed_oldest_first_with_these_keys(join: Join) -> None:
    proxy, client, _ = await join(admin="0")
    proxy.clock.advance(2)
    second = await proxy.connect()
    await until(lambda: len(proxy.service.sessions) == 2, "the second client")
    first, last = reports_of(proxy).sessions(10)
    host, port = client.address
    assert first == {
        "id": 1,
        "service": "router",
        "client": f"{host}:{port}",
        "target": first["target"],
        "state": "joined",
        "seconds": 2.0,
        "bytes_in": 5,
        "bytes_out": 0,
        "worker": None,
    }
    assert (last["id"], last["state"], last["target"]) == (2, "reading", None)
    assert [each["id"] for each in reports_of(proxy).sessions(1)] == [1]
    second.finish()


@in_reactor
async def test_a_session_that_is_closed_ends_as_drained(join: Join) -> None:
    proxy, client, _ = await join(admin="0")
    reports = reports_of(proxy)
    assert reports.close_session(1)
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome is Outcome.DRAINED
    assert not reports.close_session(1)
    assert not reports.close_session(99)


@in_reactor
async def test_a_session_is_explained_live_and_after_its_end(start: Start, net: Net) -> None:
    down, target = net.upstream(listens=False), net.upstream()

    def proxy(data: bytes) -> object:
        if len(data) < 5:
            return None
        return {"remote": [down.remote, target.remote], "note": {"tenant": "blue"}}

    running = start(proxy, admin="0")
    reports = reports_of(running)
    client = await running.connect()
    await client.send(b"abc")
    await settle()
    running.clock.advance(1)
    live = reports.session(1)
    assert live is not None
    assert (live["state"], live["outcome"], live["seen"], live["decided_at"]) == ("reading", None, [3], None)
    assert live["phases"] == [{"phase": "deciding", "from": 0.0, "to": None}]
    await client.send(b"defg")
    upstream = await target.accept()
    await settle()
    running.clock.advance(2)
    await upstream.send(b"x")
    assert await client.receive(1) == b"x"
    upstream.finish()
    client.finish()
    await running.ended(1)
    ended = reports.session(1)
    assert json.loads(json.dumps(ended)) == ended
    assert ended is not None
    assert (ended["state"], ended["outcome"], ended["seen"]) == ("ended", "completed", [3, 7])
    assert ended["note"] == {"tenant": "blue"}
    assert ended["decided_at"] == f"{__file__}:{proxy.__code__.co_firstlineno}"
    assert ended["phases"] == [
        {"phase": "deciding", "from": 0.0, "to": 1.0},
        {"phase": "connecting", "from": 1.0, "to": 1.0},
        {"phase": "first byte", "from": 1.0, "to": 3.0},
        {"phase": "joined", "from": 3.0, "to": 3.0},
    ]
    first, second = ended["attempts"]
    assert (first["target"], first["error"]) == (down.remote, "connection refused")
    assert second == {"target": target.remote, "from": 1.0, "to": 1.0, "error": None}
    assert reports.session(2) is None


@in_reactor
async def test_nothing_of_what_a_client_sent_is_in_an_explanation(start: Start) -> None:
    proxy = start(lambda data: {"close": b"secret reply"}, admin="0")
    await proxy.ask(b"secret request")
    await proxy.ended(1)
    assert "secret" not in json.dumps(reports_of(proxy).session(1))


# The pool


@in_reactor
async def test_requests_count_by_how_they_end(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp", admin="0", mode="fifo")
    client, upstream = await asked(pool, target, PING * 3)
    await upstream.send(b"+PONG\r\n" * 2)
    assert await client.receive(14) == b"+PONG\r\n" * 2
    reports = reports_of(pool)
    assert results(reports.counters()["pool"]) == {"ok": 2}
    upstream.reset()
    await client.read_until_reset()
    await pool.ended(1)
    assert results(reports.counters()["pool"]) == {"ok": 2, "upstream_aborted": 1}
    second = await pool.connect()
    await second.send(PING)
    pool.clock.advance(1)
    assert await (await target.accept()).receive(len(PING)) == PING
    second.reset()
    await pool.ended(2)
    await settle()
    assert results(reports.counters()["pool"]) == {"ok": 2, "upstream_aborted": 1, "client_aborted": 1}
    status = reports.status_part()["services"][0]
    assert status["pool"] == pool.service.leases.state()


@in_reactor
async def test_attempts_to_open_a_slot_count(start_pool: StartPool, net: Net) -> None:
    pool = start_pool(net.upstream(listens=False), codec="line", admin="0", mode="fifo", warmup=True)
    await pool.has_failed(1)
    assert faults(reports_of(pool).counters()["pool"]) == {"refused": 1}


def test_the_stacks_show_where_this_function_is() -> None:
    assert "test_the_stacks_show_where_this_function_is" in Reports(list, lambda: 0.0).stacks()


# Several processes


def part(pid: int, connections: int, **more: object) -> dict[str, object]:
    service = {
        "service": "pool",
        "addresses": ["127.0.0.1:1"],
        "connections": connections,
        "most": 5,
        "total": 10,
        "outcomes": {"completed": connections, f"only_{pid}": 1},
        "bytes_in": 100,
        "bytes_out": None,
        "draining": pid == 2,
        "pool": {"cl_active": 1, "maxwait": float(pid)},
        "clusters": {"c": [{"target": "a:1", "up": pid == 1, "connections": 2, "weight": 1}]},
        "cluster_ages": {"c": float(pid), f"only_{pid}": 1.0},
        "holds": [{"target": "a:1", "seconds": float(pid), "waiting": connections}],
        **more,
    }
    return {
        "name": "proxymux",
        "version": "1",
        "uptime_seconds": pid,
        "workers": [{"pid": pid, "connections": connections}],
        "services": [service],
    }


def test_the_parts_of_workers_make_one_status() -> None:
    merged = merge_status([part(1, 3), part(2, 4)])
    assert merged["uptime_seconds"] == 2
    assert merged["workers"] == [{"pid": 1, "connections": 3}, {"pid": 2, "connections": 4}]
    assert merged["services"] == [
        {
            "service": "pool",
            "addresses": ["127.0.0.1:1"],
            "connections": 7,
            "most": 10,
            "total": 20,
            "outcomes": {"completed": 7, "only_1": 1, "only_2": 1},
            "bytes_in": 200,
            "bytes_out": None,
            "draining": True,
            "pool": {"cl_active": 2, "maxwait": 2.0},
            "clusters": {"c": [{"target": "a:1", "up": False, "connections": 4, "weight": 1}]},
            "cluster_ages": {"c": 2.0, "only_1": 1.0, "only_2": 1.0},
            "holds": [{"target": "a:1", "seconds": 2.0, "waiting": 7}],
        }
    ]
    assert merge_status([part(1, 3)]) == part(1, 3)


def test_sessions_of_workers_are_put_together() -> None:
    old, new = {"id": 1, "seconds": 9.0}, {"id": 2, "seconds": 1.0}
    assert merge_sessions([[new], [old]], 5) == [old, new]
    assert merge_sessions([[new], [old]], 1) == [old]
