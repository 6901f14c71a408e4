"""OCSP answers that lie beside a certificate are stapled to its handshakes (RFC 6066 section 8)."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from OpenSSL import SSL

from proxymux.net.tls.rules import ServerRules
from proxymux.net.tls.server import ServerContexts
from tests.services.certificates import Authority


def answer_for(file: Path, authority: Authority) -> bytes:
    """An authority's word that the certificate in ``file`` is good."""
    [certificate] = x509.load_pem_x509_certificates(file.read_bytes())
    [issuer] = x509.load_pem_x509_certificates(authority.file.read_bytes())
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=certificate,
        issuer=issuer,
        algorithm=hashes.SHA256(),
        cert_status=ocsp.OCSPCertStatus.GOOD,
        this_update=now,
        next_update=now + datetime.timedelta(days=1),
        revocation_time=None,
        revocation_reason=None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, issuer)
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def stapled(contexts: ServerContexts) -> bytes:
    """What a client is told of the certificate."""
    told: list[bytes] = []

    def note(handle: SSL.Connection, answer: bytes, data: object) -> bool:
        told.append(answer)
        return True

    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_ocsp_client_callback(note)
    client = SSL.Connection(context, None)
    client.request_ocsp()
    client.set_connect_state()
    engine = contexts.engine(None)
    for _ in range(4):
        try:
            client.do_handshake()
        except SSL.WantReadError:
            pass
        try:
            engine.put_bytes(client.bio_read(1 << 16))
        except SSL.WantReadError:
            pass
        engine.handshake()
        while taken := bytes(engine.take()):
            client.bio_write(taken)
    assert engine.is_secured
    return told[0]


def test_the_answer_beside_the_certificate_is_stapled_and_follows_its_file(
    tmp_path: Path, authority: Authority
) -> None:
    file = tmp_path / "server.pem"
    shutil.copy(authority.issue("a.example").file, file)
    contexts = ServerContexts(str(file), ServerRules())
    assert stapled(contexts) == b""
    answer = answer_for(file, authority)
    (tmp_path / "server.ocsp").write_bytes(answer)
    assert contexts.reload(only_changed=True) == (True, [])
    assert stapled(contexts) == answer
