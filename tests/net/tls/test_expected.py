"""The upstream that is expected: who is not it gets neither our Finished nor our certificate."""

from __future__ import annotations

import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from proxymux.core.upstream_tls import UpstreamTls
from proxymux.net.tls.client import ClientContexts
from proxymux.net.tls.expected import AnyExpected, Expected
from proxymux.net.tls.rules import ClientRules
from tests.net.tls.memory import MemoryClient
from tests.services.certificates import Authority, Credentials

NAME = "upstream.example"


def digest_of(credentials: Credentials) -> str:
    return x509.load_pem_x509_certificate(credentials.file.read_bytes()).fingerprint(hashes.SHA256()).hex()


@pytest.fixture
def contexts(authority: Authority) -> ClientContexts:
    return ClientContexts(ClientRules(ca=str(authority.file), cert=str(authority.issue("proxy.example").file)))


def meet(contexts: ClientContexts, authority: Authority, theirs: Credentials, pin: str | None) -> MemoryClient:
    """A server that asks for a certificate, before it has answered the hello."""
    server = theirs.for_server()
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(authority.file)
    engine = contexts.engine(UpstreamTls(pin=pin), Expected(NAME, pin))
    peer = MemoryClient(engine, server, None, is_server=True)
    peer._turn()
    return peer


@pytest.mark.parametrize("is_pinned", [False, True])
def test_one_that_is_not_it_is_refused_in_the_handshake_and_sees_no_certificate_of_ours(
    contexts: ClientContexts, authority: Authority, is_pinned: bool
) -> None:
    expected = digest_of(authority.issue(NAME)) if is_pinned else None
    peer = meet(contexts, authority, authority.issue("other.example"), expected)
    with pytest.raises(ssl.SSLError, match=r"(?i)bad.certificate"):
        peer.shake_hands()
    assert not peer.engine.is_secured
    found = peer.engine.connection.get_app_data().problem
    assert found is not None
    assert ("is not the pinned one" if is_pinned else "it names other.example") in found


def test_a_pinned_one_needs_no_authority_and_no_name(
    contexts: ClientContexts, authority: Authority, stranger: Authority
) -> None:
    theirs = stranger.issue("other.example")
    peer = meet(contexts, authority, theirs, digest_of(theirs))
    peer.shake_hands()
    assert peer.engine.is_secured
    assert peer.engine.connection.get_app_data().problem is None


def test_one_of_a_stranger_is_refused_for_that(
    contexts: ClientContexts, authority: Authority, stranger: Authority
) -> None:
    peer = meet(contexts, authority, stranger.issue("other.example"), None)
    with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"):
        peer.shake_hands()
    assert "its issuer is not known" in str(peer.problem)


def test_nothing_shown_is_a_problem() -> None:
    expected = Expected(NAME, None)
    expected.check(None)
    assert expected.problem == "there is no certificate"


def test_anyone_may_show_anything_or_nothing(
    contexts: ClientContexts, authority: Authority, stranger: Authority
) -> None:
    for theirs in (stranger.issue("other.example"), authority.issue_expired(NAME)):
        peer = MemoryClient(
            contexts.engine(UpstreamTls(), AnyExpected(NAME)), theirs.for_server(), None, is_server=True
        )
        peer.shake_hands()
        assert peer.engine.is_secured
    nobody = AnyExpected(NAME)
    nobody.check(None)
    assert (nobody.is_checked, nobody.problem) == (True, None)
