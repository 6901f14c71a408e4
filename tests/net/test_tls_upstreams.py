"""TLS, on the side of the upstream."""

from __future__ import annotations

import contextlib
import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from proxymux import Forward
from tests.services.certificates import Authority, Credentials
from tests.services.fixtures import Callback, Running, Start
from tests.services.peers import MEGABYTE, Net, Peer, in_reactor, noise, settle, together, until
from tests.services.tls import tls_upstream

#: The proxy trusts the authority alone.
pytestmark = pytest.mark.usefixtures("trust")


PLAIN = {"none, but plain text": b"220 welcome\r\n", "none, but HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n"}


async def asks(proxy: Running, data: bytes = b"hello") -> Peer:
    """A client in the clear that has sent ``data``."""
    client = await proxy.connect()
    await client.send(data)
    return client


@in_reactor
async def test_tls_to_an_upstream_by_its_address(start: Start, net: Net, upstreams_own: Credentials) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True})
    client = await asks(proxy)
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"
    upstream.finish()
    assert await client.read_all() == b""
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 5, 7)


@pytest.mark.parametrize(("host", "tls_key"), [("upstream.example", True), ("127.0.0.1", "upstream.example")])
@in_reactor
async def test_tls_to_an_upstream_by_its_name(
    start: Start, net: Net, upstreams_own: Credentials, host: str, tls_key: Any
) -> None:
    target = net.upstream()
    names: list[str] = []
    context = upstreams_own.for_server()
    context.sni_callback = lambda connection, name, context: names.append(name)
    proxy = start(lambda data: {"remote": f"{host}:{target.port}", "tls": tls_key})
    proxy.names.addresses["upstream.example"] = [["127.0.0.1"]]
    client = await asks(proxy)
    upstream = net.secure(await target.accept(), context)
    await upstream.handshake()
    assert await upstream.receive(5) == b"hello"
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"
    assert names == ["upstream.example"]


@in_reactor
async def test_a_tls_upstream_on_a_unix_socket(
    start: Start, net: Net, upstreams_own: Credentials, tmp_path: Path
) -> None:
    target = net.upstream(str(tmp_path / "upstream"))
    proxy = start(lambda data: {"remote": target.remote, "tls": "upstream.example"})
    client = await asks(proxy)
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"


@in_reactor
async def test_tls_true_has_nothing_to_verify_on_a_unix_socket(start: Start, net: Net, tmp_path: Path) -> None:
    target = net.upstream(str(tmp_path / "upstream"))
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote, "tls": True}, connect_error=failed)
    client = await asks(proxy)
    assert await client.read_all() == b"sorry"
    client.close()
    assert (await proxy.record()).outcome == "unreachable"
    assert failed.remotes == [target.remote]


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [
        ("of another name", "the certificate is not one for upstream.example; it names other.example"),
        ("of a stranger", "the peer's certificate is not accepted: its issuer is not known"),
        ("expired", "the peer's certificate is not accepted: it has expired"),
        ("none, but plain text", "what the peer sends is not TLS"),
        ("none, but HTTP", "what the peer sends is not TLS"),
        ("none, but an end", "the peer closed the connection in the handshake"),
        ("none, but a reset", "the peer closed the connection in the handshake"),
    ],
)
@pytest.mark.parametrize("relay", ["fd", "transport"])
@in_reactor
async def test_an_upstream_with_a_bad_certificate_is_unreachable_and_is_sent_nothing(
    start: Start, net: Net, authority: Authority, stranger: Authority, flaw: str, reason: str, relay: str
) -> None:
    target = net.upstream()
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote, "tls": "upstream.example"}, connect_error=failed)
    client = await asks(proxy)
    plain = await target.accept()
    if flaw in PLAIN:
        await plain.send(PLAIN[flaw])
        assert b"hello" not in await plain.read_all()
    elif flaw == "none, but an end":
        plain.close()
    elif flaw == "none, but a reset":
        plain.reset()
    else:
        bad = {
            "of another name": lambda: authority.issue("other.example"),
            "of a stranger": lambda: stranger.issue("upstream.example"),
            "expired": lambda: authority.issue_expired("upstream.example"),
        }[flaw]()
        with pytest.raises(ssl.SSLError, match=r"(?i)alert (bad certificate|unknown ca|certificate expired)"):
            await net.secure(plain, bad.for_server()).handshake()
    assert await client.read_all() == b"sorry"
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.connect_seconds) == ("unreachable", None)
    assert record.reason == f"{target.remote}: TLS: {reason}"
    assert failed.remotes == [target.remote]
    proxy.clock.advance(1)
    assert await target.is_left_alone()  # to try again would not change the certificate


