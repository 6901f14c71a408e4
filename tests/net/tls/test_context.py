"""What the contexts of both sides of TLS have in common."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from proxymux.core.upstream_tls import UpstreamTls
from proxymux.errors import BadCertificate
from proxymux.net.tls.client import ClientContexts
from proxymux.net.tls.rules import ClientRules, ServerRules
from proxymux.net.tls.server import ServerContexts


@pytest.fixture
def weak(tmp_path: Path) -> str:
    """A file with a key that is sound, and too short for OpenSSL's default security level."""
    key = rsa.generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "weak.example")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    file = tmp_path / "weak.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    return str(file)


def test_a_pair_that_openssl_refuses_is_named_on_both_sides(weak: str) -> None:
    problem = f"^{weak}: OpenSSL does not accept the certificate or its key$"
    with pytest.raises(BadCertificate, match=problem):
        ServerContexts(weak, ServerRules())
    with pytest.raises(BadCertificate, match=problem):
        ClientContexts(ClientRules(cert=weak)).check(UpstreamTls())
