"""The targets of a pool, with the TLS that is spoken to them: ``host:port;tls=name``, or the name of a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from proxymux.core.excerpt import excerpt
from proxymux.core.target import ClusterName, Target, UnixTarget, parse_remote
from proxymux.core.upstream_tls import UpstreamTls, parse_upstream_tls
from proxymux.errors import BadAddress, BadResult

#: The options behind a target, and what they are in :class:`UpstreamTls`.
_OPTIONS: Final = {"tls": "name", "tls_ca": "ca", "tls_cert": "cert", "tls_alpn": "alpn", "tls_pin": "pin"}


@dataclass(frozen=True, slots=True)
class PoolTarget:
    """A target of a pool.

    :param address: what is connected to; in the settings also the name of a cluster, which stands for its members.
    :param tls: how TLS is spoken to it; None is not at all.
    """

    address: Target
    tls: UpstreamTls | None = None


def parse_pool_target(text: str) -> PoolTarget:
    """Read a target with options behind it, each after a ``;``.

    ``tls`` verifies the target's own name, ``tls=NAME`` another.  ``tls_ca=FILE``, ``tls_cert=FILE``,
    ``tls_alpn=NAME[,NAME]`` and ``tls_pin=DIGEST`` are TLS, too.

    The name of a cluster, which need not exist, has no options: TLS to its members is the cluster's.

    :raises BadAddress: if it is anything else; the text says what is wrong.
    """
    address, *options = text.split(";")
    target = parse_remote(address)
    if isinstance(target, ClusterName) and options:
        raise BadAddress(
            f"{excerpt(text, 120)}: {target} is not host:port, and a cluster has no options here; tls= of its --cluster"
            " is TLS to its members"
        )
    try:
        tls = parse_upstream_tls(_wanted(options)) if options else None
    except BadResult as error:
        raise BadAddress(f"{excerpt(text, 120)}: {error}") from None
    if tls is not None and isinstance(target, UnixTarget) and tls.name is None and tls.pin is None:
        raise BadAddress(f"{excerpt(text, 120)}: a Unix socket has no name to verify; write tls=NAME")
    return PoolTarget(target, tls)


def _wanted(options: Iterable[str]) -> dict[str, object]:
    """The options by the names of :class:`UpstreamTls`.

    :raises BadResult: for one that there is not, that is given twice or has no value.
    """
    wanted: dict[str, object] = {}
    for option in options:
        name, equals, value = option.partition("=")
        key = _OPTIONS.get(name)
        if key is None:
            raise BadResult(f"{excerpt(option)} is no option; {', '.join(_OPTIONS)} are")
        if key in wanted:
            raise BadResult(f"{name} is given twice")
        if not value and (equals or name != "tls"):
            raise BadResult(f"{name} has no value; write {name}=VALUE")
        wanted[key] = value.split(",") if key == "alpn" else value or None
    return wanted
