"""TLS listeners with certificates of our own: ``tls:PATH:ENDPOINT``."""

from __future__ import annotations

import hashlib
import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from proxymux import Client, Reject
from proxymux.errors import ConfigError
from proxymux.net.tls.ticket_keys import takes_ticket_keys
from tests.services.certificates import Authority, Credentials
from tests.services.fixtures import LOOPBACK, Running, Start
from tests.services.peers import Net, TlsPeer, in_reactor, settle
from tests.services.tls import NAME, tls_client

#: The proxy trusts the authority alone.
pytestmark = pytest.mark.usefixtures("trust")


@pytest.fixture(params=["fd", "transport"])
def relay(request: pytest.FixtureRequest) -> str:
    """Every relay has to pass these tests."""
    return str(request.param)


def listen(credentials: Credentials, endpoint: str = LOOPBACK) -> str:
    return f"tls:{credentials.file}:{endpoint}"


async def shown_to(net: Net, proxy: Running, authority: Authority, name: str) -> list[str]:
    """The names in the certificate that a client is shown which asks for ``name``."""
    context = authority.for_client()
    context.check_hostname = False
    client = await net.connect_tls(proxy.address, context, server_name=name)
    await client.handshake()
    certificate = x509.load_der_x509_certificate(client._socket.getpeercert(True) or b"")
    client.close()
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName)


@in_reactor
async def test_the_router_is_told_all_of_the_handshake(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    seen: list[Client] = []

    def proxy(data: bytes, client: Client) -> Any:
        seen.append(client)
        return Reject(b"seen")

    theirs = authority.issue("alice.example", "127.0.0.1")
    running = start(proxy, listen=listen(own), tls_client_ca=str(authority.file), tls_alpn="h2,http/1.1")
    context = authority.for_client(theirs, alpn=("http/1.1", "h2"))
    client = await net.connect_tls(running.address, context, server_name=NAME)
    await client.handshake()
    await client.send(b"hello")
    assert await client.read_all() == b"seen"
    cipher = client._socket.cipher()
    client.close()
    record = await running.record()
    assert record.tls == {
        "version": "TLSv1.3",
        "cipher": "" if cipher is None else cipher[0],
        "server_name": NAME,
        "alpn": "h2",
        "subject": "CN=alice.example",
    }
    tls = seen[0].tls
    assert tls is not None
    assert tls.peer is not None
    assert (tls.server_name, tls.alpn, tls.version) == (NAME, "h2", "TLSv1.3")
    assert cipher is not None
    assert tls.cipher == cipher[0]
    assert (tls.peer.subject, tls.peer.issuer) == ("CN=alice.example", "CN=authority")
    assert tls.peer.sans == ("DNS:alice.example", "IP:127.0.0.1")
    [certificate] = x509.load_pem_x509_certificates(theirs.file.read_bytes())
    assert tls.certificate == certificate


@in_reactor
async def test_the_name_picks_the_certificate_of_a_folder(
    start: Start, net: Net, authority: Authority, tmp_path: Path
) -> None:
    for name in ("a.example", "b.example"):
        shutil.copy(authority.issue(name).file, tmp_path / f"{name}.pem")
    proxy = start(lambda data: None, listen=f"tls:{tmp_path}:{LOOPBACK}")
    assert await shown_to(net, proxy, authority, "b.example") == ["b.example"]
    assert await shown_to(net, proxy, authority, "other.example") == ["a.example"]


@in_reactor
async def test_a_changed_file_is_in_force_within_five_seconds_and_a_broken_one_is_one_line(
    start: Start, net: Net, authority: Authority, tmp_path: Path
) -> None:
    file = tmp_path / "server.pem"
    shutil.copy(authority.issue("old.example").file, file)
    proxy = start(lambda data: None, listen=f"tls:{file}:{LOOPBACK}")
    file.write_text("rubbish")
    for _ in range(4):
        proxy.clock.advance(2.5)
    [error] = proxy.errors
    assert error == f"not reloaded, the old certificate stays: {file}: there is no certificate in PEM form"
    assert await shown_to(net, proxy, authority, "any.example") == ["old.example"]
    shutil.copy(authority.issue("new.example").file, file)
    proxy.clock.advance(5)
    assert await shown_to(net, proxy, authority, "any.example") == ["new.example"]
    assert len([line for _, line in proxy.lines if "read the certificates" in line]) == 1


@pytest.mark.parametrize("kind", ["tls", "ssl"])
@in_reactor
async def test_hup_reads_the_certificate_again(
    start: Start, net: Net, authority: Authority, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "server.pem"
    shutil.copy(authority.issue("old.example").file, file)
    endpoint = f"tls:{file}:{LOOPBACK}" if kind == "tls" else f"ssl:0:interface=127.0.0.1:privateKey={file}"
    proxy = start(lambda data: None, listen=endpoint)
    assert await shown_to(net, proxy, authority, "any.example") == ["old.example"]
    shutil.copy(authority.issue("new.example").file, file)
    proxy.service.reload()
    assert await shown_to(net, proxy, authority, "any.example") == ["new.example"]
    file.write_text("rubbish")
    proxy.service.reload()
    [error] = proxy.errors
    assert "the old certificate stays" in error
    assert await shown_to(net, proxy, authority, "any.example") == ["new.example"]


@pytest.mark.parametrize("kind", ["tls", "ssl", "of another process"])
@in_reactor
async def test_a_session_is_resumed(start: Start, net: Net, authority: Authority, own: Credentials, kind: str) -> None:
    endpoint = own.endpoint if kind == "ssl" else listen(own)
    proxies = [start(lambda data: Reject(b"seen"), listen=endpoint)]
    if kind == "of another process":
        if not takes_ticket_keys():
            pytest.skip("this build of cryptography takes no keys of tickets")
        proxies.append(start(lambda data: Reject(b"seen"), listen=endpoint))
        proxies[1].service.tickets.share(proxies[0].service.tickets.shared)
    context = authority.for_client()

    async def connect(session: ssl.SSLSession | None) -> TlsPeer:
        proxy = proxies[0 if session is None else -1]
        client = await net.connect_tls(proxy.address, context, server_name=NAME)
        if session is not None:
            client._socket.session = session
        await client.handshake()
        await client.send(b"hello")
        assert await client.read_all() == b"seen"
        return client

    first = await connect(None)
    second = await connect(first._socket.session)
    assert (first._socket.session_reused, second._socket.session_reused) == (False, True)


@in_reactor
async def test_the_proxy_header_comes_before_tls(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote}, listen=f"haproxy:{listen(own)}")
    header = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n"
    client = await net.connect_tls(proxy.address, authority.for_client(), server_name=NAME, first=header)
    await client.handshake()
    await client.send(b"hello")
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    client.close()
    upstream.close()
    record = await proxy.record()
    assert record.client == "192.0.2.7:4711"


@in_reactor
async def test_tls_on_a_unix_socket(
    start: Start, net: Net, authority: Authority, own: Credentials, tmp_path: Path
) -> None:
    proxy = start(lambda data: Reject(b"seen"), listen=listen(own, f"unix:{tmp_path / 'socket'}"))
    client = await tls_client(net, proxy, authority)
    await client.send(b"hello")
    assert await client.read_all() == b"seen"


@pytest.mark.parametrize(
    ("allowed", "is_in"),
    [
        (["alice.example"], True),
        (["bob", "DNS:web.example"], True),
        (["web.example"], True),
        (["URI:spiffe://cluster/ns/web"], True),
        (["spiffe://cluster/ns/web"], True),
        (["digest"], True),
        (["bob", "alice", "example", "DNS:alice.example"], False),
    ],
)
@in_reactor
async def test_only_the_allowed_certificates_come_in(
    start: Start, net: Net, authority: Authority, own: Credentials, allowed: list[str], is_in: bool
) -> None:
    theirs = authority.issue_with(
        "alice.example", x509.DNSName("web.example"), x509.UniformResourceIdentifier("spiffe://cluster/ns/web")
    )
    if allowed == ["digest"]:
        der = ssl.PEM_cert_to_DER_cert(theirs.file.read_text()[theirs.file.read_text().index("-----BEGIN CERT") :])
        allowed = [":".join(f"{byte:02X}" for byte in hashlib.sha256(der).digest())]
    running = start(
        lambda data: Reject(b"seen"), listen=listen(own), tls_client_ca=str(authority.file), tls_allow=allowed
    )
    client = await net.connect_tls(running.address, authority.for_client(theirs), server_name=NAME)
    await client.handshake()
    await client.send(b"hello")
    assert await client.read_all() == (b"seen" if is_in else b"")
    client.close()
    record = await running.record()
    assert record.outcome == ("rejected" if is_in else "refused")


@in_reactor
async def test_a_client_without_a_certificate_is_a_bad_handshake(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    proxy = start(lambda data: Reject(b"seen"), listen=listen(own), tls_client_ca=str(authority.file))
    client = await net.connect_tls(proxy.address, authority.for_client(), server_name=NAME)
    assert await client.hear() == b""
    record = await proxy.record()
    assert (record.outcome, record.reason) == ("bad_handshake", "TLS: the peer sends no certificate")


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b""])
@in_reactor
async def test_what_is_no_handshake(start: Start, own: Credentials, sent: bytes) -> None:
    proxy = start(lambda data: Reject(b"seen"), listen=listen(own))
    client = await proxy.connect()
    await client.send(sent)
    await settle()
    client.finish()
    assert b"seen" not in await client.read_all()
    assert (await proxy.record()).outcome == "bad_handshake"


