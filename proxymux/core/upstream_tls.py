"""What a decision says of TLS to the upstream."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from proxymux.core.excerpt import excerpt
from proxymux.core.target import InetTarget, parse_target
from proxymux.errors import BadAddress, BadResult

_DIGEST: Final = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """TLS to the upstream.

    :param name: what the upstream's certificate must name; None is the target's host.
    :param ca: the PEM file of the authorities to verify by; None is that of the settings.
    :param cert: the PEM file with the key and chain to show; None is that of the settings.
    :param alpn: the application protocols to offer (RFC 7301), in the order of preference.
    :param pin: the SHA-256 digest of the upstream's certificate in hexadecimal; no name and no authority is checked
        then.
    """

    name: str | None = None
    ca: str | None = None
    cert: str | None = None
    alpn: tuple[str, ...] = ()
    pin: str | None = None


def parse_upstream_tls(value: object) -> UpstreamTls | None:
    """What the value of a decision's key ``tls`` asks for; None for no TLS.

    :param value: True, False, a server name, or a mapping with the names of :class:`UpstreamTls`.
    :raises BadResult: if it is anything else.
    """
    if value is True or value is False:
        return UpstreamTls() if value else None
    if isinstance(value, UpstreamTls):
        return value
    if isinstance(value, str):
        return UpstreamTls(_server_name(value))
    if not isinstance(value, Mapping):
        raise BadResult(f"tls: {excerpt(value)} is not True, False, a server name or a mapping")
    for key in value:
        if key not in UpstreamTls.__dataclass_fields__:
            raise BadResult(f"tls: {excerpt(key)} has no place there; name, ca, cert, alpn and pin have")
    name, ca, cert, alpn, pin = (value.get(key) for key in ("name", "ca", "cert", "alpn", "pin"))
    return UpstreamTls(
        None if name is None else _server_name(name),
        _path("ca", ca),
        _path("cert", cert),
        _protocols(alpn),
        None if pin is None else _pin(pin),
    )


def _server_name(value: object) -> str:
    try:
        target = parse_target(f"{value}:1" if isinstance(value, str) else value)
    except BadAddress:
        target = None
    if not isinstance(target, InetTarget):
        raise BadResult(f"tls: {excerpt(value)} is not a server name")
    return target.host


def _path(key: str, value: object) -> str | None:
    if value is None or (isinstance(value, str) and value):
        return value
    raise BadResult(f"tls: {key}: {excerpt(value)} is not the path of a file")


def _protocols(value: object) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else () if value is None else value
    if isinstance(names, Sequence) and all(
        isinstance(name, str) and name.isascii() and 0 < len(name) < 256 for name in names
    ):
        return tuple(names)
    raise BadResult(f"tls: alpn: {excerpt(value)} is not a list of names such as 'h2'")


def _pin(value: object) -> str:
    text = value.replace(":", "").lower() if isinstance(value, str) else ""
    if not _DIGEST.fullmatch(text):
        raise BadResult(f"tls: pin: {excerpt(value)} is not the SHA-256 digest of a certificate, 64 hexadecimal digits")
    return text
