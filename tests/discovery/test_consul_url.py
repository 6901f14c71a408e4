"""How an operator names a service in Consul."""

from __future__ import annotations

import pytest

from proxymux.core.target import InetTarget
from proxymux.discovery.blocking_query import Query
from proxymux.discovery.consul_url import ConsulUrl, parse_consul_url
from proxymux.discovery.http_tls import TlsFiles
from proxymux.errors import BadAddress

HERE = InetTarget("127.0.0.1", 8500, True)
AT_ONCE, WAITING = Query(0, 60, 10.0), Query(17, 60, 70.0)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("consul://127.0.0.1/users", HERE),
        ("consul://127.0.0.1:8501/users", InetTarget("127.0.0.1", 8501, True)),
        ("consul://consul.example/users", InetTarget("consul.example", 8500, False)),
        ("consul://[::1]/users/", InetTarget("::1", 8500, True)),
        ("consul://[::1]:81/users", InetTarget("::1", 81, True)),
    ],
)
def test_the_port_is_consuls_own_if_there_is_none(text: str, server: InetTarget) -> None:
    assert parse_consul_url(text) == ConsulUrl(server, "users")


def test_all_parameters() -> None:
    text = (
        "consuls://127.0.0.1/a%2Fb?tag=x&tag=c%2B%2B&passing=false&token=s%23cret&near=_agent&dc=dc1&ca=/c%3Ba&cert=k"
    )
    assert parse_consul_url(text) == ConsulUrl(
        HERE, "a/b", False, ("x", "c++"), "_agent", "dc1", TlsFiles("/c;a", "k"), "s#cret"
    )


@pytest.mark.parametrize(
    ("value", "is_passing"), [("=true", True), ("=1", True), ("", True), ("=false", False), ("=0", False)]
)
def test_passing_is_yes_or_no(value: str, is_passing: bool) -> None:
    assert parse_consul_url(f"consul://127.0.0.1/users?passing{value}").is_passing is is_passing


def test_without_a_word_all_checks_have_to_pass_and_there_is_no_tls() -> None:
    url = parse_consul_url("consul://127.0.0.1/users")
    assert (url.is_passing, url.tls, url.headers) == (True, None, {})
    assert parse_consul_url("consuls://127.0.0.1/users").tls == TlsFiles()


@pytest.mark.parametrize(
    ("text", "query", "path"),
    [
        ("users", AT_ONCE, "/v1/health/service/users?passing=true"),
        ("users", WAITING, "/v1/health/service/users?passing=true&index=17&wait=60s"),
        ("users?passing=false", AT_ONCE, "/v1/health/service/users"),
        ("us%2Fers%20?tag=a%26b&passing=0", AT_ONCE, "/v1/health/service/us%2Fers%20?tag=a%26b"),
        ("users?near=n&dc=d&tag=2&tag=1", AT_ONCE, "/v1/health/service/users?tag=2&tag=1&passing=true&near=n&dc=d"),
        ("caf%C3%A9", AT_ONCE, "/v1/health/service/caf%C3%A9?passing=true"),
    ],
)
def test_what_is_asked_for(text: str, query: Query, path: str) -> None:
    assert parse_consul_url(f"consul://127.0.0.1/{text}").path(query) == path


def test_the_token_is_in_the_headers_alone() -> None:
    url = parse_consul_url("consul://127.0.0.1/users?token=s3cr3t")
    assert url.headers == {"X-Consul-Token": "s3cr3t"}
    assert "s3cr3t" not in f"{url} {url!r} {url.path(WAITING)}"
    assert str(url) == "127.0.0.1:8500/users"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("consul:127.0.0.1/users", "consul://HOST:PORT/SERVICE is accepted"),
        ("http://127.0.0.1/users", "consul://HOST:PORT/SERVICE is accepted"),
        ("consul://127.0.0.1", "the name of one service"),
        ("consul://127.0.0.1/?tag=a", "the name of one service"),
        ("consul://127.0.0.1/a/b", "the name of one service"),
        ("consul:///users", "host:port"),
        ("consul://127.0.0.1:0/users", "the port is not a number from 1 to 65535"),
        ("consul://::1/users", "write an IPv6 address in brackets"),
        (
            "consul://127.0.0.1/users?tags=a",
            "'tags' is no parameter of a service in Consul; tag, passing, token",
        ),
        ("consul://127.0.0.1/users?ca=/x", "ca: is for consuls:// only"),
        ("consul://127.0.0.1/users?near=a&near=b", "near is given twice"),
        ("consul://127.0.0.1/users?tag=", "tag has no value; write tag=VALUE"),
        ("consul://127.0.0.1/users?dc", "dc has no value"),
        ("consul://127.0.0.1/users?", None),
        ("consul://127.0.0.1/users?&", "'' is no parameter"),
        ("consul://127.0.0.1/users?passing=maybe", "passing: 'maybe' is not accepted; true and false are"),
        ("consul://127.0.0.1/users?tag=%ff", "tag: is not UTF-8"),
        ("consul://127.0.0.1/%ff", "is not UTF-8"),
    ],
)
def test_anything_else_is_refused(text: str, problem: str | None) -> None:
    if problem is None:
        assert parse_consul_url(text).service == "users"
        return
    with pytest.raises(BadAddress) as raised:
        parse_consul_url(text)
    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "consul://s3cr3t@127.0.0.1/users",
        "consul://user:s3cr3t@127.0.0.1/users",
        "consul://127.0.0.1/users?token=a#s3cr3t",
        "consul://127.0.0.1/users?token=s3cr3t%0d%0aHost:x",
        "consul://127.0.0.1/users?token=s3cr3t&token=s3cr3t",
        "consul://127.0.0.1/users?token=s3cr3t&passing=x",
        "consul://127.0.0.1/users?token=s3cr3t%ff",
        "consul://127.0.0.1/users?token=s3cr3t%20",
        "consul://127.0.0.1/?token=s3cr3t",
        "consul://127.0.0.1:x/users?token=s3cr3t",
        "consul:/127.0.0.1/users?token=s3cr3t",
    ],
)
def test_what_is_wrong_is_said_without_the_token(text: str) -> None:
    with pytest.raises(BadAddress) as raised:
        parse_consul_url(text)
    assert "s3cr3t" not in str(raised.value)
