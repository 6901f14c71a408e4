"""The pool's options: the ancestor's rule, what goes with what, and that every mistake is one line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxymux import Multiplexer
from proxymux.errors import ConfigError
from proxymux.pool.exclusive import ExclusiveLeases
from proxymux.pool.pool import Pool
from proxymux.service import ProxyService
from proxymux.tap.pool import Options

LISTEN = ("--listen", "tcp:0:interface=127.0.0.1")
TWO = ("--target", "127.0.0.1:1", "--target", "127.0.0.1:2")
CLUSTER = ("--target", "users", "--cluster", "users=127.0.0.1:1")
ENVIRONMENT = {
    "LOCAL_HOST": "127.0.0.1",
    "LOCAL_PORT": "0",
    "PROXY_CONNECTIONS_CNT": "2",
    "TARGET_HOST_1": "10.0.0.1",
    "TARGET_PORT_1": "1",
    "TARGET_HOST_2": "::1",
    "TARGET_PORT_2": "2",
}
CONFIG = {
    "proxyConnectionsCount": 1,
    "targetServers": [{"host": "10.0.0.9", "port": 9}],
    "localServerHost": "127.0.0.1",
    "localServerPort": 0,
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory; nothing of the ancestor is in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    for name in (*ENVIRONMENT, "LOCAL_MAX_CONNECTIONS", "LOG_LEVEL", "EXCHANGE_FUNNEL_ASYNC", "PROXY_INACTIVE_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    sys.modules.pop("settings_of_ours", None)


def parse(*arguments: str) -> Any:
    options = Options()
    options.parseOptions(list(arguments))
    return options


@pytest.mark.parametrize(
    ("arguments", "mode"),
    [
        (TWO[:2], "fifo"),
        (TWO, "funnel"),
        ((*TWO, "--max-connections", "2"), "proxy"),
        ((*TWO, "--max-connections", "3"), "funnel"),
        ((*TWO[:2], "--max-connections", "1"), "proxy"),
        ((*TWO, "--max-connections", "2", "--mode", "funnel", "--codec", "raw"), "funnel"),
        ((*TWO, "--mode", "proxy"), "proxy"),
        ((*TWO[:2], "--mode", "funnel", "--codec", "resp"), "funnel"),
        (CLUSTER, "funnel"),
        ((*CLUSTER, *TWO), "funnel"),
        ((*CLUSTER, "--max-connections", "1"), "funnel"),
        ((*CLUSTER, "--mode", "proxy"), "proxy"),
        ((*CLUSTER, "--workers", "3"), "funnel"),
    ],
)
def test_the_numbers_make_the_mode_unless_it_is_said(arguments: tuple[str, ...], mode: str) -> None:
    assert parse(*LISTEN, *arguments).settings.chosen_mode == mode


def test_workers_divide_targets_but_no_clusters() -> None:
    def share(*arguments: str) -> list[str]:
        settings = parse(*LISTEN, *arguments, "--workers", "2").settings.share_of(2, 2)
        assert settings.workers is None
        return [str(each.address) for each in settings.target]

    assert share(*TWO) == ["127.0.0.1:2"]
    assert share(*TWO, *CLUSTER) == ["127.0.0.1:1", "127.0.0.1:2", "users"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "--target: missing; give --target HOST:PORT and --listen, or set PROXY_CONNECTIONS_CNT"),
        (TWO, "--listen: missing"),
        ((*LISTEN, "--target", "nonsense"), "--target: "),
        ((*LISTEN, *TWO, "--mode", "fifo"), "--mode: fifo has one target, not 2"),
        ((*LISTEN, *CLUSTER, "--mode", "fifo"), "--mode: fifo has one target, and a cluster has any number of them"),
        ((*LISTEN, "--target", "users;tls"), "--target: 'users;tls': users is not host:port, and a cluster has no"),
        ((*LISTEN, *TWO, "--workers", "3"), "--workers: 3 share 2 upstreams"),
        ((*LISTEN, *TWO, "--mode", "lifo"), "--mode: 'lifo' is not accepted; proxy, fifo or funnel is"),
        ((*LISTEN, *TWO, "--codec", "resp", "--watch"), "--watch: there is no --router whose files it could watch"),
        ((*LISTEN, *TWO, "--async"), "--async: needs to know where replies end"),
        ((*LISTEN, *TWO, "--mode", "funnel"), "--mode: in funnel mode requests go to several upstreams"),
        ((*LISTEN, *TWO, "--memcache-auth"), "--memcache-auth: is for --codec memcache, not raw"),
        (
            (*LISTEN, *TWO[:2], "--codec", "memcache", "--memcache-auth"),
            "--memcache-auth: needs an upstream for each client that logs in; fifo has one for all",
        ),
        ((*LISTEN, *TWO, "--max-message", "0"), "--max-message: '0' is not accepted"),
        ((*LISTEN, *TWO, "--max-message", "1x"), "--max-message: '1x' is not accepted"),
        ((*LISTEN, *TWO[:2], "--async", "--codec", "resp"), "--async: is for funnel mode; this is fifo mode"),
        ((*LISTEN, *TWO, "--send-proxy", "v1"), "--send-proxy: is for proxy mode"),
        ((*LISTEN, *TWO, "--queue-limit", "0"), "--queue-limit: '0' is not accepted"),
        ((*LISTEN, *TWO, "--queue-timeout", "0"), "--queue-timeout: '0' is not accepted"),
        ((*LISTEN, *TWO, "--request-timeout", "soon"), "--request-timeout: 'soon' is not accepted"),
        ((*LISTEN, *TWO, "--raw-gap", "-1"), "--raw-gap: '-1' is not accepted"),
        ((*LISTEN, *TWO, "--inactivity-timeout", "-1"), "--inactivity-timeout: '-1' is not accepted"),
        ((*LISTEN, *TWO, "--database", "-1"), "--database: '-1' is not accepted"),
        ((*LISTEN, *TWO, "--database", "1"), "--database: is for --codec resp, in fifo and funnel mode"),
        ((*LISTEN, *TWO, "--auth-file", "f", "--codec", "http"), "--auth-file: is for --codec resp, in fifo and"),
        ((*LISTEN, *TWO, "--codec", "resp", "--mode", "proxy", "--auth-file", "f"), "--auth-file: is for --codec resp"),
        ((*LISTEN, *TWO, "--mode", "funnel", "--rate", "1000"), "--rate: is for proxy mode"),
        ((*LISTEN, *TWO, "--config-object", "no_such:thing"), "--config-object: no_such"),
        ((*LISTEN, *TWO, "more"), "more: is no option"),
    ],
)
def test_a_mistake_is_one_line_and_status_1(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parse(*arguments)
    out, err = capsys.readouterr()
    assert (end.value.code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"proxymux: {complaint}")


def test_send_proxy_and_rate_are_for_a_client_that_has_an_upstream_alone() -> None:
    options = parse(*LISTEN, *TWO, "--mode", "proxy", "--send-proxy", "v2", "--rate", "1000")
    assert (options.settings.send_proxy, options.settings.rate) == ("v2", 1000)


def test_the_environment_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ENVIRONMENT, "LOCAL_MAX_CONNECTIONS": "2", "LOG_LEVEL": "1"}.items():
        monkeypatch.setenv(name, value)
    options = parse()
    assert [str(each.address) for each in options.settings.target] == ["10.0.0.1:1", "[::1]:2"]
    assert options.settings.listen == ("tcp:0:interface=127.0.0.1",)
    assert options.settings.chosen_mode == "proxy"
    assert (options.settings.max_connections, options.settings.log_level) == (2, "error")


def test_options_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ENVIRONMENT, "LOCAL_MAX_CONNECTIONS": "2", "PROXY_INACTIVE_TIMEOUT": "100"}.items():
        monkeypatch.setenv(name, value)
    options = parse(
        "--max-connections",
        "9",
        "--listen",
        "tcp:1",
        "--inactivity-timeout",
        "2500",
        "--mode",
        "funnel",
        "--codec",
        "line",
    )
    assert (options.settings.chosen_mode, options.settings.listen) == ("funnel", ("tcp:1",))
    assert options.settings.inactivity_timeout == 2500
    assert options.settings.max_connections == 9


@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        (("--mode", "proxy", "--inactivity-timeout", "2500"), 2.5),
        (("--mode", "proxy", "--inactivity-timeout", "2500", "--idle-timeout", "9"), 9),
        (("--mode", "proxy"), 0),
        (("--mode", "funnel", "--codec", "raw", "--inactivity-timeout", "2500"), 0),
    ],
)
def test_in_proxy_mode_a_client_and_its_upstream_are_inactive_together(
    arguments: tuple[str, ...], seconds: float
) -> None:
    assert parse(*LISTEN, *TWO, *arguments).settings.of_sessions.idle_timeout == seconds


def test_the_ancestors_async_is_for_funnel_mode_and_no_mistake_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ENVIRONMENT, "EXCHANGE_FUNNEL_ASYNC": "1", "LOCAL_MAX_CONNECTIONS": "2"}.items():
        monkeypatch.setenv(name, value)
    assert (parse().settings.async_, parse().settings.chosen_mode) == (True, "proxy")


def test_an_error_of_the_environment_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {**ENVIRONMENT, "TARGET_PORT_2": "12abc"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        parse()
    assert capsys.readouterr().err.startswith("proxymux: TARGET_PORT_2: '12abc' is not accepted; a port ")


def test_a_configuration_object_takes_the_environments_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY_CONNECTIONS_CNT", "nonsense")
    (folder / "settings_of_ours.py").write_text(f"config = {CONFIG!r}\n")
    options = parse("--config-object", "settings_of_ours:config")
    [target] = options.settings.target
    assert (str(target.address), options.settings.chosen_mode) == ("10.0.0.9:9", "fifo")


def test_multiplexer_takes_the_ancestors_object_and_our_settings() -> None:
    service = Multiplexer({**CONFIG, "localServerMaxConnections": 1}, warmup=True, codec="resp", queue_limit=5)
    assert isinstance(service, ProxyService)
    assert isinstance(service.leases, ExclusiveLeases)
    assert [str(slot.target) for slot in service.leases.leasing.slots] == ["10.0.0.9:9"]
    service = Multiplexer(target=["127.0.0.1:1", "127.0.0.1:2"], listen="tcp:0:interface=127.0.0.1", codec="http")
    assert isinstance(service, ProxyService)
    assert isinstance(service.leases, Pool)
    assert len(service.leases.leasing.slots) == 2


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"no_such": 1}, "no_such"),
        ({"codec": "no_such"}, "--codec"),
        ({"codec": "json:JSONDecoder"}, "--codec"),
        ({"listeners": "no_such"}, "--listeners"),
        ({"queue_limit": 0}, "--queue-limit"),
    ],
)
def test_multiplexer_says_what_it_does_not_accept(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Multiplexer(CONFIG, **settings)
