"""Addresses of Redis Clusters: what is accepted, what is wrong with the others, and that no password is ever shown."""

from __future__ import annotations

import pytest

from proxymux.core.redis_cluster.talk import Login
from proxymux.discovery.http_tls import TlsFiles
from proxymux.discovery.redis_cluster.address import REFRESH, parse_redis_cluster_address
from proxymux.errors import BadAddress


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("rediscluster://h:7000", ["h:7000"]),
        ("rediscluster://h", ["h:6379"]),
        ("rediscluster://h:1,[::1]:2,[::2],10.0.0.1", ["h:1", "[::1]:2", "[::2]:6379", "10.0.0.1:6379"]),
        ("rediscluster://u:p@h:1?refresh=2", ["h:1"]),
    ],
)
def test_the_hosts(text: str, hosts: list[str]) -> None:
    address = parse_redis_cluster_address(text)
    assert list(map(str, address.hosts)) == hosts
    assert address.tls is None
    assert str(address) == f"rediscluster://{','.join(hosts)}"


@pytest.mark.parametrize(
    ("text", "login"),
    [
        (":secret@", Login(b"", b"secret")),
        ("u:secret@", Login(b"u", b"secret")),
        ("u%40x:a:b%2F%3a%3B%40%ff@", Login(b"u@x", b"a:b/:;@\xff")),
        ("", None),
    ],
)
def test_user_and_password_are_decoded_and_never_shown(text: str, login: Login | None) -> None:
    address = parse_redis_cluster_address(f"rediscluster://{text}host:7000")
    assert address.login == login
    assert repr(address) == repr(parse_redis_cluster_address("rediscluster://host:7000"))
    assert str(address) == "rediscluster://host:7000"


def test_the_options() -> None:
    assert parse_redis_cluster_address("rediscluster://h").refresh == REFRESH
    address = parse_redis_cluster_address("redisclusters://h?refresh=2.5&ca=/etc/a%20b.pem&cert=me.pem")
    assert (address.refresh, address.tls) == (2.5, TlsFiles("/etc/a b.pem", "me.pem"))
    assert str(address) == "redisclusters://h:6379"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rediscluster:h", "begins with rediscluster://"),
        ("redis://h", "begins with rediscluster://"),
        ("rediscluster://", "there is no host"),
        ("rediscluster://h,", "a host is none"),
        ("rediscluster://root:secret", "a host is none"),
        ("rediscluster://h/secret", "no path"),
        ("rediscluster://u:sec@ret@h", "write @ / "),
        ("rediscluster://u:sec?ret@h", "write @ / "),
        ("rediscluster://u:sec#ret@h", "write @ / "),
        ("rediscluster://secret@h", "there is no password"),
        ("rediscluster://secret:@h", "there is no password"),
        (f"rediscluster://:{'secret' * 200}@h", "the password is longer than 1024 bytes"),
        ("rediscluster://h,h:6379", "a host is given twice"),
        ("rediscluster://" + ",".join(f"h{number}" for number in range(17)), "17 hosts are too many"),
        ("rediscluster://h?interval=2", "'interval' is no option of a Redis Cluster; refresh, ca, cert are"),
        ("rediscluster://h?refresh=", "refresh: one value"),
        ("rediscluster://h?refresh=2&refresh=3", "refresh: one value"),
        ("rediscluster://h?refresh=0.5", "from 1 to 3600 is"),
        ("rediscluster://h?refresh=3601", "from 1 to 3600 is"),
        ("rediscluster://h?refresh=soon", "from 1 to 3600 is"),
        ("rediscluster://h?ca=x", "are for TLS; begin the address with redisclusters://"),
    ],
)
def test_what_is_wrong_is_said_without_a_password(text: str, problem: str) -> None:
    with pytest.raises(BadAddress) as refused:
        parse_redis_cluster_address(text)
    assert problem in str(refused.value)
    assert "secret" not in str(refused.value)
    assert "ret@" not in str(refused.value)
