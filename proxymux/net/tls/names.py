"""The names in an upstream's certificate: whether it is one for the server that was meant (RFC 9525)."""

from __future__ import annotations

from OpenSSL import SSL
from service_identity.pyopenssl import verify_hostname, verify_ip_address

from proxymux.core.admission import parse_ip_address


def without_root(server_name: str) -> str:
    """The name without the dot of the root, which neither certificates nor SNI have (RFC 6066 section 3)."""
    return server_name.removesuffix(".")


def name_problem(handle: SSL.Connection, server_name: str) -> str | None:
    """Why the peer's certificate is not one for ``server_name``; None if it is.

    Twisted's own check takes only one kind of error for a refusal: 26.10 lets a certificate pass that has no
    subjectAltName at all.  Here whatever goes wrong is a refusal.

    :param server_name: a host name without a dot at its end, or an IP address.
    """
    try:
        if is_address(server_name):
            verify_ip_address(handle, server_name.partition("%")[0])
        else:
            verify_hostname(handle, server_name)
    except Exception as error:
        return f"the certificate is not one for {server_name}: {type(error).__name__}"
    return None


def is_address(server_name: str) -> bool:
    """True for what is no host name: an IP address, with a zone perhaps, or nothing."""
    return not server_name or parse_ip_address(server_name.partition("%")[0]) is not None
