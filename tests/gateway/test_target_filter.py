"""The target_filter."""

from __future__ import annotations

import socket

import pytest

from proxymux.core.target import InetTarget, Target, parse_target
from proxymux.gateway.target_filter import TargetFilter
from proxymux.gateway.target_rules import TargetRules, parse_target_rule


def target_filter(*own: str, deny: str | None = None) -> TargetFilter:
    made = TargetFilter(TargetRules((), () if deny is None else (parse_target_rule(deny),)))
    made.own = tuple(map(parse_target, own))
    return made


def problem(of: TargetFilter, target: str) -> str | None:
    parsed = parse_target(target)
    assert isinstance(parsed, InetTarget)
    assert parsed.is_address
    return of(parsed)


ITSELF = "the gateway itself"


def test_before_it_listens_only_the_rules_judge() -> None:
    assert problem(target_filter(), "127.0.0.1:80") is None
    assert problem(target_filter(deny="127.0.0.0/8"), "127.0.0.1:80") == "denied (--deny-target)"


def test_the_rules_come_first() -> None:
    assert problem(target_filter("127.0.0.1:80", deny="127.0.0.0/8"), "127.0.0.1:80") == "denied (--deny-target)"


@pytest.mark.parametrize(
    ("own", "target"),
    [
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("127.0.0.1:80", "0.0.0.0:80"),
        ("127.0.0.1:80", "[::ffff:127.0.0.1]:80"),
        ("127.0.0.1:80", "[::ffff:0.0.0.0]:80"),
        ("[::1]:80", "[::1]:80"),
        ("[::1]:80", "[::]:80"),
        ("[::1]:80", "[::%1]:80"),
        ("[::1]:80", "[::1%1]:80"),
        ("10.1.2.3:80", "10.1.2.3:80"),
        ("10.1.2.3:80", "[::ffff:10.1.2.3]:80"),
        ("[::ffff:10.1.2.3]:80", "10.1.2.3:80"),
        ("0.0.0.0:80", "127.0.0.1:80"),
        ("0.0.0.0:80", "127.9.9.9:80"),
        ("0.0.0.0:80", "0.0.0.0:80"),
        ("0.0.0.0:80", "[::ffff:127.0.0.1]:80"),
        ("[::]:80", "[::1]:80"),
        ("[::]:80", "[::]:80"),
        ("[::]:80", "127.0.0.1:80"),
    ],
)
def test_the_gateway_itself_is_never_a_target(own: str, target: str) -> None:
    assert problem(target_filter(own), target) == ITSELF
    assert problem(target_filter("192.0.2.1:1", own), target) == ITSELF
    assert problem(target_filter(own), target.rpartition(":")[0] + ":81") is None


@pytest.mark.parametrize(
    ("own", "target"),
    [
        ("127.0.0.1:80", "127.0.0.2:80"),
        ("127.0.0.1:80", "10.1.2.3:80"),
        ("127.0.0.1:80", "[::1]:80"),
        ("[::1]:80", "127.0.0.1:80"),
        ("0.0.0.0:80", "192.0.2.99:80"),
        ("[::]:80", "[2001:db8::99]:80"),
        ("unix:/run/gateway", "127.0.0.1:80"),
    ],
)
def test_another_address_is(own: str, target: str) -> None:
    assert problem(target_filter(own), target) is None


def own_addresses() -> list[str]:
    """Those of this machine's that a datagram to somewhere else would come from, and its link-local ones."""
    found = []
    for family, elsewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((elsewhere, 9))
            except OSError:
                continue
            host = probe.getsockname()[0]
            found.append(f"[{host}]" if ":" in host else host)
    try:
        with open("/proc/net/if_inet6") as file:
            for digits, _, _, scope, _, name in map(str.split, file):
                if scope == "20":
                    host = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
                    found.append(f"[{host}%{name}]")
    except OSError:
        pass
    return found


def test_who_listens_everywhere_listens_on_every_address_of_this_machine() -> None:
    for host in own_addresses():
        everywhere = "[::]:80" if host.startswith("[") else "0.0.0.0:80"
        assert problem(target_filter(everywhere), f"{host}:80") == ITSELF, host
        assert problem(target_filter(everywhere), f"{host}:81") is None


def test_what_is_added_later_counts() -> None:
    own: list[Target] = []
    judge = target_filter()
    judge.own = own
    assert problem(judge, "127.0.0.1:80") is None
    own.append(parse_target("127.0.0.1:80"))
    assert problem(judge, "127.0.0.1:80") == ITSELF
