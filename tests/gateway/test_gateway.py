"""The gateway, to the byte."""

from __future__ import annotations

import base64
import os
import re
import socket
import stat
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
import pytest_twisted
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from proxymux.core.token import legacy as legacy_form
from proxymux.core.token.legacy import seal_legacy
from proxymux.core.token.sealed import Keys
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.tap.gateway import Options, make_gateway
from tests.net.test_faults import as_time_passes
from tests.services.certificates import Authority, Credentials
from tests.services.fixtures import LOOPBACK, RELAYS, ClockedReactor, Names, Running
from tests.services.peers import MEGABYTE, Net, Peer, Upstream, in_reactor, noise, of_one_port, settle, together, until

SECRET: Final = "p0S8rX680*48"
KEY: Final = bytes(range(32))
KEYS: Final = Keys({"k1": KEY})
WRONG: Final = "401 wrong secret or digest, damaged, or what it holds is not host:port"

StartGateway = Callable[..., "RunningGateway"]


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class RunningGateway(Running):
    """A running gateway.  What all log meanwhile is in ``lines``, with every detail at any level."""

    async def shows(self, line: bytes, rest: bytes = b"") -> Peer:
        """A client that has sent a token, and more, in one write."""
        client = await self.connect()
        await client.send(line + b"\n" + rest)
        return client


@pytest.fixture
def gateway(net: Net, relay: str, tmp_path: Any) -> Iterator[StartGateway]:
    """Start gateways on a clock; they are stopped when the test is over, and must then leave nothing behind."""
    running: list[tuple[RunningGateway, Any]] = []
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "keys").write_text(f"k1 {base64.b64encode(KEY).decode()}\n")

    def start(*arguments: str, listen: str = LOOPBACK) -> RunningGateway:
        options = Options()
        files = ["--secret-file", str(tmp_path / "secret"), "--key-file", str(tmp_path / "keys")]
        own = ["--listen", listen, "--relay", relay, "--gateway-pidfile", "off", "--log-level", "debug", *files]
        options.parseOptions([*own, *arguments])
        clock, names = Clock(), Names()
        made = RunningGateway(net, SimpleNamespace(), ClockedReactor(clock, names), clock, names)

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            if event.get("log_namespace") == "proxymux":
                made.lines.append((event["log_level"].name, formatEvent(event)))

        globalLogPublisher.addObserver(observe)
        running.append((made, observe))
        made.service = make_gateway(cast("Reactor", made.reactor), options.settings)
        made.events.on("ended", lambda logger, record: made.records.append(record))
        made.events.on("connect_failed", lambda logger, target, reason: made.failed_attempts.append((target, reason)))
        made.service.check()
        made.service.privilegedStartService()
        made.service.startService()
        return made

    yield start
    net.close()
    for each, observe in running:
        pytest_twisted.blockon(ensureDeferred(each.stop()))
        globalLogPublisher.removeObserver(observe)
        assert not each.clock.getDelayedCalls()
        assert each.is_free_of_sessions()
        assert len(each.records) == sum(each.service.outcomes.values()) == sum(each.service.statistics.counts.values())
        assert SECRET not in str(each.lines)
        assert "U2FsdGVkX1" not in str(each.lines)
        assert "pm1." not in str(each.lines)


def blocks(padded: bytes, secret: str = SECRET) -> bytes:
    """An old token of whole blocks, however they are padded and whatever they hold."""
    key, iv = legacy_form._DERIVE["md5"](secret.encode(), b"saltsalt")
    encryptor = Cipher(algorithms.AES256(key), modes.CBC(iv)).encryptor()
    return base64.b64encode(b"Salted__saltsalt" + encryptor.update(padded) + encryptor.finalize())


def old(address: str, secret: str = SECRET) -> bytes:
    padding = 16 - len(address) % 16
    return blocks(address.encode() + bytes([padding]) * padding, secret)


def sealed(*targets: str, **claims: Any) -> bytes:
    claims = {"t": list(targets), "e": int(time.time()) + 3600, **claims}
    return KEYS.seal(claims, os.urandom(16)).encode()


async def served(client: Peer, target: Upstream, rest: bytes = b"") -> Peer:
    """The upstream of a client that is told 200, after it has got ``rest``, bytes have gone both ways."""
    upstream = await target.accept()
    if rest:
        assert await upstream.receive(len(rest)) == rest
    assert await client.receive(3) == b"200"
    await client.send(b"to you")
    assert await upstream.receive(6) == b"to you"
    await upstream.send(b"and to you")
    assert await client.receive(10) == b"and to you"
    return upstream


async def finish(client: Peer, upstream: Peer) -> None:
    """Both end, and nothing more comes."""
    client.finish()
    upstream.finish()
    assert await together(client.read_all(), upstream.read_all()) == [b"", b""]


async def told(client: Peer) -> bytes:
    """What a client that does not finish is told, up to the end, which is no reset; then it finishes."""
    word = await client.read_all()
    client.finish()
    return word


# 200


