from __future__ import annotations

import pytest

from proxymux.core.target import parse_target
from proxymux.core.upstream_tls import UpstreamTls
from proxymux.net.connect_fault import TlsFailed
from proxymux.net.tls.server_name import server_name_of

PIN = "0" * 64


@pytest.mark.parametrize(
    ("target", "tls", "name"),
    [
        ("10.0.0.1:443", UpstreamTls(), "10.0.0.1"),
        ("member.example:443", UpstreamTls(), "member.example"),
        ("10.0.0.1:443", UpstreamTls("upstream.example"), "upstream.example"),
        ("unix:/run/app", UpstreamTls("upstream.example"), "upstream.example"),
        ("unix:/run/app", UpstreamTls(pin=PIN), ""),
        ("10.0.0.1:443", UpstreamTls(pin=PIN), "10.0.0.1"),
    ],
)
def test_the_name_is_the_one_that_is_given_or_the_host(target: str, tls: UpstreamTls, name: str) -> None:
    assert server_name_of(tls, parse_target(target)) == name


def test_a_unix_socket_has_no_name_to_verify() -> None:
    with pytest.raises(TlsFailed, match="no name to verify on a Unix socket; give the server's name"):
        server_name_of(UpstreamTls(), parse_target("unix:/run/app"))