@pytest.mark.parametrize(
    ("description", "problem"),
    [
        ("tls:{path}", "it has no path or no endpoint"),
        ("tls::tcp:0", "it has no path or no endpoint"),
        ("tls:{path}:haproxy:tcp:0", "haproxy: has to stand before tls:"),
        ("tls:{path}:tls:{path}:tcp:0", "tls: stands there twice"),
        ("tls:{path}:ssl:0", "ssl: is TLS itself"),
        ("tls:/nonexistent.pem:tcp:0", "/nonexistent.pem: No such file or directory"),
    ],
)
def test_a_mistake_is_one_line(start: Start, own: Credentials, description: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        start(lambda data: None, listen=description.format(path=own.file))
    assert str(caught.value).startswith("--listen: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("description", "settings", "problem"),
    [
        ("tls:{path}:tcp:0", {"tls_allow": "alice"}, "--tls-allow: no client is asked for its certificate"),
        ("tls:{path}:tcp:0", {"tls_crl": "{path}"}, "--tls-crl: no client is asked for its certificate"),
        ("ssl:0:privateKey={path}", {"tls_client_ca": "{path}"}, "--tls-client-ca: .*ssl: demands no certificate"),
    ],
)
def test_what_would_not_be_asked_of_clients_is_refused(
    start: Start, own: Credentials, description: str, settings: dict[str, str], problem: str
) -> None:
    given: dict[str, Any] = {name: value.format(path=own.file) for name, value in settings.items()}
    with pytest.raises(ConfigError, match=f"^{problem}"):
        start(lambda data: None, listen=description.format(path=own.file), **given)


def test_an_empty_folder_is_a_mistake_of_the_listener(start: Start, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--listen: .*: there is no \*\.pem file"):
        start(lambda data: None, listen=f"tls:{tmp_path}:tcp:0")
