"""The names in certificates, as routers and logs have them."""

from __future__ import annotations

import hashlib
import ipaddress
import ssl

import pytest
from cryptography import x509

from proxymux.net.tls.names import is_address, peer_of, without_root
from tests.services.certificates import Authority


@pytest.mark.parametrize("text", ["192.0.2.1", "::1", "fe80::1%eth0", ""])
def test_no_host_name(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize("text", ["a.example", "localhost", "1.example", "192.0.2.1.example"])
def test_a_host_name(text: str) -> None:
    assert not is_address(text)


def test_the_dot_of_the_root_is_left_out() -> None:
    assert [without_root(name) for name in ("a.example.", "a.example", ".")] == ["a.example", "a.example", ""]


def test_what_a_certificate_says(authority: Authority) -> None:
    pem = authority.issue_with(
        "alice",
        x509.DNSName("a.example"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.UniformResourceIdentifier("spiffe://cluster/ns/web"),
        x509.RFC822Name("a@example"),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
    ).file.read_text()
    certificate = x509.load_pem_x509_certificate(pem.encode())
    peer = peer_of(certificate)
    assert (peer.subject, peer.common_name, peer.issuer) == ("CN=alice", "alice", "CN=authority")
    assert peer.sans == ("DNS:a.example", "IP:127.0.0.1", "URI:spiffe://cluster/ns/web", "email:a@example")
    der = ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN CERTIFICATE") :])
    assert peer.sha256 == hashlib.sha256(der).hexdigest()


def test_a_certificate_without_alternative_names_has_none(authority: Authority) -> None:
    pem = authority.issue_with("alice").file.read_bytes()
    assert peer_of(x509.load_pem_x509_certificate(pem)).sans == ()
