"""The names in an upstream's certificate: whether it is one for the server that was meant (RFC 9525)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

from proxymux.core.admission import parse_ip_address
from proxymux.core.identity import Peer
from proxymux.printable import printable

#: Of the names in a certificate that is refused: how many are logged, and how many characters of each.
_MAX_NAMES: Final = 3
_MAX_NAME: Final = 80
_HOSTS: Final = (x509.DNSName, x509.IPAddress)
_KINDS: Final[dict[type[x509.GeneralName], str]] = {
    x509.DNSName: "DNS",
    x509.IPAddress: "IP",
    x509.UniformResourceIdentifier: "URI",
    x509.RFC822Name: "email",
}


def without_root(server_name: str) -> str:
    """The name without the dot of the root, which neither certificates nor SNI have (RFC 6066 section 3)."""
    return server_name.removesuffix(".")


def name_problem(certificate: x509.Certificate, server_name: str) -> str | None:
    """Why a certificate is not one for ``server_name``; None if it is.

    Twisted's own check takes only one kind of error for a refusal: 26.10 lets a certificate pass that has no
    subjectAltName at all.  Here whatever goes wrong is a refusal.

    :param server_name: a host name without a dot at its end, or an IP address.
    """
    try:
        if is_address(server_name):
            verify_certificate_ip_address(certificate, server_name.partition("%")[0])
        else:
            verify_certificate_hostname(certificate, server_name)
    except Exception:
        return f"the certificate is not one for {server_name}; {_names_in(certificate)}"
    return None


def _names_in(certificate: x509.Certificate) -> str:
    """What a certificate names, in words for the operator."""
    try:
        names = [str(name.value) for name in _alternatives(certificate) if isinstance(name, _HOSTS)]
    except Exception:  # whatever the peer has put into it
        names = []
    shown = [printable(name, _MAX_NAME) for name in names[:_MAX_NAMES]]
    if not shown:
        return "it names no host (subjectAltName)"
    return f"it names {', '.join(shown)}{' and others' if len(names) > len(shown) else ''}"


def is_address(server_name: str) -> bool:
    """True for what is no host name: an IP address, with a zone perhaps, or nothing."""
    return not server_name or parse_ip_address(server_name.partition("%")[0]) is not None


def peer_certificate(handle: SSL.Connection) -> x509.Certificate | None:
    """The certificate that the peer has shown, or None."""
    certificate = handle.get_peer_certificate()
    return None if certificate is None else certificate.to_cryptography()


def peer_of(certificate: x509.Certificate) -> Peer:
    """What a client's certificate says, for routers."""
    return Peer(
        certificate.subject.rfc4514_string(),
        next((str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)), None),
        certificate.issuer.rfc4514_string(),
        tuple(filter(None, map(_text_of, _alternatives(certificate)))),
        certificate.fingerprint(SHA256()).hex(),
    )


def _alternatives(certificate: x509.Certificate) -> Iterable[x509.GeneralName]:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):  # the latter if it is malformed
        return ()


def _text_of(name: x509.GeneralName) -> str | None:
    """A name with its kind before it, as OpenSSL prints it; None for the kinds that are not texts."""
    kind = _KINDS.get(type(name))
    return None if kind is None else f"{kind}:{name.value}"
