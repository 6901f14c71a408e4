from __future__ import annotations

import dataclasses
import ipaddress
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import proxymux
from proxymux.core.rate_limit import Rate
from proxymux.errors import ConfigError
from proxymux.settings import Settings
from tests.docs.making import script

DOCS = Path(proxymux.__file__).parents[1] / "docs"
LAN = ipaddress.ip_network("10.0.0.0/8")

FLEET = "etcd://root:s3cret@10.0.0.1:2379/fleet/"

DEFAULTS: dict[str, Any] = {
    "listen": (),
    "trust_proxy": (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")),
    "allow": (),
    "deny": (),
    "deny_file": (),
    "cluster": (),
    "deny_cluster": None,
    "max_connections": None,
    "max_per_client": None,
    "max_rate": None,
    "decide_timeout": 30.0,
    "max_buffer": 65536,
    "backlog": 4096,
    "idle_timeout": 0.0,
    "rate": None,
    "workers": None,
    "workers_by_cpu": False,
    "rollover_timeout": None,
    "drain_timeout": 10.0,
    "queue_limit": 1024,
    "queue_timeout": 30.0,
    "send_proxy": None,
    "tls_client_ca": None,
    "tls_crl": None,
    "tls_allow": (),
    "tls_min": "1.2",
    "tls_alpn": (),
    "tls_key_password_file": None,
    "tls_ca": None,
    "tls_cert": None,
    "admin": None,
    "admin_token_file": None,
    "admin_host": (),
    "fleet": None,
    "access_log": None,
    "capture": None,
    "capture_limit": 1000,
    "log_level": "info",
    "log_format": "text",
    "log_syslog": None,
    "log_facility": "daemon",
    "relay": "auto",
    "tcp_keepalive": None,
    "tcp_user_timeout": None,
}

TLS_FILES = ("tls_client_ca", "tls_crl", "tls_key_password_file", "tls_ca", "tls_cert")

#: The settings that are one of some words.
WORDS = ("send_proxy", "tls_min", "log_level", "log_format", "log_facility", "relay")

GOOD: list[tuple[str, Any, Any]] = [
    ("listen", "tcp:8000", ("tcp:8000",)),
    ("listen", ["tcp:8000", "unix:/run/a"], ("tcp:8000", "unix:/run/a")),
    ("listen", ("tcp:8000",), ("tcp:8000",)),
    *[(name, "10.0.0.0/8", (LAN,)) for name in ("trust_proxy", "allow", "deny")],
    *[(name, ["10.0.0.0/8"], (LAN,)) for name in ("trust_proxy", "allow", "deny")],
    ("deny_file", "denied", ("denied",)),
    ("deny_file", ["a", "b"], ("a", "b")),
    *[(name, "1", 1) for name in ("max_connections", "max_per_client", "max_buffer", "backlog")],
    *[(name, 7, 7) for name in ("max_connections", "max_per_client", "max_buffer", "backlog")],
    *[(name, "off", None) for name in ("max_connections", "max_per_client", "max_rate")],
    *[("max_rate", given, Rate(5, 1.0)) for given in ("5", 5, "5/1", Rate(5, 1.0))],
    *[("max_rate", given, Rate(100, 60.0)) for given in ("100/60", "100/1m", "100/60s")],
    *[("rate", given, 65536) for given in ("64k", "64K", "65536")],
    *[("max_buffer", given, number) for given, number in (("1.5k", 1536), ("1M", 1 << 20), ("1g", 1 << 30))],
    *[("idle_timeout", given, value) for given, value in (("500ms", 0.5), ("10s", 10.0), ("1.5m", 90.0), ("0s", 0.0))],
    *[("drain_timeout", given, value) for given, value in (("1h", 3600.0), ("1d", 86400.0))],
    ("rollover_timeout", "2h", 7200.0),
    ("tcp_keepalive", "5m", 300),
    ("tcp_user_timeout", "100ms", 0.1),
    ("queue_limit", "5", 5),
    ("queue_timeout", "0.5", 0.5),
    *[("rate", given, number) for given, number in (("1", 1), (1000, 1000), ("off", None))],
    *[(name, "2", 2.0) for name in ("decide_timeout", "idle_timeout", "drain_timeout")],
    *[(name, "0.25", 0.25) for name in ("decide_timeout", "idle_timeout", "drain_timeout")],
    *[(name, 0.5, 0.5) for name in ("decide_timeout", "idle_timeout", "drain_timeout")],
    *[(name, "0", 0.0) for name in ("idle_timeout", "drain_timeout")],
    *[("workers", given, 3) for given in ("3", 3)],
    *[("workers", given, None) for given in ("off", None)],
    ("workers", "auto", min(32, len(os.sched_getaffinity(0)))),
    *[("rollover_timeout", given, value) for given, value in [("0.001", 0.001), (86400, 86400.0), ("off", None)]],
    ("send_proxy", "v1", "v1"),
    ("send_proxy", "v2", "v2"),
    *[(name, "/etc/tls/a.pem", "/etc/tls/a.pem") for name in TLS_FILES],
    *[(name, "a.pem", os.path.abspath("a.pem")) for name in TLS_FILES],
    *[("tls_min", version, version) for version in ("1.2", "1.3")],
    ("tls_alpn", "h2, http/1.1", ("h2", "http/1.1")),
    ("tls_alpn", ["mqtt"], ("mqtt",)),
    ("tls_allow", "alice", ("alice",)),
    ("tls_allow", ["DNS:web.example", ":".join(["AB"] * 32)], ("DNS:web.example", "ab" * 32)),
    ("access_log", "-", "-"),
    ("admin", 9090, "9090"),
    ("admin", "tcp:9090:interface=10.0.0.1", "tcp:9090:interface=10.0.0.1"),
    ("admin_token_file", "/etc/token", "/etc/token"),
    ("admin_host", ["proxy.example", "p"], ("proxy.example", "p")),
    ("access_log", "/var/log/a.log", "/var/log/a.log"),
    *[("log_level", level, level) for level in ("debug", "info", "warn", "error")],
    ("capture", "samples", os.path.abspath("samples")),
    ("capture_limit", "7", 7),
    *[("log_format", word, word) for word in ("text", "json")],
    ("log_syslog", "/dev/log", "/dev/log"),
    ("log_syslog", "[::1]:514", ("::1", 514)),
    ("log_syslog", ("127.0.0.1", 514), ("127.0.0.1", 514)),
    *[("log_facility", word, word) for word in ("daemon", "user", "local7")],
    ("relay", "auto", "auto"),
    ("relay", "transport", "transport"),
    *[("tcp_keepalive", given, value) for given, value in [("1", 1), (32767, 32767), ("off", None)]],
    *[("tcp_user_timeout", given, value) for given, value in [("0.001", 0.001), (86400, 86400.0), ("off", None)]],
]

NO_COUNTS = ["0", "-1", "1.5", "1e3", "+1", " 1", "1 ", "1_000", "0x10", "many", "", "\N{SUPERSCRIPT TWO}"]
NO_SECONDS = [
    "-1",
    "-0.001",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "infinity",
    "1e999",
    "10S",
    "10 s",
    "s",
    "1w",
    "-1s",
    "1m30s",
    "1e3s",
    "1,5",
    "1 2",
    "soon",
    "",
    "0x10",
]
NO_NETWORKS = ["nonsense", "10.0.0.1/8", "10.0.0.0/33", "localhost", "", "10.0.0.0/8,192.0.2.0/24"]

BAD: list[tuple[str, Any]] = [
    *[(name, text) for name in ("max_connections", "max_per_client", "max_buffer", "backlog") for text in NO_COUNTS],
    *[(name, 0) for name in ("max_connections", "max_per_client", "max_buffer", "backlog")],
    *[(name, True) for name in ("max_connections", "max_per_client", "max_buffer", "backlog", "decide_timeout")],
    *[(name, "off") for name in ("max_buffer", "backlog", "decide_timeout", "drain_timeout")],
    *[(name, "9" * 5000) for name in ("max_connections", "max_buffer", "backlog")],
    *[("queue_limit", text) for text in (*NO_COUNTS, "off")],
    *[("queue_timeout", text) for text in (*NO_SECONDS, "0", "off")],
    *[("rate", given) for given in (*NO_COUNTS, "1kB", "k", "1 k", "0k", "1t", "2G", "0.3k", 0, True, 1.5)],
    *[
        ("max_rate", given)
        for given in (*NO_COUNTS, "5k", "5/0", "5/m", "5/2d", "5/x", "5/", "/5", 0, True, 1.5, (5, 1))
    ],
    *[("workers", given) for given in (*NO_COUNTS, "33", "999999", 0, 33, True, 1.5, "Auto")],
    *[("rollover_timeout", text) for text in (*NO_SECONDS, "0", 0, True)],
    ("backlog", "99999999999"),  # more than the system's listen() can be told
    *[(name, text) for name in ("decide_timeout", "idle_timeout", "drain_timeout") for text in NO_SECONDS],
    *[(name, math.nan) for name in ("decide_timeout", "idle_timeout", "drain_timeout")],
    ("decide_timeout", "0"),
    ("decide_timeout", 0),
    *[(name, text) for name in ("trust_proxy", "allow", "deny") for text in NO_NETWORKS],
    *[(name, ["10.0.0.0/8", "nonsense"]) for name in ("trust_proxy", "allow", "deny")],
    *[(name, 10) for name in ("trust_proxy", "allow", "deny")],
    *[("send_proxy", text) for text in ("v3", "V1", "1", "yes", "", "v1 ")],
    *[("log_level", text) for text in ("INFO", "warning", "trace", "", "critical")],
    *[("capture_limit", text) for text in NO_COUNTS],
    ("capture", b"samples"),
    *[("log_format", text) for text in ("xml", "JSON", "")],
    *[
        ("log_syslog", text)
        for text in ("", "here", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", ":514", 514, ("a",))
    ],
    *[("log_facility", text) for text in ("kern", "local8", "")],
    *[("relay", text) for text in ("splice", "Auto", "")],
    *[(name, text) for name in TLS_FILES for text in (b"a.pem", ["a.pem"])],
    *[("tls_min", text) for text in ("1.1", "1", "TLSv1.3", "", 1.3)],
    *[("tls_alpn", text) for text in ("", "h2,", "\N{LATIN SMALL LETTER E WITH ACUTE}", "x" * 256, 2, [2])],
    *[("tls_allow", text) for text in ("", 2, [2], ["alice", ""])],
    ("access_log", ""),
    *[("admin", given) for given in ("", b"9090", ["9090"], True)],
    ("admin_token_file", b"token"),
    *[("admin_host", given) for given in ("", [b"proxy.example"])],
    *[("tcp_keepalive", text) for text in (*NO_COUNTS, "32768", "1d", "1500ms", 0, True, 1.5)],
    *[("tcp_user_timeout", text) for text in (*NO_SECONDS, "0", "0.0009", "86401", 0, True)],
    # A list where one value belongs, and a list of what is no text.
    *[(name, ["1"]) for name, default in DEFAULTS.items() if not isinstance(default, tuple) and name not in WORDS],
    ("send_proxy", ["v1"]),
    ("tls_min", ["1.2"]),
    ("log_level", ["info"]),
    ("log_format", ["text"]),
    ("log_facility", ["daemon"]),
    ("relay", ["auto"]),
    ("listen", [8000]),
    ("deny_file", [None]),
    *[(name, [10]) for name in ("trust_proxy", "allow", "deny")],
    *[(name, [b"\x7f\0\0\1"]) for name in ("trust_proxy", "allow", "deny")],
]


def test_the_shared_options_are_these_with_these_defaults() -> None:
    assert {each.name: getattr(Settings(), each.name) for each in dataclasses.fields(Settings)} == DEFAULTS


@pytest.mark.parametrize("name", ["fleet", "deny_cluster"])
def test_an_etcd_with_its_password_is_not_shown(name: str) -> None:
    settings = Settings.read({name: FLEET})
    assert getattr(settings, name) == FLEET
    assert "s3cret" not in repr(settings)
    with pytest.raises(ConfigError) as error:
        Settings.read({name: [FLEET]})
    assert str(error.value).startswith(
        f"--{name.replace('_', '-')}: what is given is not accepted; a text such as etcd://"
    )
    assert "s3cret" not in str(error.value)


def test_a_cluster_with_a_password_is_not_shown() -> None:
    settings = Settings.read({"cluster": [f"users={FLEET};policy=random"]})
    assert [cluster.source for cluster in settings.cluster] == [FLEET]
    assert "s3cret" not in repr(settings)
    assert "users" in repr(settings)
    with pytest.raises(ConfigError, match=r"^--cluster: what is given is not accepted; NAME=SOURCE is$"):
        Settings.read({"cluster": [["users", FLEET]]})


def test_nothing_given_is_all_defaults() -> None:
    assert Settings.read({}) == Settings()


@pytest.mark.parametrize("name", DEFAULTS)
@pytest.mark.parametrize("nothing", [None, [], ()], ids=repr)
def test_what_is_given_as_nothing_is_its_default(name: str, nothing: Any) -> None:
    assert Settings.read({name: nothing}) == Settings()


@pytest.mark.parametrize(("name", "given_", "value"), GOOD)
def test_a_good_value_is_read_and_nothing_else_changes(name: str, given_: Any, value: Any) -> None:
    read = Settings.read({name: given_})
    assert read == dataclasses.replace(Settings(), **{name: value})
    assert type(getattr(read, name)) is type(value)


@pytest.mark.parametrize(("name", "given_"), BAD, ids=lambda value: repr(value)[:40])
def test_a_bad_value_is_refused_in_one_short_line_that_names_the_option(name: str, given_: Any) -> None:
    option = "--" + name.replace("_", "-")
    with pytest.raises(ConfigError) as refusal:
        Settings.read({name: given_})
    assert refusal.value.option == option
    text = str(refusal.value)
    assert text == f"{option}: {refusal.value.problem}"
    assert len(text.splitlines()) == 1
    assert len(text) < 300


@pytest.mark.parametrize(
    ("name", "bad", "accepted"),
    [
        ("max_connections", "x", "a whole number of at least 1, or off"),
        ("max_per_client", "x", "a whole number of at least 1, or off"),
        ("max_rate", "x", "N or N/S"),
        ("queue_limit", "x", "a whole number of at least 1"),
        ("queue_timeout", "x", "seconds greater than 0"),
        ("rate", "x", "a whole number of bytes of at least 1, or off"),
        ("decide_timeout", "x", "seconds greater than 0, or with a unit such as 500ms, 10s, 5m, 1h or 1d is"),
        ("tcp_keepalive", "x", "from 1 to 32767, or off, or with a unit such as 500ms, 10s, 5m, 1h or 1d is"),
        (
            "max_buffer",
            "x",
            "a whole number of bytes of at least 1, or with a unit such as 64k, 10M or 1G, below 2G, is",
        ),
        ("backlog", "x", "a whole number"),
        ("idle_timeout", "x", "seconds of at least 0"),
        ("drain_timeout", "x", "seconds of at least 0"),
        ("send_proxy", "x", "v1 or v2"),
        ("tls_min", "x", "1.2 or 1.3"),
        ("log_level", "x", "debug, info, warn or error"),
        ("relay", "x", "auto"),
        ("allow", "x", "such as 10.0.0.0/8"),
        ("deny", "x", "such as 10.0.0.0/8"),
        ("trust_proxy", "x", "such as 10.0.0.0/8"),
    ],
)
def test_the_message_says_what_is_wrong_and_what_is_accepted(name: str, bad: str, accepted: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        Settings.read({name: bad})
    assert "'x'" in refusal.value.problem
    assert accepted in refusal.value.problem


@pytest.mark.parametrize("name", ["nonsense", "max-connections", "Listen", "_listen", "router"])
def test_an_option_that_there_is_not_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="there is no such option") as refusal:
        Settings.read({name: "1"})
    assert refusal.value.option == name


@pytest.mark.parametrize(
    ("name", "meant"),
    [("lissten", "listen"), ("max_conections", "max_connections"), ("decide-timeout", "decide_timeout")],
)
def test_the_nearest_option_is_named(name: str, meant: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        Settings.read({name: "1"})
    assert str(refusal.value) == f"{name}: there is no such option; did you mean {meant}?"


def test_settings_do_not_change() -> None:
    read = Settings.read({"backlog": 5})
    with pytest.raises(dataclasses.FrozenInstanceError):
        read.backlog = 6
    assert read.backlog == 5


@pytest.mark.parametrize("name", [name for name, value in DEFAULTS.items() if value is None])
def test_off_stays_off_in_a_copy(name: str) -> None:
    kind = dataclasses.make_dataclass("Kind", [(name, object, getattr(Settings, name))], bases=(Settings,))
    other = dataclasses.replace(kind(**{name: None}), backlog=5)
    assert getattr(other, name) is None


@pytest.mark.parametrize("page", ["operations", "router", "gateway", "pool"])
def test_the_docs_have_a_table_that_is_made(page: str) -> None:
    source = (DOCS / f"{page}.rst").read_text()
    assert ".. options:: " in source
    made = script("option_tables").expand(source)
    assert ".. options:: " not in made
    assert ".. list-table::" in made


def test_a_table_has_every_option_with_its_default_and_meaning() -> None:
    made = script("option_tables").table(Settings).replace("``", "")
    for each in Settings.fields():
        assert f"- {each.option} {each.metavar}\n     - {each.default_text}\n" in made


def test_all_can_be_given_at_once() -> None:
    given_ = {name: value for name, value, _ in GOOD}
    assert Settings.read(given_) == Settings(**{name: value for name, _, value in GOOD})


_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=4),
    st.lists(st.text(max_size=8), max_size=3),
)


@settings(database=None, deadline=None, max_examples=500)
@given(st.sampled_from(list(DEFAULTS)), st.one_of(_values, st.lists(_values, max_size=3)))
def test_any_value_is_accepted_or_refused_by_name(name: str, value: Any) -> None:
    try:
        Settings.read({name: value})
    except ConfigError as error:
        refusal = error
    else:
        return
    assert refusal.option == "--" + name.replace("_", "-")


def test_clients_are_divided_by_cpu_among_workers_only() -> None:
    assert Settings.read({"workers": 2, "workers_by_cpu": "on"}).workers_by_cpu
    with pytest.raises(ConfigError, match="--workers-by-cpu: there are no workers; give --workers, too"):
        Settings.read({"workers_by_cpu": "on"})
