"""What the certificate of an upstream must name."""

from __future__ import annotations

from proxymux.core.target import InetTarget, Target
from proxymux.core.upstream_tls import UpstreamTls
from proxymux.net.connect_fault import TlsFailed


def server_name_of(tls: UpstreamTls, target: Target) -> str:
    """The name of the server at ``target``: the one that ``tls`` gives, or the target's host.

    Empty where there is none and none is needed, as the certificate is pinned.

    :raises TlsFailed: if there is none to verify.
    """
    if tls.name is not None:
        return tls.name
    name = target.host if isinstance(target, InetTarget) else ""
    if not name and tls.pin is None:
        raise TlsFailed("tls: True has no name to verify on a Unix socket; give the server's name")
    return name
