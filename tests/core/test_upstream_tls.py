"""What a decision may say of TLS to the upstream."""

from __future__ import annotations

from typing import Any

import pytest

from proxymux import Forward
from proxymux.core.upstream_tls import UpstreamTls, parse_upstream_tls
from proxymux.errors import BadResult

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (False, None),
        (True, UpstreamTls()),
        ("a.example", UpstreamTls("a.example")),
        ({}, UpstreamTls()),
        ({"name": "a.example", "ca": "/ca.pem"}, UpstreamTls("a.example", "/ca.pem")),
        ({"cert": "/own.pem", "alpn": ["h2", "http/1.1"]}, UpstreamTls(cert="/own.pem", alpn=("h2", "http/1.1"))),
        ({"alpn": "h2"}, UpstreamTls(alpn=("h2",))),
        ({"pin": DIGEST}, UpstreamTls(pin=DIGEST)),
        ({"pin": ":".join(DIGEST[at : at + 2] for at in range(0, 64, 2)).upper()}, UpstreamTls(pin=DIGEST)),
    ],
)
def test_what_is_accepted(value: Any, meant: UpstreamTls | None) -> None:
    assert parse_upstream_tls(value) == meant
    assert Forward("a:1", tls=value).upstream_tls == meant


@pytest.mark.parametrize(
    "value",
    [
        1,
        None,
        b"a.example",
        "a b",
        "",
        {"nam": "a.example"},
        {"name": 5},
        {"ca": b"/ca.pem"},
        {"ca": ""},
        {"alpn": [b"h2"]},
        {"alpn": 5},
        {"alpn": ["x" * 256]},
        {"pin": "abc"},
        {"pin": 5},
    ],
)
def test_what_is_not(value: Any) -> None:
    with pytest.raises(BadResult, match=r"^tls: "):
        parse_upstream_tls(value)
