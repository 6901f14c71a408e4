"""Admission: who comes in at all; and the events that tell what becomes of those who do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from proxymux import Forward, Reject
from tests.services.fixtures import LOOPBACK, Asked, Running, Start
from tests.services.peers import Net, in_reactor, settle, until

MAPPED = r"tcp6:0:interface=\:\:ffff\:127.0.0.1"


def serve(data: bytes) -> Any:
    return Reject(b"served") if data.endswith(b".") else None


async def is_served(proxy: Running, source: str | None = None) -> None:
    """A client from ``source`` comes in."""
    before = len(proxy.records)
    client = await proxy.connect(source=source)
    await client.send(b"hello.")
    assert await client.read_all() == b"served"
    client.close()
    assert (await proxy.ended(before + 1))[-1].outcome == "rejected"


async def is_refused(proxy: Running, source: str | None = None) -> str | None:
    """A client from ``source`` is closed at once; the reason."""
    before = len(proxy.records)
    client = await proxy.connect(source=source)
    assert await client.read_all() == b""
    record = (await proxy.ended(before + 1))[-1]
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("refused", 0, 0)
    return record.reason


# By address


@in_reactor
async def test_everybody_comes_in_where_nothing_is_said(start: Start) -> None:
    proxy = start(serve)
    for source in ("127.0.0.1", "127.0.0.2", "127.200.0.1"):
        await is_served(proxy, source)


@in_reactor
async def test_only_those_who_are_allowed_come_in(start: Start) -> None:
    proxy = start(serve, allow=["127.0.0.2", "127.0.1.0/24"])
    await is_served(proxy, "127.0.0.2")
    await is_served(proxy, "127.0.1.77")
    assert await is_refused(proxy, "127.0.0.1") == "address not allowed (--allow)"
    assert proxy.service.outcomes == {"rejected": 2, "refused": 1}


@in_reactor
async def test_those_who_are_denied_do_not_come_in_even_if_they_are_allowed(start: Start) -> None:
    proxy = start(serve, allow="127.0.0.0/24", deny=["127.0.0.2", "127.0.0.8/29"])
    await is_served(proxy, "127.0.0.1")
    await is_refused(proxy, "127.0.0.2")
    await is_refused(proxy, "127.0.0.9")
    await is_refused(proxy, "127.0.1.1")


@in_reactor
async def test_a_deny_file_denies_and_a_reload_reads_it_again(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "denied"
    file.write_text("# nobody likes these\n\n127.0.0.2  # the first\n127.0.1.0/24\n")
    proxy = start(serve, deny="127.0.0.5", deny_file=str(file))
    await is_refused(proxy, "127.0.0.2")
    await is_refused(proxy, "127.0.1.9")
    await is_served(proxy, "127.0.0.3")
    file.write_text("127.0.0.3\n")
    proxy.service.reload()
    await is_served(proxy, "127.0.0.2")
    await is_refused(proxy, "127.0.0.3")
    await is_refused(proxy, "127.0.0.5")


@pytest.mark.parametrize("trouble", ["bad line", "not there"])
@in_reactor
async def test_a_deny_file_that_cannot_be_read_again_is_reported_and_the_old_one_stays(
    start: Start, tmp_path: Path, trouble: str
) -> None:
    file = tmp_path / "denied"
    file.write_text("127.0.0.2\n")
    proxy = start(serve, deny_file=str(file))
    if trouble == "bad line":
        file.write_text("127.0.0.3\n127.0.0.300\n")
    else:
        file.unlink()
    proxy.service.reload()
    await is_refused(proxy, "127.0.0.2")
    await is_served(proxy, "127.0.0.3")
    assert len(proxy.errors) == 1
    assert str(file) in proxy.errors[0]


@in_reactor
async def test_who_is_in_stays_when_a_reload_denies_it(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "denied"
    file.write_text("")
    proxy = start(serve, deny_file=str(file))
    client = await proxy.connect()
    await client.send(b"hello")
    await settle()
    file.write_text("127.0.0.0/8\n")
    proxy.service.reload()
    await is_refused(proxy)
    await client.send(b".")
    assert await client.read_all() == b"served"


@pytest.mark.parametrize(
    "settings",
    [{"deny": "127.0.0.0/8"}, {"deny": "::ffff:127.0.0.0/104"}, {"allow": "10.0.0.0/8"}],
    ids=["denied", "denied as mapped", "not allowed"],
)
@in_reactor
async def test_an_ipv4_address_mapped_into_ipv6_is_judged_as_ipv4(start: Start, settings: dict[str, Any]) -> None:
    proxy = start(serve, listen=MAPPED, **settings)
    assert proxy.address.startswith("[::ffff:127.0.0.1]:")
    await is_refused(proxy)


@in_reactor
async def test_an_allowed_ipv4_address_mapped_into_ipv6_comes_in(start: Start) -> None:
    await is_served(start(serve, listen=MAPPED, allow="127.0.0.1"))


@in_reactor
async def test_ipv4_is_denied_however_it_is_written(start: Start) -> None:
    await is_refused(start(serve, deny="::ffff:127.0.0.0/104"))


@in_reactor
async def test_an_address_and_the_same_mapped_are_one_client(start: Start) -> None:
    proxy = start(serve, listen=f"haproxy:{LOOPBACK}", max_per_client=1)
    first = await proxy.connect()
    await first.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 1000 80\r\nhello")
    await settle()
    second = await proxy.connect()
    await second.send(b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1001 80\r\nhello.")
    assert await second.read_all() == b""
    assert (await proxy.record()).outcome == "refused"


@in_reactor
async def test_ipv6(start: Start) -> None:
    await is_refused(start(serve, listen=r"tcp6:0:interface=\:\:1", deny="::/64"))
    await is_served(start(serve, listen=r"tcp6:0:interface=\:\:1", allow="::1", deny="127.0.0.0/8"))


@in_reactor
async def test_a_unix_sockets_clients_have_no_address_to_judge(start: Start, tmp_path: Path) -> None:
    proxy = start(serve, listen=f"unix:{tmp_path}/socket", allow="10.0.0.0/8", deny="0.0.0.0/0", max_per_client=1)
    client = await proxy.connect()
    await client.send(b"hello")
    await settle()
    await is_served(proxy)
    client.close()
    assert {record.client for record in await proxy.ended(2)} == {"unix:"}


@in_reactor
async def test_a_refused_client_is_nobodys_business(start: Start) -> None:
    asked = Asked(lambda data: None)
    events: list[str] = []
    proxy = start(asked, accepted=asked, deny="127.0.0.1")
    proxy.events.on("connected", lambda logger, remote: events.append("connected"))
    proxy.events.on("decided", lambda logger, decision: events.append("decided"))
    client = await proxy.connect()
    await client.send(b"hello.")
    await proxy.record()
    assert (asked.about, events) == ([], [])


# By number


@in_reactor
async def test_one_over_max_connections_is_closed_at_once_and_counted(start: Start) -> None:
    proxy = start(serve, max_connections=2)
    first, second = await proxy.connect(), await proxy.connect()
    await settle()
    assert await is_refused(proxy) == "more than 2 clients (--max-connections)"
    assert await is_refused(proxy) == "more than 2 clients (--max-connections)"
    first.close()
    await proxy.ended(3)
    await is_served(proxy)
    await second.send(b"hello.")
    assert await second.read_all() == b"served"
    second.close()
    await proxy.ended(5)
    assert proxy.service.outcomes == {"rejected": 2, "refused": 2, "undecided": 1}


@in_reactor
async def test_one_over_max_per_client_is_closed_and_others_are_not(start: Start) -> None:
    proxy = start(serve, max_per_client=2)
    held = [await proxy.connect(source="127.0.0.2") for _ in range(2)]
    await settle()
    assert await is_refused(proxy, "127.0.0.2") == "more than 2 clients from one address (--max-per-client)"
    await is_served(proxy, "127.0.0.3")
    held[0].reset()
    await proxy.ended(3)
    await is_served(proxy, "127.0.0.2")


@in_reactor
async def test_those_who_are_refused_by_address_take_nobodys_place(start: Start) -> None:
    proxy = start(serve, max_connections=1, max_per_client=1, deny="127.0.0.2")
    for _ in range(3):
        await is_refused(proxy, "127.0.0.2")
        await is_served(proxy, "127.0.0.1")


@in_reactor
async def test_a_joined_client_keeps_its_place_until_its_end(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: Forward(target.remote), max_connections=1)
    client = await proxy.connect()
    await client.send(b"hello")
    upstream = await target.accept()
    await upstream.send(b"!")
    assert await client.receive(1) == b"!"
    await is_refused(proxy)
    client.finish()
    await is_refused(proxy)
    upstream.finish()
    await proxy.ended(3)
    again = await proxy.connect()
    await again.send(b"hello")
    await target.accept()


# Events


@in_reactor
async def test_the_events_of_a_session_in_their_order(start: Start, net: Net) -> None:
    target = net.upstream(listens=False)
    proxy = start(lambda data: Forward(target.remote, retries=1))
    events: list[tuple[Any, ...]] = []
    proxy.events.on("connected", lambda logger, remote: events.append(("connected", remote)))
    proxy.events.on("decided", lambda logger, decision: events.append(("decided", decision)))
    proxy.events.on("connect_failed", lambda logger, target, reason: events.append(("connect_failed", target, reason)))
    proxy.events.on("ended", lambda logger, record: events.append(("ended", record)))
    client = await proxy.connect()
    await client.send(b"hello")
    await proxy.has_failed(1)
    target.listen()
    proxy.clock.advance(0.1)
    upstream = await target.accept()
    await upstream.send(b"!")
    assert await client.receive(1) == b"!"
    remote = f"127.0.0.1:{client.address[1]}"
    client.finish()
    upstream.finish()
    record = await proxy.record()
    assert events == [
        ("connected", remote),
        ("decided", Forward(target.remote, retries=1)),
        ("connect_failed", target.remote, "connection refused"),
        ("ended", record),
    ]
    assert record.client == remote


@in_reactor
async def test_decided_tells_of_a_reject_and_not_of_the_steps_before_it(start: Start) -> None:
    decisions: list[Any] = []
    proxy = start(lambda data: {"reply": b"x", "consume": 1} if data != b"." else Reject(b"end"))
    proxy.events.on("decided", lambda logger, decision: decisions.append(decision))
    client = await proxy.connect()
    await client.send(b"ab.")
    assert await client.read_all() == b"xxend"
    assert decisions == [Reject(b"end")]


@in_reactor
async def test_a_connected_listener_that_raises_refuses_the_client(start: Start) -> None:
    asked = Asked(lambda data: None)
    also: list[str] = []
    proxy = start(asked)

    @proxy.events.on("connected")  # type: ignore[untyped-decorator]
    def bouncer(logger: Any, remote: str) -> None:
        raise PermissionError("not in these shoes")

    proxy.events.on("connected", lambda logger, remote: also.append(remote))
    reason = await is_refused(proxy)
    assert reason is not None
    assert "not in these shoes" in reason
    assert asked.about == []
    assert len(also) == 1
    proxy.events.off("connected", bouncer)
    client = await proxy.connect()
    await client.send(b"hello")
    await asked.times(1)


@pytest.mark.parametrize("error", [LookupError("oops"), SystemExit(1)], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("event", ["decided", "connect_failed", "ended"])
@in_reactor
async def test_a_listener_that_raises_harms_nobody(start: Start, net: Net, event: str, error: BaseException) -> None:
    target = net.upstream(listens=False)
    heard: list[str] = []
    proxy = start(lambda data: Forward(target.remote, retries=1))

    def listener(logger: Any, *_: Any) -> None:
        heard.append("raises")
        raise error

    proxy.events.on(event, listener)
    proxy.events.on(event, lambda logger, *_: heard.append("listens"))
    client = await proxy.connect()
    await client.send(b"hello")
    await proxy.has_failed(1)
    target.listen()
    proxy.clock.advance(0.1)
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"
    client.finish()
    upstream.finish()
    assert (await proxy.record()).outcome == "completed"
    await until(proxy.is_free_of_sessions, "the session to be gone")
    assert heard == ["raises", "listens"]
    [line] = proxy.errors
    assert "listener" in line
    assert type(error).__name__ in line


@pytest.mark.parametrize("event", ["connected", "decided", "ended"])
@in_reactor
async def test_an_async_listener_may_fail_or_never_end(start: Start, event: str) -> None:
    never: Deferred[None] = Deferred()
    proxy = start(serve)

    async def fails(logger: Any, *_: Any) -> None:
        await succeed(None)
        raise LookupError("too late")

    async def never_ends(logger: Any, *_: Any) -> None:
        await never

    proxy.events.on(event, fails)
    proxy.events.on(event, never_ends)
    await is_served(proxy)
    [line] = proxy.errors
    assert "LookupError: too late" in line
    never.callback(None)


@in_reactor
async def test_a_listener_is_given_a_logger(start: Start) -> None:
    proxy = start(serve)
    proxy.events.on("connected", lambda logger, remote: logger.info("{who} is here", who=remote.split(":")[0]))
    await is_served(proxy)
    assert ("info", "127.0.0.1 is here") in proxy.lines


# By rate


@in_reactor
async def test_who_comes_too_often_is_refused_until_the_time_has_passed(start: Start) -> None:
    proxy = start(serve, max_rate="2/10")
    await is_served(proxy)
    await is_served(proxy)
    for _ in range(3):
        assert await is_refused(proxy) == "more than 2 in 10 s from one address (--max-rate)"
    await is_served(proxy, "127.0.0.2")
    proxy.clock.advance(5)
    await is_served(proxy)
    await is_refused(proxy)
    assert proxy.service.outcomes == {"rejected": 4, "refused": 4}


@in_reactor
async def test_behind_a_header_its_address_counts(start: Start) -> None:
    proxy = start(serve, max_rate="1", listen=f"haproxy:{LOOPBACK}")
    for host, served in (("192.0.2.1", True), ("192.0.2.2", True), ("192.0.2.1", False)):
        answer = await proxy.ask(f"PROXY TCP4 {host} 192.0.2.9 5 6\r\nhello.".encode())
        assert (answer == b"served") == served
    assert [record.outcome for record in await proxy.ended(3)] == ["rejected", "rejected", "refused"]