@pytest.mark.parametrize("form", [old, sealed])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@in_reactor
async def test_a_good_token_is_200_and_a_tunnel(
    gateway: StartGateway, net: Net, form: Callable[[str], bytes], end: bytes
) -> None:
    target = net.upstream()
    proxy = gateway()
    client = await proxy.connect()
    await client.send(form(target.remote) + end)
    await finish(client, await served(client, target))
    record = await proxy.record()
    assert (record.outcome, record.target, record.reason) == ("completed", target.remote, None)
    assert (record.bytes_out, record.service) == (13, "gateway")


@pytest.mark.parametrize(("size", "host"), [(44, "a.lan"), (64, "backend-01.internal.lan"), (88, "a" * 30 + ".lan")])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@in_reactor
async def test_tokens_of_every_length_go(gateway: StartGateway, net: Net, size: int, host: str, end: bytes) -> None:
    target = net.upstream()
    proxy = gateway()
    proxy.names.addresses[host] = [["127.0.0.1"]]
    line = old(f"{host}:{target.port}")
    assert len(line) == size
    client = await proxy.connect()
    await client.send(line + end)
    await finish(client, await served(client, target))


@in_reactor
async def test_a_token_as_long_as_one_may_be_goes(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    lines = {size: sealed(*[target.remote] * 31, j="x" * size) for size in range(1, 65)}
    line = max((line for line in lines.values() if len(line) <= 1024), key=len)
    assert len(line) > 700
    for end in (b"\n", b"\r\n"):
        proxy = gateway()
        client = await proxy.connect()
        await client.send(line + end + b"rest")
        await finish(client, await served(client, target, b"rest"))


@in_reactor
async def test_a_token_may_come_byte_by_byte(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway()
    for form in (old, sealed):
        client = await proxy.connect()
        await client.send_bytewise(form(target.remote) + b"\r\nrest")
        await finish(client, await served(client, target, b"rest"))


@in_reactor
async def test_a_token_may_come_in_two_parts_split_anywhere(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway()
    data = old(target.remote) + b"\r\nrest"
    for place in range(1, len(data)):
        client = await proxy.connect()
        await client.send(data[:place])
        await settle()
        await client.send(data[place:])
        upstream = await target.accept()
        assert await together(upstream.receive(4), client.receive(3)) == [b"rest", b"200"]
        await finish(client, upstream)


@pytest.mark.parametrize("size", [1, 5, 3000, 65536, 100_000, 3 * MEGABYTE])
@in_reactor
async def test_what_comes_with_the_token_goes_upstream_and_nothing_is_lost(
    gateway: StartGateway, net: Net, size: int
) -> None:
    target = net.upstream()
    proxy = gateway()
    rest = noise(size)
    client = await proxy.connect()
    _, upstream = await together(client.send(old(target.remote) + b"\n" + rest), target.accept())
    assert await upstream.receive(size) == rest
    assert await client.receive(3) == b"200"
    await finish(client, upstream)
    assert (await proxy.record()).bytes_in == 45 + size


@in_reactor
async def test_the_bytes_after_the_line_are_not_looked_at(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway()
    rest = b"\n\r\n" + old("127.0.0.1:1") + b"\n\0\xff"
    client = await proxy.shows(old(target.remote), rest)
    await finish(client, await served(client, target, rest))


@in_reactor
async def test_200_comes_before_the_upstreams_first_byte_and_not_before_the_upstream(
    gateway: StartGateway, net: Net
) -> None:
    target = net.upstream(listens=False)
    target.fill_queue()
    proxy = gateway()
    waiting = await proxy.shows(old(target.remote))
    await settle()
    assert not waiting.has_something()
    speaking = net.upstream()
    client = await proxy.shows(old(speaking.remote))
    upstream = await speaking.accept()
    await upstream.send(b"220 welcome")
    assert await client.receive(14) == b"200220 welcome"
    waiting.reset()
    await finish(client, upstream)


@in_reactor
async def test_a_fin_right_after_the_token_is_a_half_close(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway()
    client = await proxy.shows(old(target.remote), b"question")
    client.finish()
    upstream = await target.accept()
    assert await upstream.read_all() == b"question"
    await upstream.send(b"answer")
    upstream.finish()
    assert await client.read_all() == b"200answer"
    assert (await proxy.record()).outcome == "completed"


@pytest.mark.parametrize("who", ["client", "upstream"])
@in_reactor
async def test_half_close_with_5_mb_in_flight_the_other_way_loses_nothing(
    gateway: StartGateway, net: Net, who: str
) -> None:
    target = net.upstream()
    proxy = gateway()
    client = await proxy.shows(old(target.remote))
    upstream = await served(client, target)
    data = noise(5 * MEGABYTE)
    ends, sends = (client, upstream) if who == "client" else (upstream, client)
    taken = await sends.send_until_stalled(data)
    ends.finish()
    assert await sends.read_all() == b""
    _, heard = await together(sends.send(data[taken:]), ends.receive(len(data)))
    assert heard == data
    sends.finish()
    assert await ends.read_all() == b""
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_both_ways_at_once_5_mb_go_through_and_both_half_close(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway()
    client = await proxy.shows(old(target.remote))
    upstream = await served(client, target)
    up, down = noise(5 * MEGABYTE, "up"), noise(5 * MEGABYTE, "down")

    async def say(peer: Peer, data: bytes) -> None:
        await peer.send(data)
        peer.finish()

    said = await together(say(client, up), say(upstream, down), client.read_all(), upstream.read_all())
    assert said[2:] == [down, up]


@in_reactor
async def test_a_reset_of_either_side_reaches_the_other(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway()
    for who in ("client", "upstream"):
        client = await proxy.shows(old(target.remote))
        upstream = await served(client, target)
        left, stays = (client, upstream) if who == "client" else (upstream, client)
        await stays.sent()
        left.reset()
        assert await as_time_passes(proxy.clock, stays.read_until_reset()) == b""


# 400


@pytest.mark.parametrize(
    "data", [b"", b"a", b"abc", b"\r", b"x" * 1024, old("127.0.0.1:1"), old("127.0.0.1:1") + b"\r"]
)
@in_reactor
async def test_an_end_before_the_lines_end_is_400(gateway: StartGateway, data: bytes) -> None:
    proxy = gateway()
    assert await proxy.ask(data) == b"400"
    record = await proxy.record()
    assert (record.outcome, record.reason) == ("bad_handshake", "400 client finished before a decision")
    assert (record.bytes_in, record.bytes_out, record.target) == (len(data), 3, None)


@pytest.mark.parametrize("data", [b"x" * 1025, b"x" * 1024 + b"\r\r", b"x" * 1025 + b"\n", bytes(4000)])
@in_reactor
async def test_a_line_that_is_too_long_is_400_at_once(gateway: StartGateway, data: bytes) -> None:
    proxy = gateway()
    client = await proxy.connect()
    await client.send(data)
    assert await told(client) == b"400"
    assert (await proxy.record()).reason == "400 no line's end within 1024 bytes"


@in_reactor
async def test_1024_bytes_and_crlf_are_a_line_and_one_byte_more_is_none(gateway: StartGateway) -> None:
    proxy = gateway()
    for size, status in ((1024, b"401"), (1025, b"400")):
        for end in (b"\n", b"\r\n"):
            client = await proxy.connect()
            await client.send_bytewise(b"A" * size)
            await settle()
            if size == 1024:
                assert not client.has_something()
                await client.send(end)
            assert await told(client) == status


@pytest.mark.parametrize("data", [b"", b"abc", b"x" * 1024])
@in_reactor
async def test_a_client_that_takes_longer_than_ten_seconds_is_400(gateway: StartGateway, data: bytes) -> None:
    proxy = gateway()
    client = await proxy.connect()
    await client.send(data)
    await settle()
    proxy.clock.advance(9.8)
    await settle()
    assert not client.has_something()
    proxy.clock.advance(0.3)
    assert await told(client) == b"400"
    record = await proxy.record()
    assert (record.outcome, record.reason) == ("bad_handshake", "400 no decision within 10 s (--decide-timeout)")


@in_reactor
async def test_bytes_that_trickle_in_do_not_prolong_the_deadline(gateway: StartGateway) -> None:
    proxy = gateway("--decide-timeout", "3")
    client = await proxy.connect()
    for _ in range(3):
        await client.send(b"a")
        await settle()
        assert not client.has_something()
        proxy.clock.advance(1.05)
    assert await told(client) == b"400"


@in_reactor
async def test_the_deadline_ends_with_the_handshake(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway()
    client = await proxy.shows(old(target.remote))
    upstream = await served(client, target)
    proxy.clock.pump([1.0] * 100)
    await client.send(b"still here")
    assert await upstream.receive(10) == b"still here"
    await finish(client, upstream)


@in_reactor
async def test_max_buffer_that_is_shorter_than_a_token_is_400(gateway: StartGateway) -> None:
    proxy = gateway("--max-buffer", "40")
    client = await proxy.shows(old("127.0.0.1:1"))
    assert await told(client) == b"400"
    assert (await proxy.record()).reason == "400 no decision within 40 bytes (--max-buffer)"


# 401


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(b"", "401 neither a sealed token nor one of OpenSSL's", id="empty"),
        pytest.param(b" ", "401 not base64", id="a space"),
        pytest.param(b"abc", "401 not base64", id="three letters"),
        pytest.param(b"GET / HTTP/1.1", "401 not base64", id="HTTP"),
        pytest.param(b"\x16\x03\x01\0\xff", "401 not base64", id="TLS"),
        pytest.param(old("127.0.0.1:1", "another"), WRONG, id="another secret"),
        pytest.param(old(""), WRONG, id="no address"),
        pytest.param(old("127.0.0.1"), WRONG, id="no port"),
        pytest.param(old("127.0.0.1:0"), WRONG, id="port 0"),
        pytest.param(old("127.0.0.1:99999"), WRONG, id="port too high"),
        pytest.param(old(":80"), WRONG, id="no host"),
        pytest.param(old(" 127.0.0.1:1"), WRONG, id="a space before"),
        pytest.param(old("127.0.0.1:1\n"), WRONG, id="a newline behind"),
        pytest.param(old("127.0.0.1:http"), WRONG, id="port by name"),
        pytest.param(old("unix:/run/a"), WRONG, id="Unix socket"),
        pytest.param(
            seal_legacy("127.0.0.1:1", SECRET.encode(), "sha256", bytes(8)).encode(), WRONG, id="another digest"
        ),
        pytest.param(sealed("a:1", e=0), "401 expired: ", id="expired"),
        pytest.param(sealed("a:1", n=2**39), "401 not yet valid: ", id="not yet valid"),
        pytest.param(sealed("a:1", c="192.0.2.0/24"), "401 for another client", id="another client"),
        pytest.param(sealed("a:1", a="eu"), "401 for another audience (--audience)", id="another audience"),
        pytest.param(sealed("a:1")[:-20], "401 damaged, or sealed with another key of that id", id="damaged"),
        pytest.param(b"pm1.k2.AAAA", "401 no key of that id", id="no such key"),
        pytest.param(b"pm1.", "401 not a token", id="prefix alone"),
    ],
)
@in_reactor
async def test_what_is_wrong_with_a_token_is_401_and_the_log_says_what(
    gateway: StartGateway, line: bytes, reason: str
) -> None:
    proxy = gateway()
    client = await proxy.shows(line, b"rest")
    assert await told(client) == b"401"
    record = await proxy.record()
    assert (record.outcome, record.target, record.bytes_out) == ("bad_handshake", None, 3)
    assert str(record.reason).startswith(reason)
    assert proxy.names.asked == 0
    assert [line for level, line in proxy.lines if reason in line]


@in_reactor
async def test_bad_padding_and_a_bad_address_are_alike_in_every_byte_of_answer_log_and_record(
    gateway: StartGateway,
) -> None:
    proxy = gateway("--max-failures", "off")
    bad_padding = [
        blocks(b"no address here\x00"),
        blocks(b"no address here\x02"),
        blocks(b"no address here\x11"),
        blocks(b"no address here\xff"),
        blocks(b"127.0.0.1:80\x04\x04\x03\x04"),
        blocks(b"192.168.2.2:8080"),
    ]
    bad_address = [
        blocks(b"no address here\x01"),
        blocks(b"no address her\x02\x02"),
        blocks(b"\x10" * 16),
        blocks(b"127.0.0.1:0\x05\x05\x05\x05\x05"),
    ]
    answers = []
    for line in (*bad_padding, *bad_address):
        assert len(line) == 44
        client = await proxy.shows(line)
        answers.append(await told(client))
    assert answers == [b"401"] * 10
    records = await proxy.ended(10)
    constant = {
        (each.outcome, each.reason, each.target, each.bytes_in, each.bytes_out, each.connect_seconds, each.seconds)
        for each in records
    }
    assert constant == {("bad_handshake", WRONG, None, 45, 3, None, 0.0)}
    told_of = {re.sub(r":\d+: ", ": ", line) for _, line in proxy.lines if "401" in line}
    assert told_of == {f"127.0.0.1: {WRONG}"}
    assert proxy.service.statistics.lines() == [f"401: 10 ({WRONG.removeprefix('401 ')} 10)".replace(": not", ": not")]


@in_reactor
async def test_a_one_time_token_opens_once(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway()
    line = sealed(target.remote, j="once")
    client = await proxy.shows(line)
    await finish(client, await served(client, target))
    again = await proxy.shows(line)
    assert await told(again) == b"401"
    proxy.service.reload()
    after_reload = await proxy.shows(line)
    assert await told(after_reload) == b"401"
    assert await target.is_left_alone()


@in_reactor
async def test_a_form_that_is_not_accepted_is_401(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway("--legacy", "off")
    client = await proxy.shows(old(target.remote))
    assert await told(client) == b"401"
    other = await proxy.shows(sealed(target.remote))
    await finish(other, await served(other, target))


@pytest.mark.parametrize("digest", ["md5", "sha256", "pbkdf2"])
@in_reactor
async def test_every_digest_goes_that_is_configured(gateway: StartGateway, net: Net, digest: Any) -> None:
    target = net.upstream()
    line = seal_legacy(target.remote, SECRET.encode(), digest, os.urandom(8)).encode()
    proxy = gateway("--digest", "md5", "--digest", "sha256", "--digest", "pbkdf2")
    client = await proxy.shows(line)
    await finish(client, await served(client, target))
    one = gateway("--digest", digest)
    client = await one.shows(line)
    await finish(client, await served(client, target))


# 502 and 504


@in_reactor
async def test_a_target_that_refuses_is_502_after_one_attempt_whatever_retry_says(
    gateway: StartGateway, net: Net
) -> None:
    target = net.upstream(listens=False)
    for arguments in ([], ["--retry", "5"]):
        proxy = gateway(*arguments)
        client = await proxy.shows(old(target.remote), b"rest")
        assert await told(client) == b"502"
        await proxy.has_failed(1)
        record = await proxy.record()
        assert (record.outcome, record.target) == ("unreachable", target.remote)
        assert record.reason == f"{target.remote}: connection refused"


@in_reactor
async def test_a_name_that_does_not_resolve_is_502(gateway: StartGateway) -> None:
    proxy = gateway("--retry", "3")
    client = await proxy.shows(old("nowhere.example:80"))
    assert await told(client) == b"502"
    assert proxy.names.asked == 1
    assert (await proxy.record()).reason == "nowhere.example:80: name does not resolve"


@pytest.mark.parametrize(("arguments", "attempts", "seconds"), [
    ([], 1, 3.0), (["--retry", "1"], 1, 3.0), (["--retry", "3"], 3, 3.0),
    (["--timeout", "0.5"], 1, 0.5), (["--retry", "2", "--timeout", "20"], 2, 20.0),
])  # fmt: skip
@in_reactor
async def test_a_target_that_does_not_answer_is_504_after_so_many_attempts_in_all_without_a_pause(
    gateway: StartGateway, net: Net, arguments: list[str], attempts: int, seconds: float
) -> None:
    target = net.upstream(listens=False)
    target.fill_queue()
    proxy = gateway(*arguments)
    client = await proxy.shows(old(target.remote))
    await settle()
    for attempt in range(1, attempts + 1):
        proxy.clock.advance(seconds - 0.2)
        await proxy.has_failed(attempt - 1)
        assert not client.has_something()
        proxy.clock.advance(0.2)
        if attempt < attempts:
            await proxy.has_failed(attempt)
    assert await told(client) == b"504"
    await proxy.has_failed(attempts)
    record = await proxy.record()
    assert (record.outcome, record.target) == ("connect_timeout", target.remote)
    assert record.reason == f"{target.remote}: timed out after {seconds:g} s"
    assert record.seconds == pytest.approx(attempts * seconds)


@in_reactor
async def test_a_name_whose_look_up_takes_too_long_is_504(gateway: StartGateway) -> None:
    proxy = gateway()
    never: Deferred[list[str]] = Deferred()
    proxy.names.addresses["slow.example"] = [never]
    client = await proxy.shows(old("slow.example:80"))
    await settle()
    proxy.clock.advance(3)
    assert await told(client) == b"504"
    never.callback(["127.0.0.1"])


@in_reactor
async def test_a_second_attempt_may_succeed(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway("--retry", "2")
    never: Deferred[list[str]] = Deferred()
    proxy.names.addresses["slow.example"] = [never, ["127.0.0.1"]]
    client = await proxy.shows(old(f"slow.example:{target.port}"), b"rest")
    await settle()
    proxy.clock.advance(3)
    await finish(client, await served(client, target, b"rest"))
    never.callback([])


@in_reactor
async def test_of_a_list_the_first_that_answers_is_taken(gateway: StartGateway, net: Net) -> None:
    refuses, target, unused = net.upstream(listens=False), net.upstream(), net.upstream()
    proxy = gateway()
    client = await proxy.shows(sealed(refuses.remote, "nowhere.example:1", target.remote, unused.remote), b"rest")
    await finish(client, await served(client, target, b"rest"))
    assert await unused.is_left_alone()
    assert (await proxy.record()).target == target.remote


@in_reactor
async def test_a_list_of_which_one_refuses_and_one_times_out_is_502(gateway: StartGateway, net: Net) -> None:
    refuses, silent = net.upstream(listens=False), net.upstream(listens=False)
    silent.fill_queue()
    for targets in ((refuses, silent), (silent, refuses)):
        proxy = gateway("--retry", "2")
        client = await proxy.shows(sealed(*[each.remote for each in targets]))
        await settle()
        for _ in range(2):
            assert not client.has_something()
            proxy.clock.advance(3)
            await settle()
        assert await told(client) == b"502"
        assert (await proxy.record()).outcome == "unreachable"
        assert [target for target, _ in proxy.failed_attempts].count(silent.remote) == 2
        assert [target for target, _ in proxy.failed_attempts].count(refuses.remote) == 1


@in_reactor
async def test_a_list_of_which_all_time_out_is_504(gateway: StartGateway, net: Net) -> None:
    silent = [net.upstream(listens=False), net.upstream(listens=False)]
    for each in silent:
        each.fill_queue()
    proxy = gateway()
    client = await proxy.shows(sealed(*[each.remote for each in silent]))
    await settle()
    proxy.clock.advance(3)
    await settle()
    assert not client.has_something()
    proxy.clock.advance(3)
    assert await told(client) == b"504"


@in_reactor
async def test_a_client_that_leaves_while_it_is_being_connected_ends_it(gateway: StartGateway, net: Net) -> None:
    target = net.upstream(listens=False)
    target.fill_queue()
    proxy = gateway("--retry", "100")
    client = await proxy.shows(old(target.remote))
    await settle()
    client.reset()
    assert (await proxy.record()).outcome == "client_aborted"
    assert proxy.failed_attempts == []


# Where tokens may lead


@pytest.mark.parametrize("name", ["127.0.0.1", "inside.example", "0.0.0.0", "[::ffff:127.0.0.1]", "[::ffff:0.0.0.0]"])
@pytest.mark.parametrize("rule", [["--deny-target", "127.0.0.0/8"], ["--allow-target", "10.0.0.0/8"]])
@in_reactor
async def test_a_denied_target_is_401_and_is_judged_by_what_it_resolves_to(
    gateway: StartGateway, net: Net, name: str, rule: list[str]
) -> None:
    target = net.upstream()
    proxy = gateway(*rule, "--retry", "3")
    proxy.names.addresses["inside.example"] = [["127.0.0.1"]]
    client = await proxy.shows(old(f"{name}:{target.port}"))
    assert await told(client) == b"401"
    record = await proxy.record()
    assert record.outcome == "bad_handshake"
    assert str(record.reason).startswith("401 ")
    assert str(record.reason).endswith(("denied (--deny-target)", "not allowed (--allow-target)"))
    assert proxy.names.asked <= 1
    assert await target.is_left_alone()
    assert any(line.startswith("401: 1 (denied target ") for line in proxy.service.statistics.lines())


@in_reactor
async def test_an_allowed_port_goes_and_another_does_not(gateway: StartGateway, net: Net) -> None:
    target, other = net.upstream(), net.upstream()
    proxy = gateway("--allow-target", f"127.0.0.0/8:{target.port}")
    client = await proxy.shows(old(target.remote))
    await finish(client, await served(client, target))
    client = await proxy.shows(old(other.remote))
    assert await told(client) == b"401"


@in_reactor
async def test_of_a_names_addresses_only_good_ones_are_connected_to(gateway: StartGateway, net: Net) -> None:
    good, bad = of_one_port(net, "127.0.0.2", "127.0.0.1")
    proxy = gateway("--deny-target", "127.0.0.1")
    proxy.names.addresses["both.example"] = [["127.0.0.1", "127.0.0.2"]]
    client = await proxy.shows(old(f"both.example:{good.port}"))
    await finish(client, await served(client, good))
    assert await bad.is_left_alone()


@in_reactor
async def test_the_address_that_was_judged_is_the_one_connected_to(gateway: StartGateway, net: Net) -> None:
    good, bad = of_one_port(net, "127.0.0.2", "127.0.0.1")
    proxy = gateway("--deny-target", "127.0.0.1")
    proxy.names.addresses["rebinding.example"] = [["127.0.0.2"], ["127.0.0.1"]]
    client = await proxy.shows(old(f"rebinding.example:{good.port}"))
    await finish(client, await served(client, good))
    client = await proxy.shows(old(f"rebinding.example:{good.port}"))
    assert await told(client) == b"401"
    assert await bad.is_left_alone()


@in_reactor
async def test_of_a_list_a_denied_target_is_passed_over(gateway: StartGateway, net: Net) -> None:
    denied, target = net.upstream("127.0.0.1"), net.upstream("127.0.0.2")
    proxy = gateway("--deny-target", "127.0.0.1")
    client = await proxy.shows(sealed(denied.remote, target.remote))
    await finish(client, await served(client, target))
    refused = net.upstream("127.0.0.2", listens=False)
    client = await proxy.shows(sealed(denied.remote, refused.remote))
    assert await told(client) == b"502"
    client = await proxy.shows(sealed(denied.remote, denied.remote))
    assert await told(client) == b"401"
    assert await denied.is_left_alone()


@pytest.mark.parametrize(
    "listen", ["tcp:0:interface=127.0.0.1", "tcp:0", r"tcp:0:interface=\:\:1", r"tcp:0:interface=\:\:"]
)
@in_reactor
async def test_the_gateway_does_not_lead_to_itself(gateway: StartGateway, net: Net, listen: str) -> None:
    proxy = gateway(listen=listen)
    host, _, port = proxy.address.rpartition(":")
    ways = ["[::1]", "[::]", "[::%1]", "six.example"] if ":" in host else []
    if host in ("127.0.0.1", "0.0.0.0", "[::]"):
        ways += ["127.0.0.1", "0.0.0.0", "localhost", "[::ffff:127.0.0.1]", "[::ffff:0.0.0.0]"]
    if host in ("0.0.0.0", "[::]"):
        ways += ["127.0.0.2"]
    proxy.names.addresses["localhost"] = [["127.0.0.1"]]
    proxy.names.addresses["six.example"] = [["::1"]]
    reach = f"[::1]:{port}" if host == "[::]" else f"127.0.0.1:{port}" if host == "0.0.0.0" else proxy.address
    for number, way in enumerate(ways, 1):
        client = await net.connect(reach)
        await client.send(old(f"{way}:{port}") + b"\n")
        assert await told(client) == b"401", way
        records = await proxy.ended(number)
        assert str(records[-1].reason).endswith("the gateway itself"), way


@in_reactor
async def test_another_port_of_its_address_is_not_itself(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway(listen="tcp:0")
    client = await net.connect(f"127.0.0.1:{proxy.address.rpartition(':')[2]}")
    await client.send(old(f"0.0.0.0:{target.port}") + b"\n")
    await finish(client, await served(client, target))


# The failure budget


@in_reactor
async def test_an_address_that_failed_too_often_waits_and_another_does_not(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway("--max-failures", "12")
    for _ in range(12):
        client = await proxy.shows(b"bad")
        assert await told(client) == b"401"
    good, bad = await proxy.shows(old(target.remote), b"rest"), await proxy.shows(b"bad")
    await settle()
    assert not good.has_something()
    other = await proxy.connect(source="127.0.0.2")
    await other.send(old(target.remote) + b"\n")
    await finish(other, await served(other, target))
    proxy.clock.advance(4.8)
    await settle()
    assert not good.has_something()
    assert await target.is_left_alone()
    proxy.clock.advance(0.4)
    upstream = await served(good, target, b"rest")
    assert await told(bad) == b"401"
    await finish(good, upstream)


@in_reactor
async def test_who_would_wait_longer_than_the_deadline_is_400(gateway: StartGateway) -> None:
    proxy = gateway("--max-failures", "1")
    client = await proxy.shows(b"bad")
    assert await told(client) == b"401"
    client = await proxy.shows(b"bad")
    await settle()
    proxy.clock.advance(10.1)
    assert await told(client) == b"400"


@in_reactor
async def test_who_leaves_while_waiting_costs_nothing(gateway: StartGateway) -> None:
    proxy = gateway("--max-failures", "1")
    client = await proxy.shows(b"bad")
    assert await told(client) == b"401"
    for _ in range(10):
        client = await proxy.shows(b"bad")
        await settle()
        client.reset()
    records = await proxy.ended(11)
    assert {record.outcome for record in records[1:]} == {"undecided"}


@in_reactor
async def test_with_max_failures_off_nobody_waits(gateway: StartGateway) -> None:
    proxy = gateway("--max-failures", "off")
    for _ in range(50):
        client = await proxy.shows(b"bad")
        assert await told(client) == b"401"


# The status always arrives


@pytest.mark.parametrize(
    ("line", "status"), [(b"x" * 2000, b"400"), (b"bad\n", b"401"), (b"", b"502"), (b"x", b"504")], ids=repr
)
@in_reactor
async def test_the_status_arrives_though_more_was_sent_than_was_read(
    gateway: StartGateway, net: Net, line: bytes, status: bytes
) -> None:
    """To close while bytes are unread is a reset, which takes the status with it."""
    target = net.upstream(listens=False)
    if status == b"504":
        target.fill_queue()
    if status in (b"502", b"504"):
        line = old(target.remote) + b"\n"
    proxy = gateway()
    client = await proxy.connect()
    taken = await client.send_until_stalled(line + noise(8 * MEGABYTE))
    assert taken > 100_000
    if status == b"504":
        proxy.clock.advance(3)
    assert await client.receive(3) == status
    assert await client.read_all() == b""
    await client.send_until_stalled(noise(MEGABYTE))
    client.finish()
    assert (await proxy.record()).bytes_out == 3


@in_reactor
async def test_a_client_that_was_refused_and_goes_on_for_ever_is_cut_in_the_end(gateway: StartGateway) -> None:
    proxy = gateway()
    client = await proxy.shows(b"bad")
    assert await client.read_all() == b"401"
    for _ in range(4):
        await settle()
        proxy.clock.advance(11)
    await proxy.ended(1)
    await client.send_until_broken()


# Beside other options


@in_reactor
async def test_behind_a_proxy_header_the_token_is_for_the_client_in_it(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway(listen="haproxy:" + LOOPBACK)
    line = sealed(target.remote, c="192.0.2.0/24")
    client = await proxy.connect()
    await client.send(b"PROXY TCP4 192.0.2.9 192.0.2.1 1000 80\r\n" + line + b"\nrest")
    await finish(client, await served(client, target, b"rest"))
    client = await proxy.connect()
    await client.send(b"PROXY TCP4 192.0.3.9 192.0.2.1 1000 80\r\n" + line + b"\nrest")
    assert await told(client) == b"401"


@in_reactor
async def test_a_client_of_a_unix_socket_may_use_what_is_bound_to_no_address(
    gateway: StartGateway, net: Net, tmp_path: Any
) -> None:
    target = net.upstream()
    proxy = gateway(listen=f"unix:{tmp_path}/gateway")
    client = await proxy.shows(sealed(target.remote))
    await finish(client, await served(client, target))
    client = await proxy.shows(sealed(target.remote, c="0.0.0.0/0"))
    assert await told(client) == b"401"


@in_reactor
async def test_over_tls_it_is_the_same(gateway: StartGateway, net: Net, authority: Authority, own: Credentials) -> None:
    target = net.upstream()
    proxy = gateway(listen=own.endpoint)
    client = await net.connect_tls(proxy.address, authority.for_client(), server_name="proxy.example")
    await client.handshake()
    await client.send(old(target.remote) + b"\nrest")
    upstream = await served(client, target, b"rest")
    upstream.finish()
    assert await client.read_all() == b""
    other = await net.connect_tls(proxy.address, authority.for_client(), server_name="proxy.example")
    await other.handshake()
    await other.send(b"bad\n")
    assert await other.read_all() == b"401"


@in_reactor
async def test_send_proxy_tells_the_server_the_clients_address_before_the_rest(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway("--send-proxy", "v1")
    client = await proxy.shows(old(target.remote), b"rest")
    upstream = await target.accept()
    host, port = client.address
    own_port = proxy.address.rpartition(":")[2]
    header = f"PROXY TCP4 {host} 127.0.0.1 {port} {own_port}\r\n".encode()
    assert await upstream.receive(len(header) + 4) == header + b"rest"
    assert await client.receive(3) == b"200"
    await finish(client, upstream)


def both_legs(client: Peer, upstream: Peer) -> list[socket.socket]:
    """The gateway's own two sockets, of which this process has the descriptors."""
    wanted = {(client.peer_address, client.address), (upstream.peer_address, upstream.address)}
    found = []
    names = [name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")]
    for number in [int(name) for name in names if stat.S_ISSOCK(os.fstat(int(name)).st_mode)]:
        copy = socket.socket(fileno=os.dup(number))
        try:
            is_wanted = (copy.getsockname(), copy.getpeername()) in wanted
        except OSError:
            is_wanted = False
        if is_wanted:
            found.append(copy)
        else:
            copy.close()
    assert len(found) == 2
    return found


@pytest.mark.parametrize(
    ("arguments", "idle", "user"),
    [
        ([], 15, 0),
        (["--tcp-keepalive", "7"], 7, 0),
        (["--tcp-user-timeout", "2.5"], 15, 2500),
        (["--tcp-keepalive", "off"], None, 0),
        (["--tcp-keepalive", "off", "--tcp-user-timeout", "60"], None, 60_000),
        (["--reuse", "1"], 15, 0),
    ],
)
@pytest.mark.parametrize("target_host", ["127.0.0.1", "::1"])
@in_reactor
async def test_both_legs_are_watched_for_liveness(
    gateway: StartGateway, net: Net, arguments: list[str], idle: int | None, user: int, target_host: str
) -> None:
    target = net.upstream(target_host)
    proxy = gateway(*arguments)
    client = await proxy.shows(old(target.remote))
    upstream = await served(client, target)
    with open("/proc/sys/net/ipv4/tcp_keepalive_time") as file:
        system_idle = int(file.read())
    for leg in both_legs(client, upstream):
        with leg:
            assert leg.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert leg.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
            assert leg.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == (idle or system_idle)
            if idle is not None:
                assert leg.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == idle
                assert leg.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3
            assert leg.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == user
    await finish(client, upstream)


@in_reactor
async def test_two_that_reuse_a_port_share_it_and_one_that_does_not_is_refused(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    first = gateway("--reuse", "1")
    port = first.address.rpartition(":")[2]
    second = gateway("--reuse", "1", listen=f"tcp:{port}:interface=127.0.0.1")
    assert second.address == first.address
    for _ in range(40):
        client = await first.shows(old(target.remote))
        await finish(client, await served(client, target))
    await until(lambda: len(first.records) + len(second.records) == 40, "all to have ended")


@in_reactor
async def test_a_small_buffer_carries_bulk_too(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway("--buffer", "1024")
    data = noise(3 * MEGABYTE)
    client = await proxy.connect()
    _, upstream = await together(client.send(old(target.remote) + b"\n" + data), target.accept())
    assert await upstream.receive(len(data)) == data
    _, heard = await together(upstream.send(data), client.receive(3 + len(data)))
    assert heard == b"200" + data
    await finish(client, upstream)


@in_reactor
async def test_the_statistics_say_what_became_of_all(gateway: StartGateway, net: Net) -> None:
    target, refusing = net.upstream(), net.upstream(listens=False)
    proxy = gateway()
    for _ in range(3):
        client = await proxy.shows(old(target.remote))
        await finish(client, await served(client, target))
    for line, status in ((b"bad", b"401"), (b"bad", b"401"), (old(refusing.remote), b"502"), (b"x" * 2000, b"400")):
        client = await proxy.shows(line)
        assert await told(client) == status
    client = await proxy.connect()
    await settle()
    client.reset()
    await proxy.ended(8)
    proxy.service.reload()
    told_of = [line for _, line in proxy.lines if line.startswith("statistics: ")]
    assert told_of[:3] == [
        "statistics: good tokens: 4 (old 4)",
        f"statistics: 200: 3 ({target.remote} 3)",
        "statistics: 401: 2 (not base64 2)",
    ]
    assert sorted(told_of[3:]) == [
        "statistics: -: 1 (undecided 1)",
        "statistics: 400: 1 (no line's end within 1024 bytes 1)",
        f"statistics: 502: 1 ({refusing.remote} 1)",
    ]


@in_reactor
async def test_a_reload_takes_new_keys_and_a_bad_file_keeps_the_old(
    gateway: StartGateway, net: Net, tmp_path: Any
) -> None:
    target = net.upstream()
    proxy = gateway()
    new = Keys({"k2": bytes(32)})
    line = new.seal({"t": target.remote, "e": int(time.time()) + 60}, bytes(16)).encode()
    client = await proxy.shows(line)
    assert await told(client) == b"401"
    (tmp_path / "keys").write_text("k2 nonsense\n")
    proxy.service.reload()
    assert any("not reloaded, the old one stays" in error and "line 1" in error for error in proxy.errors)
    client = await proxy.shows(sealed(target.remote))
    await finish(client, await served(client, target))
    (tmp_path / "keys").write_text(f"k2 {base64.b64encode(bytes(32)).decode()}\n")
    proxy.service.reload()
    client = await proxy.shows(line)
    await finish(client, await served(client, target))
    client = await proxy.shows(sealed(target.remote))
    assert await told(client) == b"401"


@in_reactor
async def test_a_stop_cuts_handshakes_and_lets_tunnels_finish(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway("--drain-timeout", "5")
    silent = await proxy.connect()
    client = await proxy.shows(old(target.remote))
    upstream = await served(client, target)
    stopped: list[None] = []
    proxy.service.stopService().addCallback(stopped.append)
    await settle()
    await client.send(b"still here")
    assert await upstream.receive(10) == b"still here"
    await finish(client, upstream)
    assert stopped == []
    proxy.clock.advance(5)
    assert await silent.read_all() == b""
    silent.close()
    await until(lambda: stopped, "the stop")
    assert sorted(record.outcome for record in proxy.records) == ["completed", "drained"]
