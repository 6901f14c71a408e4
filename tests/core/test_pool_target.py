"""The targets of a pool, with the TLS to them."""

from __future__ import annotations

import pytest

from proxymux.core.pool_target import PoolTarget, parse_pool_target
from proxymux.core.target import ClusterName, parse_target
from proxymux.core.upstream_tls import UpstreamTls
from proxymux.errors import BadAddress

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ("", None),
        (";tls", UpstreamTls()),
        (";tls=a.example", UpstreamTls("a.example")),
        (";tls_ca=/ca.pem", UpstreamTls(ca="/ca.pem")),
        (";tls=a.example;tls_cert=/own.pem", UpstreamTls("a.example", cert="/own.pem")),
        (";tls;tls_alpn=h2,http/1.1", UpstreamTls(alpn=("h2", "http/1.1"))),
        (f";tls;tls_pin={DIGEST.upper()}", UpstreamTls(pin=DIGEST)),
    ],
)
def test_what_is_accepted(options: str, meant: UpstreamTls | None) -> None:
    for address in ("b.example:1", "[::1]:2"):
        assert parse_pool_target(address + options) == PoolTarget(parse_target(address), meant)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("b.example;tls", "b.example is not host:port, and a cluster has no options here"),
        ("1.example", "is not host:port"),
        ("b.example:1;", "is no option; tls, tls_ca, tls_cert, tls_alpn, tls_pin are"),
        ("b.example:1;weight=3", "'weight=3' is no option"),
        ("b.example:1;tls;tls=a.example", "tls is given twice"),
        ("b.example:1;tls=", "tls has no value; write tls=VALUE"),
        ("b.example:1;tls_ca", "tls_ca has no value"),
        ("b.example:1;tls=a b", "'a b' is not a server name"),
        ("b.example:1;tls_pin=5", "'5' is not the SHA-256 digest of a certificate"),
        ("unix:/run/a;tls", "a Unix socket has no name to verify; write tls=NAME"),
    ],
)
def test_what_is_not(text: str, problem: str) -> None:
    with pytest.raises(BadAddress) as caught:
        parse_pool_target(text)
    assert problem in str(caught.value)


def test_the_name_of_a_cluster() -> None:
    assert parse_pool_target("users") == PoolTarget(ClusterName("users"))


def test_a_unix_socket_with_a_name_or_a_pin() -> None:
    assert parse_pool_target("unix:/run/a;tls=a.example").tls == UpstreamTls("a.example")
    assert parse_pool_target(f"unix:/run/a;tls_pin={DIGEST}").tls == UpstreamTls(pin=DIGEST)
