"""The pool's configuration in the ways of its ancestor."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.errors import ConfigError
from proxymux.pool.ancestor import MAX_TARGETS, AncestorValues, from_environment, from_object
from proxymux.pool.settings import mode_by_rule

#: The ancestor's own example, as its fifth test has it.
ENVIRONMENT = {
    "LOG_LEVEL": "3",
    "LOCAL_HOST": "localhost",
    "LOCAL_PORT": "5511",
    "EXCHANGE_FUNNEL_ASYNC": "0",
    "PROXY_CONNECTIONS_CNT": "1",
    "TARGET_HOST_1": "localhost",
    "TARGET_PORT_1": "7711",
    "TARGET_CONN_1_KEEP_ALIVE": "0",
}
OBJECT: dict[str, Any] = {
    "logLevel": 3,
    "localServerHost": "localhost",
    "localServerPort": 5511,
    "exchangeFunnelAsync": False,
    "proxyConnectionsCount": 1,
    "targetServers": [{"host": "localhost", "port": 7711, "keepAlive": False}],
}
NOTHING = AncestorValues(
    target=(),
    listen=None,
    ipv6_only=False,
    max_connections=None,
    async_=False,
    inactivity_timeout=None,
    keep_alive=False,
    log_level=None,
)
EXPECTED: dict[str, Any] = {
    **NOTHING,
    "target": ("localhost:7711",),
    "listen": "tcp:5511:interface=localhost",
    "log_level": "debug",
}


def complaint(environment: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        from_environment(environment)
    text = str(caught.value)
    assert "\n" not in text
    return text


def object_complaint(config: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        from_object(config)
    text = str(caught.value)
    assert "\n" not in text
    return text


# The environment


@pytest.mark.parametrize(
    "name", ["LOCAL_HOST", "LOCAL_PORT", "PROXY_CONNECTIONS_CNT", "TARGET_HOST_1", "TARGET_PORT_1"]
)
@pytest.mark.parametrize("empty", [False, True])
def test_1_what_is_required_and_missing_or_empty_is_named(name: str, empty: bool) -> None:
    environment = {key: value for key, value in ENVIRONMENT.items() if key != name}
    if empty:
        environment[name] = ""
    assert complaint(environment) == f"{name}: is required"


@pytest.mark.parametrize("name", ["LOG_LEVEL", "EXCHANGE_FUNNEL_ASYNC", "TARGET_CONN_1_KEEP_ALIVE"])
@pytest.mark.parametrize("empty", [False, True])
def test_2_what_is_optional_may_be_missing_or_empty(name: str, empty: bool) -> None:
    environment = {key: value for key, value in ENVIRONMENT.items() if key != name}
    if empty:
        environment[name] = ""
    config = from_environment(environment)
    assert config["target"] == EXPECTED["target"]
    assert config["log_level"] == (None if name == "LOG_LEVEL" else "debug")


def test_5_the_environment_becomes_its_configuration() -> None:
    assert from_environment(ENVIRONMENT) == EXPECTED


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("LOG_LEVEL", "0", "log_level", "error"),
        ("LOG_LEVEL", "1", "log_level", "error"),
        ("LOG_LEVEL", "2", "log_level", "info"),
        ("LOCAL_IPV6_ONLY", "1", "ipv6_only", True),
        ("LOCAL_IPV6_ONLY", "0", "ipv6_only", False),
        ("LOCAL_MAX_CONNECTIONS", "5", "max_connections", 5),
        ("LOCAL_MAX_CONNECTIONS", "-1", "max_connections", None),
        ("LOCAL_MAX_CONNECTIONS", "-2", "max_connections", None),
        ("LOCAL_MAX_CONNECTIONS", "0", "max_connections", None),
        ("EXCHANGE_FUNNEL_ASYNC", "1", "async_", True),
        ("EXCHANGE_FUNNEL_ASYNC", "true", "async_", True),
        ("PROXY_INACTIVE_TIMEOUT", "30000", "inactivity_timeout", 30000),
        ("PROXY_INACTIVE_TIMEOUT", "-1", "inactivity_timeout", None),
        ("TARGET_CONN_1_KEEP_ALIVE", "1", "keep_alive", True),
        ("LOCAL_PORT", "0", "listen", "tcp:0:interface=localhost"),
        ("TARGET_HOST_1", "10.0.0.1", "target", ("10.0.0.1:7711",)),
        ("TARGET_HOST_1", "::1", "target", ("[::1]:7711",)),
        ("TARGET_HOST_1", "[::1]", "target", ("[::1]:7711",)),
    ],
)
def test_a_variable_becomes_its_field(name: str, value: str, field: str, expected: Any) -> None:
    assert dict(from_environment({**ENVIRONMENT, name: value}))[field] == expected


def test_the_targets_keep_their_order() -> None:
    environment = {**ENVIRONMENT, "PROXY_CONNECTIONS_CNT": "12"}
    for number in range(1, 13):
        environment |= {f"TARGET_HOST_{number}": f"10.0.0.{number}", f"TARGET_PORT_{number}": str(number)}
    assert from_environment(environment)["target"] == tuple(f"10.0.0.{number}:{number}" for number in range(1, 13))


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("LOG_LEVEL", "4", "0, 1, 2 or 3 is"),
        ("LOG_LEVEL", "info", "0, 1, 2 or 3 is"),
        *[("LOCAL_PORT", value, "a port from 0 to 65535 is") for value in ("abc", "12abc", "65536", "-1", "1.5", " 1")],
        *[
            ("PROXY_CONNECTIONS_CNT", value, f"a number of targets from 1 to {MAX_TARGETS} is")
            for value in ("0", "-1", "12abc", "abc", "NaN", "1e3", "99999", "9" * 5000)
        ],
        *[("TARGET_PORT_1", value, "a port from 1 to 65535 is") for value in ("abc", "77x", "0", "65536")],
        *[
            (name, value, "a whole number, or -1 for off is")
            for name in ("LOCAL_MAX_CONNECTIONS", "PROXY_INACTIVE_TIMEOUT")
            for value in ("many", "10s", "1.5", "99999999999")
        ],
        *[
            (name, value, "0 or 1 is")
            for name in ("LOCAL_IPV6_ONLY", "EXCHANGE_FUNNEL_ASYNC", "TARGET_CONN_1_KEEP_ALIVE")
            for value in ("2", "yes", "-1")
        ],
    ],
    ids=lambda value: value[:20],
)
def test_a_bad_value_names_its_variable_and_what_is_accepted(name: str, value: str, accepted: str) -> None:
    text = complaint({**ENVIRONMENT, name: value})
    assert text.startswith(f"{name}: ")
    assert text.endswith(f" is not accepted; {accepted}")
    assert len(text) < 300


@pytest.mark.parametrize("host", ["a b", "a\x1b[31m", "10.0.0.256", "unix:/x"])
def test_a_host_that_is_none_names_its_variable(host: str) -> None:
    text = complaint({**ENVIRONMENT, "TARGET_HOST_1": host})
    assert text.startswith("TARGET_HOST_1: ")
    assert text.isprintable()


def test_a_count_that_does_not_match_the_targets_is_said() -> None:
    more = {"TARGET_HOST_2": "10.0.0.2", "TARGET_PORT_2": "1"}
    assert complaint({**ENVIRONMENT, **more}).startswith("PROXY_CONNECTIONS_CNT: is 1, but TARGET_HOST_2 is set too")
    assert complaint({**ENVIRONMENT, "PROXY_CONNECTIONS_CNT": "2"}) == "TARGET_HOST_2: is required"


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*ENVIRONMENT, "LOCAL_MAX_CONNECTIONS", "TARGET_HOST_2"]), st.text()))
def test_whatever_stands_in_the_environment_it_is_read_or_refused_in_one_line(given: dict[str, str]) -> None:
    complaints: list[str] = []
    try:
        from_environment({**ENVIRONMENT, **given})
    except ConfigError as error:
        complaints = str(error).splitlines()
    assert len(complaints) <= 1


# The object


@pytest.mark.parametrize("make", [dict, lambda given: SimpleNamespace(**given)], ids=["mapping", "attributes"])
def test_the_object_may_be_a_mapping_or_have_attributes(make: Any) -> None:
    servers = [make(server) for server in OBJECT["targetServers"]]
    assert from_object(make({**OBJECT, "targetServers": servers})) == EXPECTED


def test_what_the_object_does_not_say_is_not_given() -> None:
    config = from_object({"proxyConnectionsCount": 1, "targetServers": [{"host": "a", "port": 1}]})
    assert config == {**NOTHING, "target": ("a:1",)}


@pytest.mark.parametrize(
    ("key", "value", "field", "expected"),
    [
        ("localServerMaxConnections", 5, "max_connections", 5),
        ("localServerMaxConnections", -1, "max_connections", None),
        ("localServerIpv6Only", True, "ipv6_only", True),
        ("localServerIpv6Only", 1, "ipv6_only", True),
        ("exchangeFunnelAsync", True, "async_", True),
        ("proxyInactivityTimeout", 200, "inactivity_timeout", 200),
        ("localServerPort", "5511", "listen", "tcp:5511:interface=localhost"),
        ("targetServers", [{"host": "a", "port": 1, "keepAlive": True}], "keep_alive", True),
        ("targetServers", ({"host": "a", "port": "1"},), "target", ("a:1",)),
    ],
)
def test_a_key_becomes_its_field(key: str, value: Any, field: str, expected: Any) -> None:
    assert dict(from_object({**OBJECT, key: value}))[field] == expected


def test_6_a_count_without_as_many_targets_is_refused() -> None:
    text = object_complaint({"proxyConnectionsCount": 1, "targetServers": []})
    assert text == "proxyConnectionsCount: 1 does not match the number of target servers, 0"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("proxyConnectionsCount", None, "proxyConnectionsCount: is required"),
        ("proxyConnectionsCount", 0, "proxyConnectionsCount: 0 is not accepted; "),
        ("proxyConnectionsCount", True, "proxyConnectionsCount: True is not accepted; "),
        ("proxyConnectionsCount", float("nan"), "proxyConnectionsCount: nan is not accepted; "),
        ("targetServers", None, "targetServers: is no list"),
        ("targetServers", "localhost", "targetServers: is no list"),
        ("targetServers", [{"host": "a"}], "targetServers 1: has no host or no port"),
        ("targetServers", [{"port": 1}], "targetServers 1: has no host or no port"),
        ("targetServers", [None], "targetServers 1: has no host or no port"),
        ("targetServers", [{"host": "a", "port": "x"}], "targetServers 1: port: 'x' is not accepted; "),
        ("targetServers", [{"host": "a b", "port": 1}], "targetServers 1: host: 'a b:1': 'a b' is not a host name"),
        ("targetServers", [{"host": "a", "port": 1, "keepAlive": 2}], "keepAlive: 2 is not accepted; "),
        ("localServerPort", 65536, "localServerPort: 65536 is not accepted; "),
        ("localServerPort", 1.5, "localServerPort: 1.5 is not accepted; "),
        ("localServerMaxConnections", "many", "localServerMaxConnections: 'many' is not accepted; "),
        ("exchangeFunnelAsync", "perhaps", "exchangeFunnelAsync: 'perhaps' is not accepted; "),
        ("proxyInactivityTimeout", [], "proxyInactivityTimeout: [] is not accepted; "),
        ("logLevel", 4, "logLevel: 4 is not accepted; "),
    ],
)
def test_a_bad_value_names_its_key(key: str, value: Any, words: str) -> None:
    assert object_complaint({**OBJECT, key: value}).startswith(words)


@pytest.mark.parametrize("config", [None, 1, "text", [], object()])
def test_what_is_no_configuration_at_all_is_refused(config: Any) -> None:
    assert object_complaint(config) == "proxyConnectionsCount: is required"


# The mode


@pytest.mark.parametrize(
    ("targets", "most", "mode"),
    [
        (1, None, "fifo"),
        (1, 1, "proxy"),
        (1, 2, "fifo"),
        (2, None, "funnel"),
        (2, 1, "funnel"),
        (2, 2, "proxy"),
        (2, 3, "funnel"),
        (100, 100, "proxy"),
    ],
)
def test_the_numbers_make_the_mode(targets: int, most: int | None, mode: str) -> None:
    assert mode_by_rule(targets, most) == mode