@pytest.mark.parametrize(
    ("names", "server_name"),
    [
        pytest.param([], "upstream.example", id="none, for a name"),
        pytest.param([], True, id="none, for an address"),
        pytest.param([x509.RFC822Name("upstream@upstream.example")], "upstream.example", id="an e-mail address"),
        pytest.param([x509.DNSName("*.example")], "a.good.example", id="a wildcard of too few components"),
        pytest.param([x509.DNSName("127.0.0.1")], True, id="an address as a host name"),
    ],
)
@in_reactor
async def test_a_certificate_without_the_name_is_refused_whatever_names_it_has(
    start: Start, net: Net, authority: Authority, names: list[x509.GeneralName], server_name: str | bool
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": server_name}, connect_error=Callback(b"sorry"))
    client = await asks(proxy)
    certificate = authority.issue_with("127.0.0.1" if server_name is True else "upstream.example", *names)
    assert await net.secure(await target.accept(), certificate.for_server()).hear() == b""
    assert await client.read_all() == b"sorry"
    client.close()
    assert (await proxy.record()).outcome == "unreachable"


@in_reactor
async def test_a_name_with_the_dot_of_the_root_is_the_same_name(
    start: Start, net: Net, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": "upstream.example."})
    client = await asks(proxy)
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    upstream.finish()
    assert await client.read_all() == b""
    client.close()


@pytest.mark.parametrize("version", ["v1", "v2"])
@in_reactor
async def test_send_proxy_comes_before_tls(start: Start, net: Net, upstreams_own: Credentials, version: str) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True, "send_proxy": version})
    client = await asks(proxy)
    plain = await target.accept()
    if version == "v1":
        port = proxy.address.rpartition(":")[2]
        header = f"PROXY TCP4 127.0.0.1 127.0.0.1 {client.address[1]} {port}\r\n".encode()
        assert await plain.receive(len(header)) == header
    else:
        assert (await plain.receive(28)).startswith(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01")
    upstream = net.secure(plain, upstreams_own.for_server())
    await upstream.handshake()
    assert await upstream.receive(5) == b"hello"


@pytest.mark.parametrize("flaw", ["of another name", "of a stranger"])
@in_reactor
async def test_after_a_target_with_a_bad_certificate_the_next_is_tried(
    start: Start, net: Net, authority: Authority, stranger: Authority, upstreams_own: Credentials, flaw: str
) -> None:
    bad, good = net.upstream(), net.upstream()
    flawed = authority.issue("other.example") if flaw == "of another name" else stranger.issue("upstream.example")
    proxy = start(lambda data: Forward([bad.remote, good.remote], tls="upstream.example"))
    client = await asks(proxy)
    bad_upstream = net.secure(await bad.accept(), flawed.for_server())
    assert await bad_upstream.hear() == b""
    upstream = await tls_upstream(net, good, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"


@in_reactor
async def test_a_tls_upstream_that_comes_up_between_retries(start: Start, net: Net, upstreams_own: Credentials) -> None:
    target = net.upstream(listens=False)
    proxy = start(lambda data: {"remote": target.remote, "tls": True})
    await asks(proxy)
    await proxy.has_failed(1)
    target.listen()
    proxy.clock.advance(0.1)
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"


@in_reactor
async def test_the_handshake_is_part_of_the_connect_timeout(start: Start, net: Net) -> None:
    target = net.upstream()
    failed = Callback(b"sorry")
    proxy = start(
        lambda data: {"remote": target.remote, "tls": True, "connect_timeout": 2, "retries": 0}, connect_error=failed
    )
    client = await asks(proxy)
    upstream = await target.accept()
    await settle()
    proxy.clock.advance(1.9)
    await settle()
    assert not client.has_something()
    proxy.clock.advance(0.1)
    assert await client.read_all() == b"sorry"
    client.close()
    assert (await proxy.record()).outcome == "connect_timeout"
    assert b"hello" not in await upstream.read_until_reset()


@in_reactor
async def test_a_client_that_resets_during_the_upstreams_handshake_ends_it(start: Start, net: Net) -> None:
    target = net.upstream()
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote, "tls": True}, connect_error=failed)
    client = await asks(proxy)
    upstream = await target.accept()
    await settle()
    client.reset()
    await upstream.read_until_reset()
    assert (await proxy.record()).outcome == "client_aborted"
    proxy.clock.advance(1)
    assert await target.is_left_alone()
    assert failed.remotes == []


