"""Refusals: 400 and 401, to the byte, and that the status always arrives."""

from __future__ import annotations

import os
import re
from typing import Any, Final

import pytest

from proxymux.core.token.legacy import seal_legacy
from tests.gateway.conftest import SECRET, StartGateway, blocks, finish, old, sealed, served, told
from tests.services.peers import MEGABYTE, Net, in_reactor, noise, settle

WRONG: Final = "401 wrong secret or digest, damaged, or what it holds is not host:port"


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
