"""Addresses of etcds: what is accepted, what is wrong with the others, and that no password is ever shown."""

from __future__ import annotations

import pytest

from proxymux.discovery.etcd.address import parse_etcd_address
from proxymux.discovery.http_tls import TlsFiles
from proxymux.errors import BadAddress


@pytest.mark.parametrize(
    ("text", "hosts", "prefix"),
    [
        ("etcd://h:2379/p/", ["h:2379"], "/p/"),
        ("etcd://h/p", ["h:2379"], "/p/"),
        ("etcd://h:1,[::1]:2,[fe80::1],10.0.0.1/a/b/", ["h:1", "[::1]:2", "[fe80::1]:2379", "10.0.0.1:2379"], "/a/b/"),
        ("etcd://h/a%20b%3B%40/", ["h:2379"], "/a b;@/"),
        ("etcd://u:p@h//p//", ["h:2379"], "/p/"),
    ],
)
def test_hosts_and_prefix(text: str, hosts: list[str], prefix: str) -> None:
    address = parse_etcd_address(text)
    assert list(map(str, address.hosts)) == hosts
    assert address.prefix == prefix
    assert address.prefixes == (prefix.encode(), prefix[1:].encode())
    assert address.tls is None


def test_bytes_that_are_no_text_are_kept_in_a_prefix() -> None:
    assert parse_etcd_address("etcd://h/%ff/").prefixes == (b"/\xff/", b"\xff/")


@pytest.mark.parametrize(
    ("login", "user", "password"),
    [("u:p@", "u", "p"), ("u%40x:p%2F%3a%40@", "u@x", "p/:@"), ("u:a:b@", "u", "a:b"), ("u@", "u", ""), ("", None, "")],
)
def test_user_and_password_are_decoded_and_never_shown(login: str, user: str | None, password: str) -> None:
    address = parse_etcd_address(f"etcd://{login}host/prefix/")
    assert (address.user, address.password) == (user, password)
    assert str(address) == "etcd://host:2379/prefix/"
    assert repr(address) == repr(parse_etcd_address("etcd://host/prefix/"))


def test_files_of_tls() -> None:
    address = parse_etcd_address("etcds://h/p/?ca=/etc/a%20b.pem&cert=me.pem")
    assert address.tls == TlsFiles("/etc/a b.pem", "me.pem")
    assert str(address) == "etcds://h:2379/p/"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("etcd:h/p/", "begins with etcd:// or etcds://"),
        ("http://h/p/", "begins with etcd:// or etcds://"),
        ("etcd:///p/", "there is no host"),
        ("etcd://h", "there is no prefix"),
        ("etcd://h//", "there is no prefix"),
        ("etcd://h,/p/", "is not host:port"),
        ("etcd://h:0/p/", "the port is not a number from 1 to 65535"),
        ("etcd://h h/p/", "is not a host name"),
        ("etcd://h,h:2379/p/", "a host is given twice"),
        (f"etcd://{','.join(f'h{n}' for n in range(10))}/p/", "10 hosts are too many; up to 9 are accepted"),
        ("etcd://@h/p/", "there is no user before the @"),
        (f"etcd://h/{'p' * 1100}/", "the prefix is longer than 1024 bytes"),
        ("etcd://h/p/?ca=a.pem", "ca: is for TLS; begin the address with etcds://"),
        ("etcds://h/p/?ca=", "ca: one file is accepted"),
        ("etcds://h/p/?ca=a&ca=b", "ca: one file is accepted"),
        ("etcds://h/p/?key=a", "'key' is no option of an etcd; ca=FILE and cert=FILE are"),
    ],
)
def test_what_is_wrong_is_said(text: str, problem: str) -> None:
    with pytest.raises(BadAddress) as caught:
        parse_etcd_address(text)
    assert problem in str(caught.value)


@pytest.mark.parametrize("password", ["s3/cret", "s3@cret", "s3?cret", "s3#cret", "s3/c@ret", "s3?c/r@et", "s3:cret,"])
def test_a_password_that_is_not_encoded_is_not_shown_either(password: str) -> None:
    try:
        address = parse_etcd_address(f"etcd://user:{password}@host/p/")
    except BadAddress as problem:
        shown = str(problem)
    else:
        assert address.password == password
        shown = f"{address} {address!r}"
    assert "s3" not in shown
    assert "cret" not in shown
    assert "user:" not in shown.replace("[user:password@]", "")