@in_reactor
async def test_of_a_client_that_resets_with_a_full_buffer_during_the_handshake_nothing_is_sent(
    start: Start, net: Net
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True}, max_buffer=1000)
    client = await asks(proxy)
    plain = await target.accept()
    await client.send(noise(5000))
    await settle()
    client.reset()
    handshake = await plain.read_until_reset()
    assert noise(5000)[:4] not in handshake
    assert (await proxy.record()).outcome == "client_aborted"


@in_reactor
async def test_what_a_tls_upstream_says_right_after_its_handshake_arrives(
    start: Start, net: Net, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True})
    client = await asks(proxy)
    upstream = await tls_upstream(net, target, upstreams_own)
    await upstream.send(b"welcome")
    upstream.finish()
    assert await client.read_all() == b"welcome"
    client.close()
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_a_client_has_5_mb_and_the_end_when_a_tls_upstream_ends(
    start: Start, net: Net, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True})
    client = await asks(proxy)
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    answer = noise(5 * MEGABYTE)

    async def answer_and_end() -> None:
        await upstream.send(answer)
        upstream.finish()

    _, received = await together(answer_and_end(), client.read_all())
    assert received == answer
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.bytes_out) == ("completed", len(answer))


@in_reactor
async def test_a_slow_client_has_5_mb_and_the_end_when_a_tls_upstream_ends_early(
    start: Start, net: Net, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True})
    client = await proxy.connect(receive_buffer=4096)
    await client.send(b"hello")
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    answer = noise(5 * MEGABYTE)
    taken = await upstream.send_until_stalled(answer)

    async def answer_and_end() -> None:
        await upstream.send(answer[taken:])
        upstream.finish()

    _, received = await together(answer_and_end(), client.read_all())
    assert received == answer


@in_reactor
async def test_a_client_has_everything_that_a_tls_upstream_has_sent_before_it_was_cut_off(
    start: Start, net: Net, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True})
    client = await asks(proxy)
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    answer = noise(100_000)
    await upstream.send(answer)
    upstream.cut()
    assert await client.receive(len(answer)) == answer
    proxy.clock.advance(10)
    await until(client.has_something, "an end")
    client.close()
    await proxy.record()


@in_reactor
async def test_a_half_closed_client_is_answered_by_a_tls_upstream(
    start: Start, net: Net, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True})
    client = await asks(proxy)
    client.finish()
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    await settle()
    answer = noise(2 * MEGABYTE)

    async def answer_and_end() -> None:
        await upstream.send(answer)
        upstream.finish()

    _, received = await together(answer_and_end(), client.read_all())
    assert received == answer
    record = await proxy.record()
    assert (record.outcome, record.bytes_out) == ("completed", len(answer))


@in_reactor
async def test_a_tls_upstream_that_ends_before_its_first_byte_is_a_failed_connect(
    start: Start, net: Net, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote, "tls": True}, connect_error=failed)
    client = await asks(proxy)
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    upstream.finish()
    assert await client.read_all() == b"sorry"
    client.close()
    assert (await proxy.record()).outcome == "upstream_aborted"
    assert failed.remotes == [target.remote]


