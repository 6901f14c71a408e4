from __future__ import annotations

import ipaddress
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core.admission import Admission, Network, Networks, parse_ip_address, parse_network, parse_networks
from proxymux.core.presence import LocalPresence
from proxymux.core.rate_limit import LocalTimes, Rate, RateLimit
from proxymux.errors import BadAddress

quick = settings(database=None, deadline=None, max_examples=300)


def networks(*texts: str) -> list[Network]:
    return [parse_network(text) for text in texts]


def admission(
    allow: tuple[str, ...] = (),
    deny: tuple[str, ...] = (),
    total: int | None = None,
    per_client: int | None = None,
) -> Admission:
    return Admission(networks(*allow), networks(*deny), total, per_client)


# Networks as text


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("192.0.2.1", "192.0.2.1/32"),
        ("192.0.2.1/32", "192.0.2.1/32"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("::/0", "::/0"),
        ("::1", "::1/128"),
    ],
)
def test_a_cidr_or_an_address_is_a_network(text: str, network: str) -> None:
    assert parse_network(text) == ipaddress.ip_network(network)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "nonsense",
        "localhost",
        "10",
        "10.0.0",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/8/8",
        "10.0.0.0/ 8",
        " 10.0.0.0/8",
        "10.0.0.0/8 ",
        "10.0.0.0/8\n",
        "10.0.0.256/32",
        "010.0.0.0/8",
        "10.0.0.0-10.0.0.9",
        "10.0.0.*",
        "2001:db8::/129",
        "[2001:db8::]/32",
        "10.0.0.1:80",
        "x" * 10_000,
    ],
)
def test_what_is_no_network_is_refused_with_an_example_in_one_line(text: str) -> None:
    with pytest.raises(BadAddress, match=r"such as 10\.0\.0\.0/8") as refusal:
        parse_network(text)
    assert len(str(refusal.value).splitlines()) == 1
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    ("text", "meant"),
    [("10.0.0.1/8", "10.0.0.0/8"), ("192.0.2.77/24", "192.0.2.0/24"), ("2001:db8::1/32", "2001:db8::/32")],
)
def test_bits_beyond_the_prefix_are_refused_with_what_may_be_meant(text: str, meant: str) -> None:
    with pytest.raises(BadAddress, match=f"beyond its prefix; {meant} may be meant"):
        parse_network(text)


@quick
@given(st.text())
def test_any_text_is_a_network_or_a_bad_address(text: str) -> None:
    try:
        parse_network(text)
    except BadAddress:
        pass


def test_a_file_is_one_network_a_line_with_comments_and_empty_lines() -> None:
    lines = ["# nobody from here\n", "10.0.0.0/8\n", "\n", "   \n", "  192.0.2.1  # him neither\n", "#\n", "::1\r\n"]
    assert list(parse_networks(lines)) == networks("10.0.0.0/8", "192.0.2.1", "::1")


def test_an_empty_file_is_no_network() -> None:
    assert parse_networks([]) == ()


def test_a_bad_line_is_named_by_its_number() -> None:
    with pytest.raises(BadAddress, match=r"^line 3: 'nonsense' is not"):
        parse_networks(["# one\n", "10.0.0.0/8\n", "nonsense\n"])


def test_two_networks_on_a_line_are_refused() -> None:
    with pytest.raises(BadAddress, match=r"^line 1: "):
        parse_networks(["10.0.0.0/8 192.0.2.0/24\n"])


# Addresses as text


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::1", "::1"),
        ("::192.0.2.1", "::c000:201"),
    ],
)
def test_an_address_is_read_and_ipv4_in_ipv6_is_ipv4(text: str, address: str) -> None:
    assert parse_ip_address(text) == ipaddress.ip_address(address)


@pytest.mark.parametrize("text", ["", "unix:/run/a.sock", "unix:", "localhost", "192.0.2", "192.0.2.1:80"])
def test_what_has_no_address_has_none(text: str) -> None:
    assert parse_ip_address(text) is None


# Membership


def test_no_networks_are_false_and_hold_nothing() -> None:
    assert not Networks()
    assert ipaddress.ip_address("192.0.2.1") not in Networks()


def test_networks_hold_what_any_of_them_holds() -> None:
    known = Networks(networks("10.0.0.0/8", "10.1.0.0/16", "192.0.2.1", "2001:db8::/32"))
    assert known
    for text in ["10.0.0.0", "10.1.2.3", "10.255.255.255", "192.0.2.1", "2001:db8:ffff::1"]:
        assert ipaddress.ip_address(text) in known, text
    for text in ["9.255.255.255", "11.0.0.0", "192.0.2.0", "192.0.2.2", "2001:db9::", "::a00:1"]:
        assert ipaddress.ip_address(text) not in known, text


