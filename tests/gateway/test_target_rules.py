"""Target rules."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.errors import BadAddress
from proxymux.gateway.target_rules import TargetRules, parse_target_rule, reached_by


def rules(allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()) -> TargetRules:
    return TargetRules(map(parse_target_rule, allow), map(parse_target_rule, deny))


# Rules as text


@pytest.mark.parametrize(
    ("text", "network", "ports"),
    [
        ("10.0.0.0/8", "10.0.0.0/8", ()),
        ("10.1.2.3", "10.1.2.3/32", ()),
        ("10.0.0.0/8:80", "10.0.0.0/8", ((80, 80),)),
        ("10.1.2.3:80", "10.1.2.3/32", ((80, 80),)),
        ("10.0.0.0/8:80,8000-8100,1-1", "10.0.0.0/8", ((80, 80), (8000, 8100), (1, 1))),
        ("0.0.0.0/0:1-65535", "0.0.0.0/0", ((1, 65535),)),
        ("fd00::/8", "fd00::/8", ()),
        ("::1", "::1/128", ()),
        ("::/0", "::/0", ()),
        ("fd00::1:80", "fd00::1:80/128", ()),  # without brackets it is all address
        ("[fd00::/8]", "fd00::/8", ()),
        ("[fd00::/8]:443", "fd00::/8", ((443, 443),)),
        ("[::1]:1-2,4", "::1/128", ((1, 2), (4, 4))),
        ("[10.0.0.0/8]:80", "10.0.0.0/8", ((80, 80),)),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8", ()),
        ("[::ffff:10.0.0.0/104]:80", "10.0.0.0/8", ((80, 80),)),
    ],
)
def test_a_rule_is_a_network_and_perhaps_ports(text: str, network: str, ports: tuple[tuple[int, int], ...]) -> None:
    rule = parse_target_rule(text)
    assert str(rule.network) == network
    assert rule.ports == ports


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ":80",
        "host",
        "host:80",
        "10.0.0.0/8 ",
        " 10.0.0.0/8",
        "10.0.0.0/8\n",
        "10.0.0.0/8:80\n",
        "10.0.0.1/8",
        "10.0.0.1/8:80",
        "10.0.0.0/33",
        "10.0.0.0/8:",
        "10.0.0.0/8:0",
        "10.0.0.0/8:65536",
        "10.0.0.0/8:99999999999999999999",
        "10.0.0.0/8:90-80",
        "10.0.0.0/8:80-",
        "10.0.0.0/8:-80",
        "10.0.0.0/8:-",
        "10.0.0.0/8:80,",
        "10.0.0.0/8:,80",
        "10.0.0.0/8:80,,81",
        "10.0.0.0/8:80-81-82",
        "10.0.0.0/8:http",
        "10.0.0.0/8: 80",
        "10.0.0.0/8:+80",
        "10.0.0.0/8:\N{ARABIC-INDIC DIGIT ONE}",
        "10.0.0.0/8:80:81",
        "10.0.0/8",
        "0x0a000001",
        "[fd00::/8",
        "fd00::/8]",
        "[fd00::/8]:",
        "[fd00::/8]443",
        "[]:80",
        "[host]:80",
        "fd00::1/8",
    ],
)
def test_anything_else_is_no_rule_and_the_message_is_one_short_line(text: str) -> None:
    with pytest.raises(BadAddress) as refusal:
        parse_target_rule(text)
    assert len(str(refusal.value)) < 250
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("10.0.0.0/8:http", "10.0.0.0/8:80,8000-8100"),
        ("host/8:1", "10.0.0.0/8:80,8000-8100"),
        ("fd00::/8:443", "[fd00::/8]:443"),
    ],
)
def test_the_message_shows_how_ports_are_written(text: str, shown: str) -> None:
    with pytest.raises(BadAddress) as refusal:
        parse_target_rule(text)
    assert str(refusal.value) == f"{text!r} is not CIDR:PORTS such as {shown}"


def test_the_message_says_what_is_wrong_with_a_port() -> None:
    with pytest.raises(BadAddress, match="'90-80' is not within 1 to 65535"):
        parse_target_rule("10.0.0.0/8:90-80")
    with pytest.raises(BadAddress, match="'80-' is not a port or a range of ports such as 8000-8100"):
        parse_target_rule("10.0.0.0/8:80-")


@settings(database=None, deadline=None, max_examples=500)
@given(st.text("0123456789.:/[]-,af ", max_size=25) | st.text(max_size=10))
def test_any_text_is_a_rule_or_a_bad_address(text: str) -> None:
    try:
        rule = parse_target_rule(text)
    except BadAddress:
        return
    assert all(1 <= low <= high <= 65535 for low, high in rule.ports)


# What they judge


def test_without_rules_every_address_is_good() -> None:
    for host in ("127.0.0.1", "10.0.0.1", "::1", "0.0.0.0", "::", "fe80::1%lo"):
        assert rules().problem(host, 1) is None


def test_what_is_no_address_is_never_good() -> None:
    for host in ("", "localhost", "10.0.0", "unix:/a"):
        assert rules().problem(host, 1) == "no IP address"


@pytest.mark.parametrize(
    ("host", "port", "problem"),
    [
        ("10.0.0.1", 80, None),
        ("10.0.0.1", 8050, None),
        ("10.0.0.1", 81, "not allowed (--allow-target)"),
        ("11.0.0.1", 80, "not allowed (--allow-target)"),
        ("10.0.9.1", 80, "denied (--deny-target)"),
        ("10.0.9.1", 81, "denied (--deny-target)"),
        ("10.0.8.1", 80, None),
        ("10.0.8.1", 8000, "denied (--deny-target)"),
        ("fd00::1", 1, None),
        ("fd01::1", 1, "not allowed (--allow-target)"),
        ("::ffff:10.0.0.1", 80, None),
        ("::ffff:10.0.9.1", 80, "denied (--deny-target)"),
        ("::ffff:a00:901", 80, "denied (--deny-target)"),
    ],
)
def test_deny_wins_and_ports_count(host: str, port: int, problem: str | None) -> None:
    judge = rules(("10.0.0.0/8:80,8000-8100", "fd00::/16"), ("10.0.9.0/24", "10.0.8.0/24:8000"))
    assert judge.problem(host, port) == problem


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "::ffff:127.0.0.1",
        "::ffff:0.0.0.0",
        "::1",
        "::",
        "::1%1",
        "::%1",
        "::%lo",
    ],
)
def test_who_denies_loopback_denies_every_way_to_it(host: str) -> None:
    judge = rules(deny=("127.0.0.0/8", "::1"))
    assert judge.problem(host, 80) == "denied (--deny-target)"
    judge = rules(allow=("10.0.0.0/8", "fd00::/8"))
    assert judge.problem(host, 80) == "not allowed (--allow-target)"


@pytest.mark.parametrize(
    ("host", "reached"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.1", "10.0.0.1"), ("::1", "::1"), ("::ffff:0:0", "127.0.0.1")],
)
def test_any_is_loopback(host: str, reached: str) -> None:
    assert str(reached_by(host)) == reached


def test_what_is_no_address_reaches_none() -> None:
    assert reached_by("localhost") is None


def test_one_family_says_nothing_of_the_other() -> None:
    assert rules(deny=("0.0.0.0/0",)).problem("fd00::1", 1) is None
    assert rules(deny=("::/0",)).problem("10.0.0.1", 1) is None
    assert rules(allow=("::/0",)).problem("10.0.0.1", 1) is not None


@settings(database=None, deadline=None, max_examples=300)
@given(st.ip_addresses(v=4), st.integers(0, 32), st.ip_addresses(v=4), st.integers(1, 65535))
def test_a_denied_network_is_denied_and_nothing_else(
    base: ipaddress.IPv4Address, prefix: int, host: ipaddress.IPv4Address, port: int
) -> None:
    network = ipaddress.ip_network((base, prefix), strict=False)
    reached = ipaddress.ip_address("127.0.0.1") if host.is_unspecified else host
    assert (rules(deny=(str(network),)).problem(str(host), port) is None) is (reached not in network)
    assert (rules(allow=(str(network),)).problem(str(host), port) is None) is (reached in network)