@in_reactor
async def test_a_client_that_resets_cuts_a_tls_upstream_off(start: Start, net: Net, upstreams_own: Credentials) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True})
    client = await asks(proxy)
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    client.reset()
    assert await upstream.read_until_cut() == b""
    assert (await proxy.record()).outcome == "client_aborted"


@in_reactor
async def test_a_tls_upstream_that_does_not_answer_our_close_is_cut_off(
    start: Start, net: Net, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True, "inactivity_timeout": 2})
    client = await asks(proxy)
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    proxy.clock.advance(2)
    assert await client.read_all() == b""
    client.close()
    assert (await proxy.record()).outcome == "inactive"
    assert await upstream.read_all() == b""  # its close_notify, which stays unanswered
    proxy.clock.advance(10)
    await settle()
    await upstream.send_until_broken()


@pytest.mark.parametrize("is_right", [True, False])
@in_reactor
async def test_a_pinned_certificate_needs_no_name_and_no_authority(
    start: Start, net: Net, stranger: Authority, is_right: bool
) -> None:
    target = net.upstream()
    pinned, other = stranger.issue("a.example"), stranger.issue("b.example")
    [certificate] = x509.load_pem_x509_certificates((pinned if is_right else other).file.read_bytes())
    pin = certificate.fingerprint(hashes.SHA256()).hex()
    proxy = start(lambda data: {"remote": target.remote, "tls": {"pin": pin}}, connect_error=Callback(b"sorry"))
    client = await asks(proxy)
    upstream = net.secure(await target.accept(), pinned.for_server())
    if is_right:
        await upstream.handshake()
        assert await upstream.receive(5) == b"hello"
    else:
        assert await upstream.hear() == b""
        assert await client.read_all() == b"sorry"
        client.close()
        assert (await proxy.record()).outcome == "unreachable"


@in_reactor
async def test_a_file_that_is_missing_is_unreachable_and_named(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": {"ca": "/nonexistent.pem"}})
    client = await asks(proxy)
    assert await client.read_all() == b""
    client.close()
    record = await proxy.record()
    assert record.outcome == "unreachable"
    assert "/nonexistent.pem: No such file or directory" in (record.reason or "")


@in_reactor
async def test_a_file_for_upstreams_that_is_broken_is_one_line_and_what_it_held_is_used(
    start: Start, net: Net, authority: Authority, upstreams_own: Credentials, tmp_path: Path
) -> None:
    target = net.upstream()
    file = tmp_path / "ca.pem"
    shutil.copy(authority.file, file)
    proxy = start(lambda data: {"remote": target.remote, "tls": {"name": "upstream.example", "ca": str(file)}})

    async def is_served() -> None:
        await asks(proxy)
        upstream = await tls_upstream(net, target, upstreams_own)
        assert await upstream.receive(5) == b"hello"

    await is_served()
    file.write_text("rubbish")
    for _ in range(4):
        proxy.clock.advance(2.5)
    problem = f"not reloaded, the old certificate stays: {file}: there is no certificate in PEM form"
    assert proxy.errors == [problem]
    await is_served()
    proxy.service.reload()
    assert proxy.errors == [problem, problem]
    await is_served()


# Clusters


@in_reactor
async def test_tls_to_the_members_of_a_cluster_is_the_cluster_s(
    start: Start, net: Net, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": "users"}, cluster=[f"users={target.remote};tls=upstream.example"])
    client = await asks(proxy)
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"


@in_reactor
async def test_a_member_with_a_certificate_of_another_name_has_failed(
    start: Start, net: Net, authority: Authority
) -> None:
    target = net.upstream()
    cluster = [f"users={target.remote};tls=upstream.example;fall=1"]
    proxy = start(lambda data: {"remote": "users"}, cluster=cluster)
    client = await asks(proxy)
    upstream = net.secure(await target.accept(), authority.issue("other.example").for_server())
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        await upstream.handshake()
    assert await client.read_all() == b""
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.target) == ("unreachable", target.remote)
    [member] = proxy.service.clusters.show()["users"]
    assert (member["up"], member["connections"]) == (False, 0)