@pytest.mark.parametrize(
    ("everything", "inside", "outside"), [("0.0.0.0/0", "0.0.0.0", "::"), ("::/0", "::", "1.1.1.1")]
)
def test_everything_of_one_version_is_nothing_of_the_other(everything: str, inside: str, outside: str) -> None:
    known = Networks(networks(everything))
    assert ipaddress.ip_address(inside) in known
    assert ipaddress.ip_address(outside) not in known


def test_a_network_of_ipv4_in_ipv6_means_the_ipv4_clients() -> None:
    known = Networks(networks("::ffff:10.0.0.0/104", "::ffff:192.0.2.1"))
    for text in ["10.1.2.3", "::ffff:10.1.2.3", "192.0.2.1"]:
        address = parse_ip_address(text)
        assert address is not None
        assert address in known, text
    assert ipaddress.ip_address("11.0.0.1") not in known


_v4 = st.tuples(st.ip_addresses(v=4), st.integers(0, 32))
_v6 = st.tuples(st.ip_addresses(v=6), st.integers(0, 128))
_networks = st.one_of(_v4, _v6).map(lambda pair: ipaddress.ip_network(pair, strict=False))


@quick
@given(st.lists(_networks, max_size=8), st.booleans(), st.data())
def test_networks_agree_with_ipaddress(known: list[Network], is_near: bool, data: st.DataObject) -> None:
    if known and is_near:
        # One that is inside or just outside, which a random one never is.
        near = data.draw(st.sampled_from(known))
        number = data.draw(st.sampled_from([int(near.network_address) - 1, int(near.network_address)]))
        number += data.draw(st.sampled_from([0, near.num_addresses - 1, near.num_addresses]))
        number = max(0, min(number, 2**near.max_prefixlen - 1))
        address = type(near.network_address)(number)
    else:
        address = data.draw(st.ip_addresses())
    expected = any(address in network for network in known)
    assert (address in Networks(known)) == expected


# Admission by address


def test_without_rules_everybody_is_admitted() -> None:
    everybody = admission()
    for host in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "unix:/run/a.sock", "unix:"]:
        assert everybody.arrive() is None
        assert everybody.admit(host) is None


def test_who_is_allowed_comes_in_and_nobody_else() -> None:
    some = admission(allow=("10.0.0.0/8", "2001:db8::/32"))
    assert some.admit("10.1.2.3") is None
    assert some.admit("::ffff:10.1.2.3") is None
    assert some.admit("2001:db8::1") is None
    assert some.admit("192.0.2.1") == "address not allowed (--allow)"
    assert some.admit("2001:db9::1") == "address not allowed (--allow)"


def test_who_is_denied_stays_out() -> None:
    some = admission(deny=("10.0.0.0/8",))
    assert some.admit("10.1.2.3") == "address denied (--deny, --deny-file, --deny-cluster)"
    assert some.admit("::ffff:10.1.2.3") == "address denied (--deny, --deny-file, --deny-cluster)"
    assert some.admit("192.0.2.1") is None


def test_deny_wins_over_allow_however_narrow() -> None:
    some = admission(allow=("10.1.2.3", "10.0.0.0/8"), deny=("10.0.0.0/8",))
    assert some.admit("10.1.2.3") == "address denied (--deny, --deny-file, --deny-cluster)"
    narrow = admission(allow=("10.0.0.0/8",), deny=("10.1.2.3",))
    assert narrow.admit("10.1.2.3") is not None
    assert narrow.admit("10.1.2.4") is None


def test_a_reload_replaces_who_is_denied_and_nothing_else() -> None:
    some = admission(allow=("10.0.0.0/8",), deny=("10.1.0.0/16",))
    some.deny(networks("10.2.0.0/16"))
    assert some.admit("10.1.0.1") is None
    assert some.admit("10.2.0.1") is not None
    assert some.admit("192.0.2.1") == "address not allowed (--allow)"
    some.deny([])
    assert some.admit("10.2.0.1") is None


def test_a_client_without_an_address_is_under_the_total_limit_only() -> None:
    some = admission(allow=("10.0.0.0/8",), deny=("0.0.0.0/0", "::/0"), per_client=1, total=3)
    for _ in range(3):
        assert some.arrive() is None
        assert some.admit("unix:/run/a.sock") is None
    assert some.arrive() is not None


# Limits


def test_one_client_over_the_total_is_one_too_many_until_another_leaves() -> None:
    two = admission(total=2)
    assert [two.arrive(), two.arrive(), two.arrive()] == [None, None, "more than 2 clients (--max-connections)"]
    assert two.arrive() is not None
    two.leave(None)
    assert two.arrive() is None
    assert two.arrive() is not None


def test_who_is_refused_for_the_total_is_not_counted() -> None:
    one = admission(total=1)
    assert one.arrive() is None
    for _ in range(5):
        assert one.arrive() is not None
    one.leave(None)
    assert one.arrive() is None


