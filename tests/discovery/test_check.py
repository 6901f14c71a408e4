"""One check: its connection, TLS, time limit and end, with either driver."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.logger import Logger

from proxymux.net.driver import Driver, make_driver
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.settings import Settings
from tests.discovery.checking import Checking
from tests.services.certificates import Authority, Credentials
from tests.services.fixtures import LOOPBACK, RELAYS, ClockedReactor, Names
from tests.services.peers import Net, Peer, TlsPeer, Upstream, in_reactor, settle
from tests.services.tls import tls_upstream

#: The proxy trusts the authority alone.
pytestmark = pytest.mark.usefixtures("trust")

PING = b"*1\r\n$4\r\nPING\r\n"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture(params=RELAYS)
def driver(request: pytest.FixtureRequest, net: Net, clock: Clock, names: Names) -> Iterator[Driver]:
    """A driver that must have nothing left to do when the test is over and the other ends are closed."""
    reactor = ClockedReactor(names)
    settings = Settings.read({"listen": LOOPBACK, "relay": request.param})
    driver = make_driver(cast("Reactor", reactor), settings, Logger("proxymux"), clock=clock)
    driver.start()
    yield driver
    net.close()
    pytest_twisted.blockon(ensureDeferred(settle()))
    driver.stop()
    assert not clock.getDelayedCalls()
    assert not reactor.time_of_day.getDelayedCalls()
    assert not len(driver.lingering)


async def is_left_in_good_order(peer: Peer) -> None:
    """The check has ended its connection with FIN, and takes a word that comes too late without a reset."""
    assert await peer.read_all() == b""
    await peer.send(b"goodbye\r\n")
    await settle()
    peer.finish()
    await settle()
    assert await peer.read_all() == b""
    peer.close()


# tcp


@in_reactor
async def test_a_connect_is_enough_and_is_ended_in_good_order(driver: Driver, net: Net) -> None:
    target = net.upstream()
    checking = Checking(driver, target.remote, "health=tcp").start()
    member = await target.accept()
    assert await checking.verdict() is None
    await is_left_in_good_order(member)


@in_reactor
async def test_a_member_that_closes_or_speaks_at_once_is_well(driver: Driver, net: Net) -> None:
    target = net.upstream()
    closing = Checking(driver, target.remote, "health=tcp").start()
    (await target.accept()).close()
    assert await closing.verdict() is None
    speaking = Checking(driver, target.remote, "health=tcp").start()
    member = await target.accept()
    await member.send(b"220 welcome\r\n")
    assert await speaking.verdict() is None
    await is_left_in_good_order(member)


@in_reactor
async def test_without_a_check_of_its_own_a_member_that_is_down_is_checked_by_a_connect(
    driver: Driver, net: Net
) -> None:
    target = net.upstream()
    assert await Checking(driver, target.remote, "rise=1").start().verdict() is None


@in_reactor
async def test_nobody_there(driver: Driver, net: Net) -> None:
    target = net.upstream(listens=False)
    assert await Checking(driver, target.remote, "health=resp").start().verdict() == "connection refused"


@in_reactor
async def test_a_unix_socket(driver: Driver, net: Net, tmp_path: Path) -> None:
    target = net.upstream(str(tmp_path / "member"))
    assert await Checking(driver, target.remote, "health=tcp").start().verdict() is None
    absent = Checking(driver, f"unix:{tmp_path}/absent", "health=tcp").start()
    assert await absent.verdict() == "no such file or directory"


@in_reactor
async def test_a_name_is_looked_up_for_each_check(driver: Driver, net: Net, names: Names) -> None:
    target = net.upstream()
    names.addresses["member.example"] = [["127.0.0.1"], []]
    remote = f"member.example:{target.port}"
    assert await Checking(driver, remote, "health=tcp").start().verdict() is None
    assert await Checking(driver, remote, "health=tcp").start().verdict() == "name does not resolve"


@in_reactor
async def test_a_member_where_nobody_may_connect_is_not_well(driver: Driver, net: Net) -> None:
    target = net.upstream()
    checking = Checking(driver, target.remote, "health=tcp", denied=lambda address: "is denied")
    assert await checking.start().verdict() == "is denied"
    assert await target.is_left_alone()


# Talks


@pytest.mark.parametrize("is_bytewise", [False, True])
@in_reactor
async def test_a_good_answer(driver: Driver, net: Net, is_bytewise: bool) -> None:
    target = net.upstream()
    checking = Checking(driver, target.remote, "health=resp").start()
    member = await target.accept()
    assert await member.receive(len(PING)) == PING
    assert await checking.is_undecided()
    await (member.send_bytewise if is_bytewise else member.send)(b"+PONG\r\n")
    assert await checking.verdict() is None
    await is_left_in_good_order(member)


@in_reactor
async def test_a_bad_answer_is_ended_in_good_order_too(driver: Driver, net: Net) -> None:
    target = net.upstream()
    checking = Checking(driver, target.remote, "health=resp").start()
    member = await target.accept()
    assert await member.receive(len(PING)) == PING
    await member.send(b"-LOADING Redis is loading the dataset in memory\r\n")
    assert await checking.verdict() == "answered '-LOADING Redis is loading the dataset in memory'"
    await is_left_in_good_order(member)


@in_reactor
async def test_an_answer_that_is_there_before_the_question_counts(driver: Driver, net: Net) -> None:
    target = net.upstream()
    checking = Checking(driver, target.remote, "health=send;expect=220 ")
    checking.start()
    member = await target.accept()
    await member.send(b"220 welcome\r\n")
    member.finish()
    assert await checking.verdict() is None


@in_reactor
async def test_an_early_end(driver: Driver, net: Net) -> None:
    target = net.upstream()
    checking = Checking(driver, target.remote, "health=resp").start()
    member = await target.accept()
    member.finish()
    assert await checking.verdict() == "ended without an answer"
    assert await member.read_all() == PING
    member.close()


@in_reactor
async def test_a_reset(driver: Driver, net: Net) -> None:
    target = net.upstream()
    checking = Checking(driver, target.remote, "health=resp").start()
    member = await target.accept()
    await member.receive(len(PING))
    member.reset()
    assert await checking.verdict() in ("connection reset by peer", "connection lost")


@in_reactor
async def test_what_is_sent_comes_even_where_nothing_is_expected(driver: Driver, net: Net) -> None:
    target = net.upstream()
    checking = Checking(driver, target.remote, r"health=send;send=QUIT\r\n").start()
    member = await target.accept()
    assert await checking.verdict() is None
    assert await member.read_all() == b"QUIT\r\n"
    member.close()


@in_reactor
async def test_a_talk_of_several_steps(driver: Driver, net: Net) -> None:
    target = net.upstream()
    checking = Checking(driver, target.remote, "health=mysql").start()
    member = await target.accept()
    await member.send(b"\x10\0\0\0\x0a8.0\0" + bytes(11))
    head = await member.receive(4)
    assert (await member.receive(head[0]))[32:] == b"proxymux\0\0"
    assert await checking.is_undecided()
    await member.send(b"\7\0\0\2\0\0\0\2\0\0\0")
    assert await checking.verdict() is None
    assert await member.read_all() == b"\1\0\0\0\1"  # a word of farewell
    member.close()


@in_reactor
async def test_an_http_check_does_not_wait_for_the_rest_of_the_page(driver: Driver, net: Net) -> None:
    target = net.upstream()
    checking = Checking(driver, target.remote, "health=http:/up").start()
    member = await target.accept()
    request = b"GET /up HTTP/1.1\r\nHost: " + target.remote.encode()
    assert (await member.receive(len(request))) == request
    await member.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    assert await checking.verdict() is None
    await member.send(bytes(1000))
    assert (await member.read_all()).endswith(b"Connection: close\r\n\r\n")
    member.close()


@in_reactor
async def test_a_proxy_header_comes_first(driver: Driver, net: Net) -> None:
    target = net.upstream()
    Checking(driver, target.remote, "health=resp", header=b"PROXY UNKNOWN\r\n").start()
    member = await target.accept()
    assert await member.receive(15 + len(PING)) == b"PROXY UNKNOWN\r\n" + PING
    await member.send(b"+PONG\r\n")


# TLS


@in_reactor
async def test_a_check_of_a_cluster_with_tls_speaks_it(driver: Driver, net: Net, upstreams_own: Credentials) -> None:
    target = net.upstream()
    checking = Checking(driver, target.remote, "health=http:/;tls=upstream.example", b"PROXY UNKNOWN\r\n").start()
    plain = await target.accept()
    assert await plain.receive(15) == b"PROXY UNKNOWN\r\n"
    member = net.secure(plain, upstreams_own.for_server())
    await member.handshake()
    assert f"\r\nHost: upstream.example:{target.port}\r\n".encode() in await member.read_some()
    await member.send(b"HTTP/1.1 200 OK\r\n\r\n")
    assert await checking.verdict() is None
    assert await member.read_all() == b""
    member.finish()
    member.close()


@pytest.mark.parametrize("health", ["tcp", "tls", "resp"])
@in_reactor
async def test_a_member_with_another_certificate_is_not_the_one_that_is_meant(
    driver: Driver, net: Net, authority: Authority, health: str
) -> None:
    target = net.upstream()
    checking = Checking(driver, target.remote, f"health={health};tls=upstream.example").start()
    member = net.secure(await target.accept(), authority.issue("other.example").for_server())
    with pytest.raises(ssl.SSLError, match=r"(?i)bad.certificate"):
        await heard(member)
    verdict = await checking.verdict()
    assert verdict == "TLS: the certificate is not one for upstream.example; it names other.example"


async def heard(member: TlsPeer) -> bytes:
    await member.handshake()
    return await member.read_all()


@pytest.mark.parametrize("host", ["127.0.0.1", "member.example"])
@in_reactor
async def test_health_tls_alone_asks_only_whether_tls_is_spoken(
    driver: Driver, net: Net, names: Names, stranger: Authority, host: str
) -> None:
    target = net.upstream()
    names.addresses["member.example"] = [["127.0.0.1"]]
    asked: list[str | None] = []
    context = stranger.issue_expired("whoever.example").for_server()
    context.sni_callback = lambda connection, name, context: asked.append(name)
    for _ in range(2):  # the second time there is a session that might be resumed
        checking = Checking(driver, f"{host}:{target.port}", "health=tls").start()
        member = net.secure(await target.accept(), context)
        await member.handshake()
        assert await checking.verdict() is None
        assert await member.read_all() == b""
        member.finish()
        member.close()
        await settle()
    assert asked == [None if host == "127.0.0.1" else host] * 2


@in_reactor
async def test_a_session_of_a_check_that_verified_nothing_is_not_resumed_where_names_are_verified(
    driver: Driver, net: Net, names: Names, stranger: Authority
) -> None:
    target = net.upstream()
    names.addresses["member.example"] = [["127.0.0.1"]]
    context = stranger.issue("member.example").for_server()
    remote = f"member.example:{target.port}"
    unverified = Checking(driver, remote, "health=tls").start()
    member = net.secure(await target.accept(), context)
    await member.handshake()
    assert await unverified.verdict() is None
    member.close()
    await settle()
    verified = Checking(driver, remote, "health=tls;tls=member.example").start()
    await net.secure(await target.accept(), context).hear()
    assert await verified.verdict() == "TLS: the peer's certificate is not accepted: its issuer is not known"


@in_reactor
async def test_health_tls_of_a_unix_socket_needs_no_name(
    driver: Driver, net: Net, tmp_path: Path, upstreams_own: Credentials
) -> None:
    target = net.upstream(str(tmp_path / "member"))
    checking = Checking(driver, target.remote, "health=tls").start()
    member = await tls_upstream(net, target, upstreams_own)
    assert await checking.verdict() is None
    member.close()


@in_reactor
async def test_a_member_that_speaks_no_tls(driver: Driver, net: Net) -> None:
    target = net.upstream()
    checking = Checking(driver, target.remote, "health=tls").start()
    await (await target.accept()).send(b"220 welcome\r\n")
    assert await checking.verdict() == "TLS: what the peer sends is not TLS"


# Time


async def times_out(checking: Checking, clock: Clock, stage: str) -> None:
    assert await checking.is_undecided()
    clock.advance(1.9)
    assert await checking.is_undecided()
    clock.advance(0.2)
    assert await checking.verdict() == f"timed out after 2 s, {stage}"


@in_reactor
async def test_a_member_that_never_accepts(driver: Driver, net: Net, clock: Clock) -> None:
    target = net.upstream(listens=False)
    target.fill_queue()
    await times_out(Checking(driver, target.remote, "health=tcp").start(), clock, "connecting")


@in_reactor
async def test_a_name_that_is_never_found(driver: Driver, clock: Clock, names: Names) -> None:
    answer: Deferred[list[str]] = Deferred()
    names.addresses["member.example"] = [answer]
    checking = Checking(driver, "member.example:80", "health=tcp").start()
    await times_out(checking, clock, "connecting")
    answer.callback(["127.0.0.1"])
    assert len(checking.verdicts) == 1


@in_reactor
async def test_a_member_that_does_not_answer_is_reset(driver: Driver, net: Net, clock: Clock) -> None:
    target = net.upstream()
    checking = Checking(driver, target.remote, "health=resp").start()
    member = await target.accept()
    await times_out(checking, clock, "waiting for the answer")
    assert await member.read_until_reset() in (PING, b"")


@in_reactor
async def test_a_member_that_does_not_shake_hands_is_reset(driver: Driver, net: Net, clock: Clock) -> None:
    target = net.upstream()
    checking = Checking(driver, target.remote, "health=tls").start()
    member = await target.accept()
    await times_out(checking, clock, "in the TLS handshake")
    await member.read_until_reset()


@in_reactor
async def test_there_is_one_limit_for_all_of_it(
    driver: Driver, net: Net, clock: Clock, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    checking = Checking(driver, target.remote, "health=resp;tls=upstream.example").start()
    plain = await target.accept()
    await settle()
    clock.advance(0.9)
    member = net.secure(plain, upstreams_own.for_server())
    await member.handshake()
    clock.advance(0.9)
    assert await checking.is_undecided()
    clock.advance(0.3)
    assert await checking.verdict() == "timed out after 2 s, waiting for the answer"


@in_reactor
async def test_a_member_that_does_not_close_is_left_after_two_seconds(driver: Driver, net: Net, clock: Clock) -> None:
    target = net.upstream()
    checking = Checking(driver, target.remote, "health=tcp").start()
    member = await target.accept()
    assert await checking.verdict() is None
    assert await member.read_all() == b""
    assert len(driver.lingering) == 1
    clock.advance(2.2)
    await settle()
    assert not len(driver.lingering)
    await member.send_until_broken()


# Cancelling


@pytest.mark.parametrize("stage", ["connect", "look-up", "handshake", "talk"])
@in_reactor
async def test_a_cancelled_check_says_nothing_and_leaves_nothing(
    driver: Driver, net: Net, names: Names, stage: str
) -> None:
    target, member = net.upstream(listens=False), None
    remote = target.remote
    if stage == "connect":
        target.fill_queue()
    else:
        target.listen()
    if stage == "look-up":
        remote = f"member.example:{target.port}"
        names.addresses["member.example"] = [Deferred()]
    checking = Checking(driver, remote, "health=tls" if stage == "handshake" else "health=resp").start()
    if stage in ("handshake", "talk"):
        member = await target.accept()
        await member.receive(3)
    await settle()
    checking.check.cancel()
    checking.check.cancel()
    assert await checking.is_undecided()
    if member is not None:
        await member.read_until_reset()


@in_reactor
async def test_a_check_that_is_over_cannot_be_cancelled(driver: Driver, net: Net) -> None:
    target = net.upstream()
    checking = Checking(driver, target.remote, "health=tcp").start()
    member = await target.accept()
    assert await checking.verdict() is None
    checking.check.cancel()
    await is_left_in_good_order(member)


@in_reactor
async def test_many_checks_at_once(driver: Driver, net: Net) -> None:
    target: Upstream = net.upstream()
    checkings = [Checking(driver, target.remote, "health=resp").start() for _ in range(64)]
    members = [await target.accept() for _ in checkings]
    for member in members:
        await member.receive(len(PING))
        await member.send(b"+PONG\r\n")
    assert [await checking.verdict() for checking in checkings] == [None] * 64
