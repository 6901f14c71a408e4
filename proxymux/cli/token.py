"""``proxymux token``: makes tokens for the gateway, and shows their claims."""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import datetime, timezone

from proxymux.core.admission import parse_network
from proxymux.core.excerpt import excerpt
from proxymux.core.target import ClusterName, InetTarget, parse_address, parse_cluster_name
from proxymux.core.token import Claims
from proxymux.core.token.legacy import DIGESTS, Digest, is_legacy, open_legacy, seal_legacy
from proxymux.core.token.sealed import MAX_NAME, MAX_TARGETS, PREFIX
from proxymux.errors import BadAddress, BadToken, ConfigError
from proxymux.gateway.keys import SecretSource, read_keys
from proxymux.gateway.settings import SECRET_VARIABLE
from proxymux.printable import printable


def seal(options: argparse.Namespace) -> int:
    """Print a token.

    :returns: the exit status, 1 if the options make no token.
    """
    try:
        print(_sealed_legacy(options) if options.legacy else _sealed(options))
    except (BadToken, ConfigError) as error:
        return _failed("seal", error)
    return 0


def open_(options: argparse.Namespace) -> int:
    """Print the claims of a token.

    :returns: the exit status, 1 if the token cannot be opened.
    """
    token = options.token.strip().encode("ascii", "replace")
    try:
        claims = _open(token, options)
    except (BadToken, ConfigError) as error:
        return _failed("open", error)
    for name, value in _facts(claims, time.time()):
        print(f"{name + ':':<12}{printable(value)}")
    return 0


def _failed(command: str, error: Exception) -> int:
    print(f"proxymux token {command}: {error}", file=sys.stderr)
    return 1


def _sealed(options: argparse.Namespace) -> str:
    if options.secret_file is not None:
        raise ConfigError("--secret-file", "is for old tokens; give --legacy, or name a --key-file in its place")
    if options.key_file is None:
        raise ConfigError("--key-file", "missing; name the file of keys, or --legacy with --secret-file")
    if options.expires_in is None:
        raise ConfigError("--expires-in", "missing; give the seconds that the token is to be good for")
    if options.digest is not None:
        raise ConfigError("--digest", "is of old tokens; leave it away, or give --legacy")
    now, targets = int(time.time()), [_target(each, takes_clusters=True) for each in options.target]
    if len(targets) > MAX_TARGETS:
        raise ConfigError("--target", f"is given {len(targets)} times; a token has at most {MAX_TARGETS}")
    claims: dict[str, object] = {"t": targets[0] if len(targets) == 1 else targets, "e": now + options.expires_in}
    if options.not_before_in is not None:
        claims["n"] = now + options.not_before_in
    if options.client is not None:
        claims["c"] = _client(options.client)
    if options.audience is not None:
        if not 1 <= len(options.audience) <= MAX_NAME:
            raise ConfigError("--audience", f"{excerpt(options.audience)} is not a name of 1 to {MAX_NAME} characters")
        claims["a"] = options.audience
    if options.once:
        claims["j"] = os.urandom(12).hex()
    return read_keys(options.key_file).seal(claims, os.urandom(16))


def _target(given: str, takes_clusters: bool) -> str:
    accepted = "HOST:PORT such as 10.0.0.5:22" + ", or the name of a cluster," * takes_clusters
    try:
        return str(_remote(given) if takes_clusters else parse_address(given))
    except BadAddress as error:
        raise ConfigError("--target", f"{error}; {accepted} is accepted") from None


def _remote(given: str) -> ClusterName | InetTarget:
    try:
        return parse_cluster_name(given)
    except BadAddress:
        return parse_address(given)


def _client(text: str) -> str:
    try:
        return str(parse_network(text))
    except BadAddress as error:
        raise ConfigError("--client", str(error)) from None


def _sealed_legacy(options: argparse.Namespace) -> str:
    if options.key_file is not None:
        raise ConfigError("--key-file", "is for sealed tokens; leave it away, or --legacy")
    if len(options.target) != 1:
        raise ConfigError("--target", "an old token has one; leave --legacy away for several")
    for name in ("expires_in", "not_before_in", "client", "audience"):
        if getattr(options, name) is not None:
            raise ConfigError("--" + name.replace("_", "-"), "old tokens have none; leave --legacy away")
    if options.once:
        raise ConfigError("--once", "old tokens have none; leave --legacy away")
    address = _target(options.target[0], takes_clusters=False)
    return seal_legacy(address, _secret(options), options.digest or "md5", os.urandom(8))


def _open(token: bytes, options: argparse.Namespace) -> Claims:
    if token.startswith(PREFIX):
        if options.key_file is None:
            raise ConfigError("--key-file", "missing; the token is a sealed one, so name the file of its key")
        return read_keys(options.key_file).open(token)
    if not is_legacy(token):
        raise BadToken(
            f"this is no token; a sealed one begins with {PREFIX.decode()}, an old one is base64 that begins with"
            " U2FsdGVkX1"
        )
    digests: tuple[Digest, ...] = DIGESTS if options.digest is None else (options.digest,)
    return open_legacy(token, _secret(options), digests)


def _facts(claims: Claims, now: float) -> list[tuple[str, str]]:
    facts = [("form", "old" if claims.key is None else f"sealed with key {claims.key}")]
    facts += [("cluster" if isinstance(each, ClusterName) else "target", str(each)) for each in claims.targets]
    if claims.expires is not None:
        facts.append(("expires", f"{_date(claims.expires)} ({_distance(claims.expires - now)})"))
    if claims.not_before is not None:
        facts.append(("not before", f"{_date(claims.not_before)} ({_distance(claims.not_before - now)})"))
    for name, value in (("client", claims.clients), ("audience", claims.audience), ("one time", claims.once)):
        if value is not None:
            facts.append((name, str(value)))
    return facts


def _date(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError):
        return f"{seconds} s after 1970"


def _distance(seconds: float) -> str:
    return f"in {seconds:.0f} s" if seconds >= 0 else f"{-seconds:.0f} s ago"


def _secret(options: argparse.Namespace) -> bytes:
    secret = SecretSource(None, options.secret_file).read()
    if secret is None:
        raise ConfigError(
            "--secret-file", f"missing; an old token needs its secret: name the file, or set {SECRET_VARIABLE}"
        )
    return secret
