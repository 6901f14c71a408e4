from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.check_spec import CheckSpec
from proxymux.core.cluster_spec import HASHED, HASHES, OPTIONS, PLACING, POLICIES, ClusterSpec, parse_cluster
from proxymux.core.health import HealthRules
from proxymux.core.upstream_tls import UpstreamTls
from proxymux.errors import BadAddress

SOURCE = "10.0.0.1:80,10.0.0.2:80 weight=3"
#: Passwords and tokens, wherever they may stand.
SECRET = "s3cret"


def is_one_line(problem: BadAddress, begins: str = "") -> None:
    assert str(problem).startswith(begins)
    assert "\n" not in str(problem)


def refusal(text: str) -> str:
    with pytest.raises(BadAddress) as caught:
        parse_cluster(text)
    is_one_line(caught.value)
    return str(caught.value)


def spec(*options: str) -> ClusterSpec:
    return parse_cluster(";".join([f"users={SOURCE}", *options]))


def test_a_name_and_a_source_are_enough() -> None:
    found = parse_cluster(f"users= {SOURCE} ")
    assert found == ClusterSpec("users", SOURCE)
    assert str(found) == "users"
    assert (found.policy, found.check, found.checks_ejected, found.health) == ("round-robin", None, True, HealthRules())
    assert (found.connections, found.weight, found.slow_start, found.max_ejected) == (None, 1, 0.0, 0.5)


@pytest.mark.parametrize(
    "source",
    [
        "srv://_http._tcp.example.com",
        "etcd://user:s3cret@etcd.example:2379/prefix/",
        "consul://host:8500/service?tag=a&passing=true&token=s3cret",
        "file:/etc/targets=old",
    ],
)
def test_the_source_is_taken_as_it_is_and_never_shown(source: str) -> None:
    found = parse_cluster(f"users={source};policy=random")
    assert (found.source, found.policy) == (source, "random")
    assert source not in repr(found)
    assert SECRET not in repr(found)


def test_every_option_says_what_it_says() -> None:
    found = spec(
        *("policy=ketama", "hash=key", "hash=md5", "hash_tag={}", "health=http:/up", "status=200", "expect=ok"),
        *("interval=5", "timeout=.5", "rise=1", "fall=10", "connections=4", "weight=9", "slow_start=30"),
        *("max_ejected=25%", "tls=db.example"),
    )
    assert found == ClusterSpec(
        "users",
        SOURCE,
        policy="ketama",
        key_of="key",
        hash_name="md5",
        hash_tag="{}",
        check=CheckSpec("http", "/up", (200, 200), expect=b"ok"),
        health=HealthRules(1, 10, 5.0, True),
        timeout=0.5,
        connections=4,
        weight=9,
        slow_start=30.0,
        max_ejected=0.25,
        tls=UpstreamTls("db.example"),
    )


def test_health_off_sends_no_check_at_all() -> None:
    off = spec("health=off")
    assert (off.check, off.checks_ejected, off.health.is_checked) == (None, False, False)
    unsaid = spec()
    assert (unsaid.check, unsaid.checks_ejected, unsaid.health.is_checked) == (None, True, True)


def test_a_check_may_take_an_interval_where_nothing_else_is_said() -> None:
    assert spec("interval=0.5").timeout == 0.5
    assert spec("interval=500ms").timeout == 0.5
    assert spec("slow_start=2m").slow_start == 120.0
    assert spec("interval=0.5", "timeout=3").timeout == 3.0