def test_one_client_over_the_limit_of_its_address_is_one_too_many_until_another_leaves() -> None:
    two = admission(per_client=2)
    reason = "more than 2 clients from one address (--max-per-client)"
    assert [two.admit("192.0.2.1") for _ in range(3)] == [None, None, reason]
    assert two.admit("192.0.2.2") is None
    two.leave("192.0.2.1")
    assert two.admit("192.0.2.1") is None
    assert two.admit("192.0.2.1") == reason


def test_ipv4_in_ipv6_and_a_zone_do_not_make_another_client() -> None:
    one = admission(per_client=1)
    assert one.admit("192.0.2.1") is None
    assert one.admit("::ffff:192.0.2.1") is not None
    assert one.admit("fe80::1%eth0") is None
    assert one.admit("fe80::1%eth1") is not None
    one.leave("::ffff:192.0.2.1")
    assert one.admit("192.0.2.1") is None


def test_who_is_denied_is_not_counted_under_its_address() -> None:
    one = admission(deny=("192.0.2.1",), per_client=1)
    assert one.admit("192.0.2.1") is not None
    one.deny([])
    assert one.admit("192.0.2.1") is None


# Rate


def test_what_another_rule_refuses_takes_nothing_from_the_rate_and_what_the_rate_refuses_counts_nowhere() -> None:
    rate = Rate(2, 10.0)
    some = Admission(deny=networks("192.0.2.9"), per_client=1, rate_limit=RateLimit(rate, LocalTimes(10.0), b""))
    assert some.judges
    assert some.admit("192.0.2.1", 100.0) is None
    assert "--max-per-client" in str(some.admit("192.0.2.1", 100.0))
    some.leave("192.0.2.1")
    assert some.admit("192.0.2.1", 100.0) is None
    some.leave("192.0.2.1")
    reason = "more than 2 in 10 s from one address (--max-rate)"
    assert [some.admit("192.0.2.1", 101.0), some.admit("::ffff:192.0.2.1", 101.0)] == [reason, reason]
    assert some.admit("192.0.2.1", 105.0) is None
    assert some.admit("unix:/run/a.sock", 105.0) is None


def test_ipv6_has_one_rate_for_a_64() -> None:
    some = Admission(rate_limit=RateLimit(Rate(1, 1.0), LocalTimes(1.0), b""))
    assert some.admit("2001:db8::1", 5.0) is None
    assert some.admit("2001:db8::2", 5.0) == "more than 1 in 1 s from one /64 (--max-rate)"
    assert some.admit("2001:db8:0:1::2", 5.0) is None


_hosts = st.sampled_from(["192.0.2.1", "192.0.2.2", "::ffff:192.0.2.1", "2001:db8::1", "10.0.0.1", "unix:/run/a.sock"])


@quick
@given(st.lists(st.tuples(st.booleans(), _hosts), max_size=60), st.integers(1, 6), st.integers(1, 3))
def test_counts_follow_arrivals_and_leaves_and_return_to_zero(
    happenings: list[tuple[bool, str]], total: int, per_client: int
) -> None:
    some = admission(deny=("10.0.0.0/8",), total=total, per_client=per_client)
    present: list[str | None] = []
    admitted: Counter[str] = Counter()
    for comes, host in happenings:
        key = str(parse_ip_address(host))
        if comes:
            refused = some.arrive()
            assert (refused is None) == (len(present) < total)
            if refused is not None:
                continue
            refused = some.admit(host)
            is_unix = host.startswith("unix:")
            assert (refused is None) == (is_unix or (key != "10.0.0.1" and admitted[key] < per_client))
            present.append(None if refused is not None else host)
            admitted[key] += refused is None and not is_unix
        elif present:
            gone = present.pop(0)
            some.leave(gone)
            if gone is not None and not gone.startswith("unix:"):
                admitted[str(parse_ip_address(gone))] -= 1
    for gone in present:
        some.leave(gone)
    assert [some.arrive() for _ in range(total)] == [None] * total
    assert some.arrive() is not None
    for host in ["192.0.2.1", "192.0.2.2", "2001:db8::1"]:
        assert [some.admit(host) for _ in range(per_client)] == [None] * per_client
        assert some.admit(host) is not None


def test_addresses_that_have_left_are_not_remembered() -> None:
    presence = LocalPresence()
    some = Admission(per_client=1, presence=presence)
    for number in range(1000):
        host = str(ipaddress.ip_address(number))
        assert some.arrive() is None
        assert some.admit(host) is None
        some.leave(host)
    assert len(presence) == 0


def test_a_client_that_comes_from_another_process_is_counted_whatever_the_limits() -> None:
    admission = Admission(total=1, per_client=1)
    for _ in range(2):
        admission.resume("192.0.2.1")
    admission.resume(None)
    assert admission.arrive() is not None
    assert admission.admit("192.0.2.1") is not None
    admission.leave("192.0.2.1")
    admission.leave("192.0.2.1")
    admission.leave(None)
    assert admission.arrive() is None
    assert admission.admit("192.0.2.1") is None
