"""What the contexts of both sides of TLS have in common."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography.x509 import Certificate
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509Store

from proxymux.errors import BadCertificate
from proxymux.net.tls.certificates import KeyPair


def new_context(method: int, minimum: int) -> SSL.Context:
    """Make a context.

    :param method: of the client's or the server's side (``SSL.TLS_…_METHOD``).
    :param minimum: the oldest version of TLS (``SSL.TLS…_VERSION``).
    """
    context = SSL.Context(method)
    context.set_min_proto_version(minimum)
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    return context


def use_pair(context: SSL.Context, pair: KeyPair) -> None:
    """Have our side show the certificate and the chain of ``pair``.

    :raises BadCertificate: if OpenSSL does not accept them.
    """
    try:
        context.use_certificate(pair.chain[0])
        for certificate in pair.chain[1:]:
            context.add_extra_chain_cert(certificate)
        context.use_privatekey(pair.key)
    except SSL.Error:
        raise BadCertificate(f"{pair.path}: OpenSSL does not accept the certificate or its key") from None


def trust(context: SSL.Context, authorities: Iterable[Certificate]) -> X509Store:
    """Accept what ``authorities`` have issued.

    :returns: the context's store of authorities.
    """
    store = context.get_cert_store()
    assert store is not None
    for authority in authorities:
        store.add_cert(X509.from_cryptography(authority))
    return store