@pytest.mark.parametrize("policy", POLICIES)
def test_hash_says_what_or_how_where_the_policy_places_keys(policy: str) -> None:
    is_placing, is_hashed = policy in PLACING, policy in HASHED
    for option, is_taken in (("hash=client", is_placing), ("hash=key", is_placing), ("hash_tag=[]", is_hashed)):
        if is_taken:
            assert spec(f"policy={policy}", option).policy == policy
        else:
            problem = refusal(f"users={SOURCE};policy={policy};{option}")
            assert problem == f"users: {option.partition('=')[0]}: means nothing with policy={policy}"
    for name in HASHES:
        if is_hashed:
            assert spec(f"policy={policy}", f"hash={name}").hash_name == name
        else:
            assert "hash: means nothing" in refusal(f"users={SOURCE};policy={policy};hash={name}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "NAME=SOURCE is accepted, such as users=10.0.0.1:80,10.0.0.2:80;policy=random"),
        ("users", "NAME=SOURCE is accepted"),
        ("=10.0.0.1:80", "'' is not a cluster's name"),
        ("1=10.0.0.1:80", "'1' is not a cluster's name"),
        ("a b=10.0.0.1:80", "'a b' is not a cluster's name"),
        ("users=", "users: has no source; targets, file:, srv://, etcd://, consul:// or rediscluster:// is one"),
        ("users= ;policy=random", "users: has no source"),
        ("users=a:1;", "users: what stands behind a ; is no option; policy, hash, "),
        ("users=a:1;Policy=random", "is no option; policy"),
        ("users=a:1;polcy=random", "users: 'polcy' is no option; "),
        ("users=a:1;policy", "users: policy has no value; write policy=VALUE"),
        ("users=a:1;policy=", "users: policy has no value"),
        ("users=a:1;policy=fair", f"users: policy: 'fair' is not accepted; {', '.join(POLICIES)} are"),
        ("users=a:1;policy=random;policy=random", "users: policy is given twice"),
        ("users=a:1;policy=hash;hash=key;hash=client", "users: hash is given twice"),
        ("users=a:1;policy=ketama;hash=md5;hash=crc32", "users: hash is given twice"),
        ("users=a:1;policy=ketama;hash=sha1", f"hash: 'sha1' is not accepted; {', '.join(HASHES)}, client, key are"),
        ("users=a:1;policy=ketama;hash_tag={", "hash_tag: '{' is not accepted; two characters such as {} are"),
        ("users=a:1;policy=ketama;hash_tag=äö", "hash_tag: 'äö' is not accepted"),
        ("users=a:1;health=ping", "users: health: 'ping' is not accepted; off, tcp"),
        ("users=a:1;send=x", "users: send: means nothing with health=off"),
        (
            "users=a:1;interval=0",
            "interval: '0' is not accepted; a number of seconds from 0.01 to 86400, or with a unit such as",
        ),
        ("users=a:1;interval=1e3", "interval: '1e3' is not accepted"),
        ("users=a:1;interval=inf", "interval: 'inf' is not accepted"),
        ("users=a:1;timeout=-1", "timeout: '-1' is not accepted"),
        ("users=a:1;timeout=2d", "timeout: '2d' is not accepted"),
        ("users=a:1;rise=1k", "rise: '1k' is not accepted"),
        ("users=a:1;timeout=86401", "timeout: '86401' is not accepted"),
        ("users=a:1;rise=0", "rise: '0' is not accepted; a whole number from 1 to 1000 is"),
        ("users=a:1;fall=1.0", "fall: '1.0' is not accepted; a whole number from 1 to 1000 is"),
        ("users=a:1;fall=\uff11", "fall: '\uff11' is not accepted"),
        ("users=a:1;connections=0", "connections: '0' is not accepted; a whole number from 1 to 1e+06 is"),
        ("users=a:1;weight=65536", "weight: '65536' is not a whole number from 0 to 65535"),
        (
            "users=a:1;slow_start=x",
            "slow_start: 'x' is not accepted; a number of seconds from 0 to 86400, or with a unit",
        ),
        ("users=a:1;max_ejected=50", "max_ejected: '50' is not accepted; a percentage from 0% to 100% is"),
        ("users=a:1;max_ejected=101%", "max_ejected: '101%' is not accepted"),
        ("users=a:1;tls=a b", "users: tls: 'a b' is not a server name"),
    ],
)
def test_anything_else_is_refused_in_a_line_that_says_what_is_accepted(text: str, problem: str) -> None:
    assert problem in refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        f"etcd://user:{SECRET}@host:2379/prefix/;policy=random",  # the name was forgotten
        f"etcd://user:{SECRET}@host:2379/prefix/",
        f"consul://host:8500/service?token={SECRET}",
        f"users=etcd://user:a;{SECRET}@host:2379/prefix/",  # a ; that should have been escaped
        f"users=etcd://user:a;b={SECRET}@host:2379/prefix/",
        f"users=consul://host:8500/service?token={SECRET};polcy=random",
        f"users=etcd://user:{SECRET}@host:2379/;policy=fair",
    ],
)
def test_no_password_is_in_the_line(text: str) -> None:
    assert SECRET not in refusal(text)


@given(st.lists(st.tuples(st.sampled_from(OPTIONS), st.text(max_size=8)), max_size=4))
def test_whatever_is_written_is_read_or_refused_in_one_line(options: list[tuple[str, str]]) -> None:
    try:
        spec(*(f"{name}={value}" for name, value in options))
    except BadAddress as problem:
        is_one_line(problem, "users: ")


@given(st.text())
def test_any_text_is_a_cluster_or_refused_in_one_line(text: str) -> None:
    try:
        parse_cluster(text)
    except BadAddress as problem:
        is_one_line(problem)
