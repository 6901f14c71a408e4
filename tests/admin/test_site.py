"""The admin endpoint as its clients meet it: paths, who may ask, and its limits."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxymux.admin.channel import MAX_REQUEST, REQUEST_TIME
from proxymux.admin.feed import INTERVAL, MAX_VIEWERS, SLOW_LIMIT
from proxymux.admin.page import FILES
from proxymux.admin.routes import ROUTES
from proxymux.admin.site import MAX_CONNECTIONS
from proxymux.core.outcome import Outcome
from proxymux.router.settings import RouterSettings
from proxymux.session.context import NUMBERS
from proxymux.tap.router import make_router
from tests.admin.asking import TOKEN, Asker
from tests.services.fixtures import LOOPBACK, Running, Start, StartPool
from tests.services.peers import Net, Peer, in_reactor, settle, until

#: The paths that have no other name in them, and an answer that ends at once.
PAGES = [
    route.shown
    for route in ROUTES
    if route.method == "GET" and route.shown == route.shown.lower() and route.shown not in ("/debug/profile", "/events")
] + [f"/page/{name}" for name in FILES]
ACTIONS = [route.shown.replace("ID", "1") for route in ROUTES if route.method == "POST"]

StartAdmin = Callable[..., tuple[Running, Asker]]


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def start_admin(start: Start, net: Net, token_file: Path) -> StartAdmin:
    """A router that closes every client, and who asks its admin endpoint."""

    def start_admin(**settings: Any) -> tuple[Running, Asker]:
        running = start(lambda data: {"close": True}, **{"admin": "0", "admin_token_file": str(token_file), **settings})
        return running, Asker(net, running)

    return start_admin


# Paths


@in_reactor
async def test_every_page_answers_with_the_headers_of_security(start_admin: StartAdmin) -> None:
    running, asker = start_admin()
    for path in PAGES:
        said = await asker.get(path)
        assert said.status == 200, path
        assert said.body
        assert said.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in said.headers["content-security-policy"]
        assert said.headers["cache-control"] == "no-store"
        assert TOKEN.encode() not in said.body
        head = await asker.get(path, "HEAD")
        assert (head.status, head.body) == (200, b"")
    assert not running.errors


@in_reactor
async def test_pages_have_their_types(start_admin: StartAdmin) -> None:
    _, asker = start_admin()
    expected = {
        "/": "text/html",
        "/page/status.js": "text/javascript",
        "/page/status.css": "text/css",
        "/metrics": "text/plain",
        "/status": "application/json",
        "/healthz": "text/plain",
    }
    types = {path: (await asker.get(path)).headers["content-type"].partition(";")[0] for path in expected}
    assert types == expected


@in_reactor
async def test_a_scrape_counts_what_has_happened(start_admin: StartAdmin) -> None:
    running, asker = start_admin()
    await running.ask(b"hello")
    await running.ended(1)
    text = (await asker.get("/metrics")).body.decode()
    assert 'proxymux_connections_total{outcome="rejected",service="router"} 1.0' in text
    assert "proxymux_workers 1.0" in text
    assert (await asker.get("/status")).json["services"][0]["outcomes"] == {"rejected": 1}
    session = (await asker.get("/sessions/1")).json
    assert (session["outcome"], session["phases"][-1]["phase"]) == ("rejected", "closing")


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/metrics/",
        "//metrics",
        "/./metrics",
        "/sessions/../metrics",
        "/%6detrics",
        "/metrics%00",
        "/sessions/1/2",
        "/sessions/-1",
        "/sessions/1234567890123456789",
        "/sessions/%31",
        "/../../etc/passwd",
        "/templates/index.html",
        "/page/",
        "/page/..",
        "/page/status.html",
        "/page/%73tatus.js",
        "/clusters/users/a:1/empty",
        "*",
        "http://127.0.0.1/metrics",
        "metrics",
    ],
)
@in_reactor
async def test_what_is_not_a_path_is_not_found(start_admin: StartAdmin, path: str) -> None:
    _, asker = start_admin()
    assert (await asker.get(path)).status == 404
    assert (await asker.post(path)).status == 404


@in_reactor
async def test_a_session_that_is_not_known_is_not_found(start_admin: StartAdmin) -> None:
    _, asker = start_admin()
    assert (await asker.get("/sessions/7")).status == 404
    assert (await asker.post("/sessions/7/close")).status == 404


@in_reactor
async def test_a_method_that_a_path_does_not_take_is_refused(start_admin: StartAdmin) -> None:
    _, asker = start_admin()
    said = await asker.get("/reload")
    assert (said.status, said.headers["allow"]) == (405, "POST")
    said = await asker.post("/metrics")
    assert (said.status, said.headers["allow"]) == (405, "GET, HEAD")
    assert (await asker.get("/metrics", "OPTIONS")).status == 405


@pytest.mark.parametrize("limit", ["0", "-1", "x", "10001", "1e9", "nan", "inf", ""])
@in_reactor
async def test_a_limit_out_of_bounds_is_refused(start_admin: StartAdmin, limit: str) -> None:
    _, asker = start_admin()
    assert (await asker.get(f"/sessions?limit={limit}")).status == 400


@in_reactor
async def test_the_sessions_are_listed_up_to_a_limit(start: Start, net: Net) -> None:
    running = start(lambda data: None, admin="0")
    for _ in range(3):
        await running.connect()
    await until(lambda: len(running.service.sessions) == 3, "the clients")
    asker = Asker(net, running)
    assert [each["id"] for each in (await asker.get("/sessions")).json["sessions"]] == [1, 2, 3]
    assert [each["id"] for each in (await asker.get("/sessions?limit=2&x=y")).json["sessions"]] == [1, 2]


# The feed of the status page


async def watch(asker: Asker) -> Peer:
    """One who watches."""
    peer = await asker.connect()
    await peer.send(f"GET /events HTTP/1.1\r\nHost: {asker.address}\r\n\r\n".encode())
    return peer


async def next_message(peer: Peer) -> bytes:
    """What comes up to the end of a message."""
    data = b""
    while not data.endswith(b"\n\n\r\n"):
        data += await peer.read_some()
    return data


@in_reactor
async def test_who_watches_is_told_every_second_for_longer_than_a_request_may_take(start: Start, net: Net) -> None:
    running = start(lambda data: None, admin="0")
    peer = await watch(Asker(net, running))
    first = await next_message(peer)
    assert b" 200 " in first
    assert b"Content-Type: text/event-stream\r\n" in first
    assert b"nosniff" in first
    for number in range(1, int(REQUEST_TIME / INTERVAL) + 2):
        client = await running.connect()
        await until(lambda: len(running.service.sessions) == number, "the client")  # noqa: B023
        running.clock.advance(INTERVAL)
        row = f'"rows":[[{number},"router","127.0.0.1:{client.address[1]}",null,"reading",'
        assert row.encode() in await next_message(peer)


@in_reactor
async def test_one_watcher_over_the_limit_is_told_so(start_admin: StartAdmin) -> None:
    running, asker = start_admin()
    peers = [await watch(asker) for _ in range(MAX_VIEWERS)]
    for peer in peers:
        await peer.read_some()
    said = await asker.get("/events")
    assert (said.status, said.headers["retry-after"]) == (503, "10")
    peers[0].reset()
    await settle()
    assert (await asker.get("/events", "HEAD")).headers["content-type"] == "text/event-stream"
    peer = await watch(asker)
    await peer.read_some()
    running.clock.advance(INTERVAL)
    assert b"data: " in await next_message(peer)


@in_reactor
async def test_one_who_does_not_read_what_is_told_is_reset(
    start_admin: StartAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, asker = start_admin()
    monkeypatch.setattr("proxymux.admin.reports.NAME", "x" * 20_000_000)  # more than the system keeps for a socket
    peer = await watch(asker)
    await until(peer.has_something, "the beginning")
    await settle()
    for _ in range(int(SLOW_LIMIT / INTERVAL)):
        running.clock.advance(INTERVAL)
    await settle()
    assert len(await peer.read_until_reset()) < 20_000_000


# Actions


@in_reactor
async def test_reload_reads_again_and_says_what_it_could_not_read(start_admin: StartAdmin) -> None:
    running, asker = start_admin()
    assert (await asker.post("/reload")).status == 200
    running.router.proxy = "no function"
    said = await asker.post("/reload")
    assert said.status == 500
    assert b"proxy is not a function" in said.body
    text = (await asker.get("/metrics")).body.decode()
    assert 'proxymux_reloads_total{result="ok",service="router"} 1.0' in text
    assert 'proxymux_reloads_total{result="failed",service="router"} 1.0' in text


@in_reactor
async def test_drain_accepts_no_more_and_is_not_ready(start_admin: StartAdmin) -> None:
    running, asker = start_admin()
    assert (await asker.get("/readyz")).status == 200
    assert (await asker.post("/drain")).status == 202
    assert (await asker.get("/readyz")).status == 503
    assert (await asker.get("/healthz")).status == 200
    assert (await asker.get("/status")).json["services"][0]["draining"] is True
    await settle()
    with pytest.raises(ConnectionRefusedError):
        await running.connect()


@in_reactor
async def test_there_is_nothing_to_roll_over_without_workers(start_admin: StartAdmin) -> None:
    _, asker = start_admin()
    said = await asker.post("/rollover")
    assert said.status == 409
    assert b"--workers" in said.body


@in_reactor
async def test_a_session_is_closed_as_drained(start: Start, net: Net, token_file: Path) -> None:
    running = start(lambda data: None, admin="0", admin_token_file=str(token_file))
    client = await running.connect()
    await until(lambda: len(running.service.sessions), "the client")
    assert (await Asker(net, running).post("/sessions/1/close")).status == 202
    assert await client.read_all() == b""
    assert (await running.record()).outcome is Outcome.DRAINED


@in_reactor
async def test_what_is_new_for_a_target_waits_from_hold_to_release(start: Start, net: Net, token_file: Path) -> None:
    target = net.upstream()
    running = start(lambda data: {"remote": target.remote}, admin="0", admin_token_file=str(token_file))
    asker, path = Asker(net, running), f"/clusters/-/{target.remote}"
    said = await asker.post(f"{path}/hold")
    assert (said.status, said.body) == (200, f"{target.remote} is held\n".encode())
    client = await running.connect()
    await client.send(b"hello")
    await until(lambda: running.service.steering.holds[0].waiting, "the client")
    running.clock.advance(2)
    said = await asker.post(f"{path}/hold")
    assert (said.status, said.body) == (200, f"{target.remote} is held already\n".encode())
    [service] = (await asker.get("/status")).json["services"]
    assert service["holds"] == [{"target": target.remote, "seconds": 2, "waiting": 1}]
    assert (await asker.post(f"{path}/release")).body == f"{target.remote} is released\n".encode()
    assert await (await target.accept()).receive(5) == b"hello"
    said = await asker.post(f"{path}/release")
    assert (said.status, said.body) == (200, f"{target.remote} was not held\n".encode())
    assert (await asker.get("/status")).json["services"][0]["holds"] == []


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("-/unix:/run/a/b.sock", 200, "unix:/run/a/b.sock is held"),
        ("-/[::1]:80", 200, "[::1]:80 is held"),
        ("-/%5Bfe80::1%25eth0%5D:80", 200, "[fe80::1%eth0]:80 is held"),
        ("-/nowhere", 400, "'nowhere' is not host:port, [v6]:port or unix:/path"),
        ("-/a:0", 400, "'a:0': the port is not a number from 1 to 65535"),
        ("-/%1b%ff", 400, "'\\x1b\\udcff' is not host:port, [v6]:port or unix:/path"),
        ("users/a:1", 404, "there is no cluster users; there are: none"),
        ("%0a/a:1", 404, "there is no cluster \\n; there are: none"),
    ],
)
@in_reactor
async def test_what_may_be_held_is_a_target(start_admin: StartAdmin, path: str, status: int, says: str) -> None:
    _, asker = start_admin()
    said = await asker.post(f"/clusters/{path}/hold")
    assert (said.status, said.body.decode()) == (status, f"{says}\n")
    assert (await asker.post(f"/clusters/{path}/release")).status == status


@in_reactor
async def test_a_pool_holds_its_own_targets_alone(start_pool: StartPool, net: Net, token_file: Path) -> None:
    target = net.upstream()
    running = start_pool(target.remote, admin="0", admin_token_file=str(token_file))
    asker = Asker(net, running)
    assert (await asker.post(f"/clusters/-/{target.remote}/hold")).status == 200
    said = await asker.post("/clusters/-/a:1/hold")
    assert (said.status, said.body.decode()) == (409, f"a:1 is none of the pool's targets: {target.remote}\n")
    assert (await asker.post("/clusters/-/a:1/release")).status == 200


# Who may ask


@pytest.mark.parametrize("path", ACTIONS)
@in_reactor
async def test_no_action_is_done_without_the_token(start_admin: StartAdmin, path: str) -> None:
    running, asker = start_admin()
    for authorization in [None, "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, ""]:
        said = await asker.get(path, "POST", Authorization=authorization)
        assert said.status == 401
        assert said.headers["www-authenticate"] == 'Bearer realm="proxymux"'
    assert not running.service.is_draining
    assert (await asker.raw(_twice(path, asker))).status == 401


def _twice(path: str, asker: Asker) -> bytes:
    """A request that shows two tokens, of which one is right."""
    fields = f"Host: {asker.address}\r\nAuthorization: Bearer x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close"
    return f"POST {path} HTTP/1.1\r\n{fields}\r\n\r\n".encode()


@pytest.mark.parametrize("path", ACTIONS)
@in_reactor
async def test_no_action_is_done_where_there_is_no_token_file(start_admin: StartAdmin, path: str) -> None:
    _, asker = start_admin(admin_token_file=None)
    assert (await asker.post(path)).status == 403
    assert (await asker.post(path, "")).status == 403


@in_reactor
async def test_the_word_bearer_may_be_in_any_case(start_admin: StartAdmin) -> None:
    _, asker = start_admin()
    assert (await asker.get("/reload", "POST", Authorization=f"bEARER  {TOKEN}")).status == 200


@in_reactor
async def test_a_new_token_is_read_at_a_reload_and_a_bad_one_is_not_taken(
    start_admin: StartAdmin, token_file: Path
) -> None:
    running, asker = start_admin()
    token_file.write_text("another")
    assert (await asker.post("/reload", "another")).status == 401
    assert running.service.reload() == []
    assert (await asker.post("/reload", TOKEN)).status == 401
    token_file.write_text("")
    [problem] = running.service.reload()
    assert problem == f"--admin-token-file: {token_file}: is empty; name a file with the token in one line"
    assert (await asker.post("/rollover", "another")).status == 409
    assert any("not reloaded, the old token stays" in line for line in running.errors)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:1", 200),
        ("10.1.2.3:9090", 200),
        ("[::1]:9090", 200),
        ("localhost", 200),
        ("LocalHost.:80", 200),
        ("a.localhost", 200),
        (socket.gethostname(), 200),
        ("proxy.example:9090", 200),
        ("evil.example", 421),
        ("evil.example:9090", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1@evil.example", 421),
        ("", 421),
        ("a b", 421),
        ("[::1", 421),
        (":80", 421),
        ("localhost:port", 421),
    ],
)
@in_reactor
async def test_a_name_that_is_not_ours_is_refused(start_admin: StartAdmin, host: str, status: int) -> None:
    _, asker = start_admin(admin_host=["Proxy.example"])
    assert (await asker.get("/status", Host=host)).status == status
    assert (await asker.post("/rollover", Host=host)).status == (409 if status == 200 else status)


@in_reactor
async def test_a_request_has_one_host(start_admin: StartAdmin) -> None:
    _, asker = start_admin()
    assert (await asker.get("/healthz", Host=None)).status == 400
    assert (
        await asker.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: a\r\nConnection: close\r\n\r\n")
    ).status == 400
    assert (await asker.raw(b"GET /healthz HTTP/1.0\r\n\r\n")).status == 200


@in_reactor
async def test_another_sites_page_may_not_ask(start_admin: StartAdmin) -> None:
    _, asker = start_admin()
    foreign = ["http://evil.example", "null", f"http://{asker.address}.evil.example", f"ftp://{asker.address}", ""]
    for origin in [*foreign, "http://127.0.0.1:1", f"{asker.address}"]:
        assert (await asker.get("/status", Origin=origin)).status == 403, origin
        assert (await asker.post("/reload", Origin=origin)).status == 403, origin
    assert (await asker.get("/status", Origin=f"http://{asker.address}")).status == 200
    assert (await asker.post("/reload", Origin=f"HTTPS://{asker.address}")).status == 200


# Limits


@pytest.mark.parametrize("where", ["body", "declared", "chunks", "field", "fields", "path", "no line"])
@in_reactor
async def test_a_request_that_is_too_large_is_told_so(start_admin: StartAdmin, where: str) -> None:
    _, asker = start_admin()
    host = f"Host: {asker.address}\r\nAuthorization: Bearer {TOKEN}\r\n"
    much = "x" * MAX_REQUEST
    request = {
        "body": f"POST /drain HTTP/1.1\r\n{host}Content-Length: {MAX_REQUEST}\r\n\r\n{much}",
        "declared": f"POST /drain HTTP/1.1\r\n{host}Content-Length: {1 << 40}\r\nExpect: 100-continue\r\n\r\n",
        "chunks": f"POST /drain HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n" + f"400\r\n{'x' * 1024}\r\n" * 64,
        "field": f"GET /status HTTP/1.1\r\n{host}X: {much}\r\n\r\n",
        "fields": f"GET /status HTTP/1.1\r\n{host}" + f"X: {'x' * 1000}\r\n" * 66 + "\r\n",
        "path": f"GET /{much} HTTP/1.1\r\n{host}\r\n",
        "no line": much * 2,
    }[where]
    said = await asker.raw(request.encode())
    assert (said.status, said.headers["connection"]) == (413, "close")
    assert (await asker.get("/readyz")).status == 200


@in_reactor
async def test_a_large_request_within_the_limit_is_answered(start_admin: StartAdmin) -> None:
    _, asker = start_admin()
    assert (await asker.get("/healthz", X="x" * (MAX_REQUEST - 200))).status == 200
    assert (
        await asker.get("/reload", "POST", b"x" * (MAX_REQUEST - 300), Authorization=f"Bearer {TOKEN}")
    ).status == 200


@in_reactor
async def test_a_client_that_is_told_and_does_not_leave_is_reset(start_admin: StartAdmin) -> None:
    running, asker = start_admin()
    peer = await asker.connect()
    await peer.send(b"x" * (MAX_REQUEST + 1))
    assert b" 413 " in await peer.read_all()
    await peer.send(b"and on" * 1000)
    await settle()
    running.clock.advance(2.1)
    await settle()
    await peer.send_until_broken()


@in_reactor
async def test_a_slow_request_is_ended_however_often_it_sends_a_byte(start_admin: StartAdmin) -> None:
    running, asker = start_admin()
    silent, slow = await asker.connect(), await asker.connect()
    for byte in b"GET /stat":
        await slow.send(bytes([byte]))
        await settle()
        running.clock.advance(1)
    assert (await asker.get("/healthz")).status == 200
    running.clock.advance(REQUEST_TIME - 9 + 0.1)
    assert b" 408 " in await slow.read_all()
    await silent.read_until_reset()


@in_reactor
async def test_a_connection_is_kept_for_a_while_for_the_next_request(start_admin: StartAdmin) -> None:
    running, asker = start_admin()
    peer = await asker.connect()
    request = f"GET /healthz HTTP/1.1\r\nHost: {asker.address}\r\n\r\n".encode()
    for _ in range(3):
        await peer.send(request)
        await until(peer.has_something, "an answer")
        assert (await peer.read_some()).endswith(b"ok\n")
        running.clock.advance(REQUEST_TIME - 1)
    await peer.send(request * 2)
    await until(peer.has_something, "an answer")
    running.clock.advance(REQUEST_TIME + 1)
    await settle()
    await peer.read_until_reset()


@in_reactor
async def test_a_client_that_reads_no_answer_is_ended(start: Start, net: Net) -> None:
    running = start(lambda data: None, admin="0")
    asker = Asker(net, running)
    for _ in range(60):
        await running.connect()
    await until(lambda: len(running.service.sessions) == 60, "the clients")
    peer = await net.connect(asker.address, receive_buffer=2048)
    await peer.send(f"GET /sessions HTTP/1.1\r\nHost: {asker.address}\r\n\r\n".encode() * 400)
    await settle()
    running.clock.advance(REQUEST_TIME + 1)
    await settle()
    await peer.read_until_reset()
    assert (await asker.get("/healthz")).status == 200


@in_reactor
async def test_one_connection_over_the_limit_is_closed(start_admin: StartAdmin) -> None:
    _, asker = start_admin()
    peers = [await asker.connect() for _ in range(MAX_CONNECTIONS)]
    await settle()
    over = await asker.connect()
    assert await over.read_all() == b""
    peers[0].close()
    await settle()
    assert (await asker.get("/healthz")).status == 200


@in_reactor
async def test_a_client_that_leaves_before_its_answer_costs_nothing(start_admin: StartAdmin) -> None:
    running, asker = start_admin()
    peer = await asker.connect()
    await peer.send(f"GET /debug/profile?seconds=1 HTTP/1.1\r\nHost: {asker.address}\r\n\r\n".encode())
    await settle()
    assert (await asker.get("/debug/profile?seconds=1")).status == 409
    peer.reset()
    await settle()
    running.clock.advance(1)
    await settle()
    assert not running.errors
    assert (await asker.get("/debug/profile?seconds=99")).status == 400


@in_reactor
async def test_a_profile_names_functions(start_admin: StartAdmin) -> None:
    running, asker = start_admin()
    peer = await asker.connect()
    await peer.send(
        f"GET /debug/profile?seconds=1 HTTP/1.1\r\nHost: {asker.address}\r\nConnection: close\r\n\r\n".encode()
    )
    await settle()
    running.clock.advance(1)
    assert b"function calls" in await peer.read_all()


@in_reactor
async def test_what_fails_is_one_line_in_the_log(start_admin: StartAdmin, monkeypatch: pytest.MonkeyPatch) -> None:
    running, asker = start_admin()
    with monkeypatch.context() as without:
        without.setattr(running.service, "sessions", None)
        said = await asker.get("/sessions")
    assert (said.status, said.body) == (500, b"it failed; the log says why\n")
    assert running.errors == ["--admin: /sessions: AttributeError: 'NoneType' object has no attribute 'oldest'"]


# Several services


@in_reactor
async def test_no_two_services_of_a_process_have_the_same_numbers_of_sessions(
    start_admin: StartAdmin, net: Net, tmp_path: Path
) -> None:
    running, asker = start_admin()
    (tmp_path / "router.py").write_text("def proxy(data):\n    return None\n")
    settings = RouterSettings(str(tmp_path / "router.py"), listen=LOOPBACK)
    second = make_router(running.reactor, settings, clock=running.clock)  # type: ignore[arg-type]
    second.privilegedStartService()
    second.startService()
    client = await net.connect(second.addresses[0])
    await client.send(b"a")
    await until(lambda: len(second.sessions) == 1, "its session")
    await running.ask(b"hello")
    shown = [session["id"] for session in (await asker.get("/sessions")).json["sessions"]]
    assert shown == [NUMBERS + 1]
    assert [record.session for record in running.records] == [1]
    client.close()
    await until(lambda: not len(second.sessions), "its end")
    await second.stopService()
