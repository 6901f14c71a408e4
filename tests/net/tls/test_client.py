"""The contexts of TLS to upstreams."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path

import pytest

from proxymux.core.upstream_tls import UpstreamTls
from proxymux.errors import BadCertificate
from proxymux.net.tls.client import ClientContexts
from proxymux.net.tls.expected import Expected
from proxymux.net.tls.rules import ClientRules
from tests.net.tls.memory import MemoryClient
from tests.services.certificates import Authority, Credentials


def serve(contexts: ClientContexts, server: ssl.SSLContext, tls: UpstreamTls | None = None) -> MemoryClient:
    """A server in memory that our engine connects to."""
    engine = contexts.engine(tls or UpstreamTls(), Expected("upstream.example", tls.pin if tls else None))
    peer = MemoryClient(engine, server, None, is_server=True)
    peer._turn()
    peer.shake_hands()
    return peer


@pytest.fixture
def theirs(authority: Authority) -> Credentials:
    return authority.issue("upstream.example")


def test_the_authorities_of_the_settings_and_of_the_decision(
    authority: Authority, stranger: Authority, theirs: Credentials
) -> None:
    known = ClientContexts(ClientRules(ca=str(authority.file)))
    assert serve(known, theirs.for_server()).engine.is_secured
    unknown = ClientContexts(ClientRules(ca=str(stranger.file)))
    with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"):
        serve(unknown, theirs.for_server())
    assert serve(unknown, theirs.for_server(), UpstreamTls(ca=str(authority.file))).engine.is_secured


def test_the_certificate_that_is_shown(authority: Authority, theirs: Credentials) -> None:
    server = theirs.for_server()
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(authority.file)
    contexts = ClientContexts(ClientRules(ca=str(authority.file), cert=str(authority.issue("proxy.example").file)))
    certificate = serve(contexts, server).tls.getpeercert()
    assert certificate is not None
    assert ("DNS", "proxy.example") in certificate["subjectAltName"]
    other = UpstreamTls(cert=str(authority.issue("other.example").file))
    certificate = serve(contexts, server, other).tls.getpeercert()
    assert certificate is not None
    assert ("DNS", "other.example") in certificate["subjectAltName"]


def test_the_protocols_that_are_offered(authority: Authority, theirs: Credentials) -> None:
    contexts = ClientContexts(ClientRules(ca=str(authority.file)))
    server = theirs.for_server(alpn=("http/1.1", "h2"))
    peer = serve(contexts, server, UpstreamTls(alpn=("h2", "http/1.1")))
    assert peer.tls.selected_alpn_protocol() == "http/1.1"
    assert peer.engine.connection.get_alpn_proto_negotiated() == b"http/1.1"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed_after_the_connection_is_over(
    authority: Authority, theirs: Credentials, version: ssl.TLSVersion
) -> None:
    contexts = ClientContexts(ClientRules(ca=str(authority.file)))
    server = theirs.for_server()
    server.maximum_version = version

    def connect() -> bool:
        peer = serve(contexts, server)
        peer.send(b"hello")
        assert peer.received == b"hello"
        peer.engine.release()
        return bool(peer.tls.session_reused)

    assert [connect() for _ in range(3)] == [False, True, True]
    contexts.reload()
    assert not connect()


def test_a_session_is_not_resumed_for_another_decision(authority: Authority, theirs: Credentials) -> None:
    contexts = ClientContexts(ClientRules(ca=str(authority.file)))
    server = theirs.for_server()
    first = serve(contexts, server)
    first.send(b"hello")
    first.engine.release()
    assert not serve(contexts, server, UpstreamTls(alpn=("h2",))).tls.session_reused


def test_files_that_cannot_be_used(authority: Authority, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    for rules in (ClientRules(ca=str(empty)), ClientRules(cert=str(authority.file)), ClientRules(ca="/nonexistent")):
        with pytest.raises(BadCertificate):
            ClientContexts(rules).check(UpstreamTls())


def test_of_a_file_that_is_broken_what_it_held_before_stays(
    authority: Authority, theirs: Credentials, tmp_path: Path
) -> None:
    ca, cert, password = tmp_path / "ca.pem", tmp_path / "cert.pem", tmp_path / "password"
    shutil.copy(authority.file, ca)
    cert.write_bytes(authority.issue("old.example").encrypted(b"one"))
    password.write_bytes(b"one")
    contexts = ClientContexts(ClientRules(ca=str(ca), cert=str(cert), password_file=str(password)))
    server = theirs.for_server()
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(authority.file)

    def shown() -> object:
        certificate = serve(contexts, server).tls.getpeercert()
        assert certificate is not None
        return certificate["subjectAltName"]

    def look() -> list[str] | None:
        return contexts.reload() if contexts.have_changed() else None

    assert shown() == (("DNS", "old.example"),)
    assert [look() for _ in range(3)] == [[], [], None]
    cert.write_bytes(authority.issue("new.example").encrypted(b"two"))
    problem = f"{cert}: the private key cannot be read, or its password is wrong"
    assert [look() for _ in range(3)] == [[problem], [problem], None]
    assert shown() == (("DNS", "old.example"),)
    password.write_bytes(b"two")
    assert [look() for _ in range(3)] == [[], [], None]
    assert shown() == (("DNS", "new.example"),)
