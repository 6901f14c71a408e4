from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.python import usage

import proxymux
from proxymux.admin.text_log import TextLog
from proxymux.router.settings import RouterSettings
from proxymux.tap.router import Options, makeService
from tests.services.certificates import Credentials

ROUTER = "def proxy(data):\n    return {'close': data}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, which has a router."""
    (tmp_path / "router.py").write_text(ROUTER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    yield tmp_path
    sys.modules.pop("proxymux_router_router", None)


def parse(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(list(arguments))
    return options


def settings(*arguments: str) -> RouterSettings:
    return parse("--router", "router.py", *arguments).settings


def begin(*arguments: str, start: bool) -> None:
    options = parse(*arguments)
    if start:
        makeService(options)


Complain = Callable[..., str]


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Complain:
    """What a command line's start-up says on standard error before it ends with status 1."""

    def complaint(*arguments: str, start: bool = False) -> str:
        with pytest.raises(SystemExit) as end:
            begin(*arguments, start=start)
        out, err = capsys.readouterr()
        assert end.value.code == 1
        assert out == ""
        assert err.endswith("\n")
        assert len(err.splitlines()) == 1, err
        assert err.startswith("proxymux: ")
        return err.rstrip("\n")

    return complaint


# Help


@pytest.fixture
def help_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What ``--help`` says, by option."""
    monkeypatch.setenv("COLUMNS", "500")
    with pytest.raises(SystemExit) as end:
        parse("--help")
    out, err = capsys.readouterr()
    assert (end.value.code or 0, err) == (0, "")
    found = {}
    for line in out.splitlines():
        option = re.match(r"\s+(?:-\w, )?(--[a-z-]+)=?\s+(\S.*)", line)
        if option is not None:
            found[option.group(1)] = option.group(2)
    return found


#: The options that every service has (A1, but for --cluster, which is to come), with words that their help must have
#: and their default.
SHARED: dict[str, tuple[list[str], str]] = {
    "--listen": (["endpoint", "haproxy:", "tls:PATH:", "Repeatable"], ""),
    "--trust-proxy": (["CIDR", "haproxy:", "Repeatable"], "loopback"),
    "--allow": (["CIDR", "Repeatable"], "all"),
    "--deny": (["CIDR", "--allow", "Repeatable"], ""),
    "--cluster": (["SOURCE", "file:", "srv://", "etcd://", "consul://", "policy", "health", "Repeatable"], ""),
    "--deny-file": (["file", "CIDR", "#", "HUP", "Repeatable"], ""),
    "--deny-cluster": (["etcd://", "CIDR", "--deny"], "off"),
    "--fleet": (["etcd://", "instances", "one-time tokens"], "off"),
    "--max-connections": (["clients"], "off"),
    "--max-per-client": (["clients", "address"], "off"),
    "--max-rate": (["new clients", "address", "/64", "off"], "off"),
    "--decide-timeout": (["seconds"], "30"),
    "--max-buffer": (["bytes"], "65536"),
    "--backlog": (["queue"], "4096"),
    "--idle-timeout": (["seconds", "0 is off"], "0"),
    "--rate": (["bytes", "a second", "each direction", "off"], "off"),
    "--workers-by-cpu": (["worker", "CPU"], "off"),
    "--workers": (["processes", "supervisor", "USR2", "1 to 32", "auto"], "off"),
    "--rollover-timeout": (["seconds", "replaced"], "off"),
    "--drain-timeout": (["seconds", "TERM", "INT"], "10"),
    "--queue-limit": (["clients", "wait", "held"], "1024"),
    "--queue-timeout": (["seconds", "wait"], "30"),
    "--send-proxy": (["v1", "v2"], "off"),
    "--tls-client-ca": (["PEM file", "authorities", "must show"], "none demanded"),
    "--tls-crl": (["PEM file", "revoked"], "none"),
    "--tls-allow": (["common name", "SHA-256", "Repeatable"], "all that --tls-client-ca has signed"),
    "--tls-min": (["1.2", "1.3"], "1.2"),
    "--tls-alpn": (["application protocols", "preference"], "none"),
    "--tls-key-password-file": (["file", "password", "encrypted"], "none"),
    "--tls-ca": (["PEM file", "upstreams", "verified"], "OpenSSL's trust store"),
    "--tls-cert": (["PEM file", "upstreams", "shown"], "none"),
    "--admin": (["endpoint", "metrics", "127.0.0.1"], "off"),
    "--admin-token-file": (["token", "POST", "HUP"], "none: they are refused"),
    "--admin-host": (["--admin", "Repeatable"], "none"),
    "--access-log": (["file", "-", "JSON"], "off"),
    "--capture": (["folder", "first bytes", "users' data"], "off"),
    "--capture-limit": (["files"], "1000"),
    "--log-level": (["debug", "info", "warn", "error"], "info"),
    "--log-format": (["text", "json"], "text"),
    "--log-syslog": (["syslog", "/dev/log"], "off"),
    "--log-facility": (["daemon", "local0"], "daemon"),
    "--relay": (["auto", "transport"], "auto"),
    "--tcp-keepalive": (["seconds", "probed", "off"], "off"),
    "--tcp-user-timeout": (["seconds", "unacknowledged", "off"], "off"),
}
OWN: dict[str, tuple[list[str], str]] = {
    "--host": (["address"], "0.0.0.0"),
    "--port": (["port"], "5432"),
    "--watch": (["load the router again", "module beside it", "HUP"], "off"),
    "--canary": (["sessions", "reloaded router", "shadow"], "off"),
    "--canary-differences": (["sessions", "otherwise"], "0"),
}
WITHOUT_DEFAULT: dict[str, list[str]] = {
    "--check": ["check", "without listening"],
    "--router": ["file", "package.module"],
    "--config": ["--router"],
    "--shadow": ["second router", "without effect"],
    "--demo": ["two upstreams"],
}


@pytest.mark.parametrize("option", [*SHARED, *OWN])
def test_help_has_every_option_with_its_unit_and_default(option: str, help_lines: dict[str, str]) -> None:
    words, default = {**SHARED, **OWN}[option]
    for word in words:
        assert word in help_lines[option]
    assert re.search(rf"\[default: {re.escape(default)}", help_lines[option])


@pytest.mark.parametrize("option", WITHOUT_DEFAULT)
def test_help_has_the_options_that_need_no_default(option: str, help_lines: dict[str, str]) -> None:
    for word in WITHOUT_DEFAULT[option]:
        assert word in help_lines[option]


def test_help_has_no_option_that_is_not_tested_here(help_lines: dict[str, str]) -> None:
    assert set(help_lines) - {"--help", "--version"} == {*SHARED, *OWN, *WITHOUT_DEFAULT}


@pytest.mark.parametrize("option", [option for option, (_, default) in SHARED.items() if default.isdecimal()])
def test_a_default_in_the_help_is_the_default_there_is(option: str, help_lines: dict[str, str]) -> None:
    default = getattr(RouterSettings(), option.removeprefix("--").replace("-", "_"))
    assert float(SHARED[option][1]) == default


def test_help_says_what_signals_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    out = capsys.readouterr().out
    for signal in ("QUIT", "TERM", "INT", "HUP", "USR1"):
        assert signal in out


def test_help_fits_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        parse("--help")
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


# What options mean


def test_without_options_it_listens_where_the_ancestor_did() -> None:
    assert settings() == RouterSettings("router.py")
    assert settings().endpoints == ("tcp:5432:interface=0.0.0.0",)


@pytest.mark.parametrize(
    ("arguments", "listen"),
    [
        (["--port", "8000"], ["tcp:8000:interface=0.0.0.0"]),
        (["-p", "8000", "-h", "127.0.0.1"], ["tcp:8000:interface=127.0.0.1"]),
        (["--host=127.0.0.1"], ["tcp:5432:interface=127.0.0.1"]),
        (["-h", "::1"], [r"tcp:5432:interface=\:\:1"]),
        (["-p", "0"], ["tcp:0:interface=0.0.0.0"]),
        (["--listen", "tcp:8000"], ["tcp:8000"]),
        (["--listen", "tcp:8000", "--listen", "unix:/run/a"], ["tcp:8000", "unix:/run/a"]),
        (["--listen", "tcp:8000", "-p", "81"], ["tcp:8000", "tcp:81:interface=0.0.0.0"]),
        (["--listen", "haproxy:tcp:8000"], ["haproxy:tcp:8000"]),
    ],
)
def test_host_and_port_make_a_listen(arguments: list[str], listen: list[str]) -> None:
    assert settings(*arguments).endpoints == tuple(listen)


@pytest.mark.parametrize("option", ["--router", "--config", "-c"])
def test_the_router_has_an_old_name(option: str) -> None:
    assert parse(option, "router.py")["router"] == "router.py"


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["--max-connections", "5"], "max_connections", 5),
        (["--max-connections", "off"], "max_connections", None),
        (["--max-per-client", "5"], "max_per_client", 5),
        (["--max-rate", "5/60"], "max_rate", (5, 60.0)),
        (["--decide-timeout", "0.5"], "decide_timeout", 0.5),
        (["--workers", "4"], "workers", 4),
        (["--workers", "4", "--workers-by-cpu", "on"], "workers_by_cpu", True),
        (["--rollover-timeout", "60"], "rollover_timeout", 60.0),
        (["--max-buffer", "100"], "max_buffer", 100),
        (["--backlog", "100"], "backlog", 100),
        (["--idle-timeout", "60"], "idle_timeout", 60.0),
        (["--rate", "1000"], "rate", 1000),
        (["--drain-timeout", "0"], "drain_timeout", 0.0),
        (["--queue-limit", "5"], "queue_limit", 5),
        (["--queue-timeout", "5"], "queue_timeout", 5.0),
        (["--send-proxy", "v2"], "send_proxy", "v2"),
        *[
            ([f"--tls-{name}", "/a.pem"], f"tls_{name.replace('-', '_')}", "/a.pem")
            for name in ("client-ca", "crl", "key-password-file", "ca", "cert")
        ],
        (["--tls-min", "1.3"], "tls_min", "1.3"),
        (["--tls-alpn", "h2,http/1.1"], "tls_alpn", ("h2", "http/1.1")),
        (["--tls-allow", "alice", "--tls-allow", "DNS:web.example"], "tls_allow", ("alice", "DNS:web.example")),
        (["--access-log", "-"], "access_log", "-"),
        (["--admin", "9090"], "admin", "9090"),
        (["--admin-host", "a.example", "--admin-host", "b"], "admin_host", ("a.example", "b")),
        (["--capture", "/var/samples"], "capture", "/var/samples"),
        (["--capture-limit", "7"], "capture_limit", 7),
        (["--log-level", "debug"], "log_level", "debug"),
        (["--log-format", "json"], "log_format", "json"),
        (["--log-syslog", "/dev/log"], "log_syslog", "/dev/log"),
        (["--log-syslog", "127.0.0.1:514"], "log_syslog", ("127.0.0.1", 514)),
        (["--log-facility", "local0"], "log_facility", "local0"),
        (["--relay", "transport"], "relay", "transport"),
        (["--tcp-keepalive", "15"], "tcp_keepalive", 15),
        (["--tcp-user-timeout", "1.5"], "tcp_user_timeout", 1.5),
        (["--watch"], "watch", True),
        (["--deny-file", "a", "--deny-file", "b"], "deny_file", ("a", "b")),
        (["--drain-timeout", "1", "--drain-timeout", "2"], "drain_timeout", 2.0),
    ],
)
def test_an_option_becomes_its_setting(arguments: list[str], name: str, value: Any) -> None:
    assert getattr(settings(*arguments), name) == value


def test_cidrs_are_repeatable() -> None:
    read = settings("--allow", "10.0.0.0/8", "--allow", "::1", "--deny", "10.1.0.0/16", "--trust-proxy", "192.0.2.1")
    assert [str(network) for network in read.allow] == ["10.0.0.0/8", "::1/128"]
    assert [str(network) for network in read.deny] == ["10.1.0.0/16"]
    assert [str(network) for network in read.trust_proxy] == ["192.0.2.1/32"]


def test_two_command_lines_share_nothing() -> None:
    settings("--allow", "10.0.0.0/8", "--listen", "tcp:1")
    assert settings().allow == ()


def test_the_demo_needs_no_router_and_listens_on_loopback() -> None:
    assert parse("--demo").settings.endpoints == ("tcp:0:interface=127.0.0.1",)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-port", "0", "-host", "127.0.0.1"], {"port": 0, "host": "127.0.0.1"}),
        (["-port=0", "-host=127.0.0.1"], {"port": 0, "host": "127.0.0.1"}),
        (["-allow", "10.0.0.0/8", "-max-buffer", "5"], {"max_buffer": 5}),
        (["-p0", "-h127.0.0.1"], {"port": 0, "host": "127.0.0.1"}),
        (["--host", "-port", "-p", "1"], {"host": "-port", "port": 1}),
        (["-h", "-port", "-p", "1"], {"host": "-port", "port": 1}),
        (["--access-log", "-", "-port", "1"], {"access_log": "-", "port": 1}),
        (["--host=x", "-port", "1"], {"host": "x", "port": 1}),
    ],
)
def test_a_whole_name_may_have_one_dash_as_in_go(arguments: list[str], expected: dict[str, object]) -> None:
    read = settings(*arguments)
    assert {name: getattr(read, name) for name in expected} == expected


def test_version_is_that_of_proxymux(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse("--version")
    assert not end.value.code
    assert capsys.readouterr().out.startswith(f"proxymux {proxymux.__version__} (Twisted ")


# What is wrong with them

BAD: list[tuple[str, str]] = [
    *[
        (option, value)
        for option in ("--max-connections", "--max-per-client", "--max-buffer", "--backlog")
        for value in ("0", "-1", "many", "1.5", "")
    ],
    *[
        (option, value)
        for option in ("--decide-timeout", "--idle-timeout", "--drain-timeout")
        for value in ("-1", "soon", "nan", "inf", "10w", "")
    ],
    ("--decide-timeout", "0"),
    ("--backlog", "99999999999"),
    *[
        (option, value)
        for option in ("--allow", "--deny", "--trust-proxy")
        for value in ("nonsense", "10.0.0.1/8", "10.0.0.0/33", "")
    ],
    ("--send-proxy", "v3"),
    ("--send-proxy", ""),
    ("--log-level", "loud"),
    ("--log-level", "INFO"),
    ("--relay", "magic"),
    ("--access-log", ""),
    *[("--port", value) for value in ("http", "-1", "65536", "99999", "0x1F90", " 80", "80\n", "8_0", "1.5", "")],
    ("--port", "\N{ARABIC-INDIC DIGIT EIGHT}\N{ARABIC-INDIC DIGIT ZERO}"),
    ("--port", "9" * 5000),
    ("--host", ""),
]


@pytest.mark.parametrize(("option", "value"), BAD, ids=lambda value: value[:20])
def test_a_bad_value_is_one_line_that_names_the_option_and_what_is_accepted(
    complaint: Complain, option: str, value: str
) -> None:
    text = complaint("--router", "router.py", option, value)
    assert text.startswith(f"proxymux: {option}: ")
    assert re.search(
        r" is accepted|; .* is$|; .* are$| is not an address or CIDR such as|did you mean .*\?$| may be meant$", text
    )
    assert len(text) < 400


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["--nonsense"], "--nonsense"),
        (["--nonsense=1"], "--nonsense"),
        (["-z"], "-z"),
        (["--workers"], "--workers"),
        (["--max-connections"], "--max-connections"),
        (["-p"], "-p"),
        (["--check=yes"], "--check"),
        (["--router", "router.py", "--config", "router.py"], "--config"),
        (["--demo", "--router", "router.py"], "--demo"),
        ([], "--router"),
        (["--router", ""], "--router"),
        (["--check"], "--router"),
        (["--router", "router.py", "stray"], "stray"),
        (["stray", "--router", "router.py"], "stray"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_one_line(complaint: Complain, arguments: list[str], option: str) -> None:
    text = complaint(*arguments)
    assert text.startswith(f"proxymux: {option}: ")
    assert text.endswith("; see --help")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--lisen", "--lisen: not recognized; did you mean --listen?"),
        ("-lisen", "--lisen: not recognized; did you mean --listen?"),
        ("--max-conections=5", "--max-conections: not recognized; did you mean --max-connections?"),
    ],
)
def test_an_option_near_one_that_there_is_names_it(complaint: Complain, given: str, said: str) -> None:
    assert complaint("--router", "router.py", given) == f"proxymux: {said}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--router", "missing.py"], "--router: missing.py: No such file or directory; "),
        (["--router", "no.such.module"], "--router: no.such.module: "),
        (["--router", "."], "--router: .: Is a directory; "),
        (["--router", "syntax.py"], "--router: syntax.py:2: "),
        (["--router", "raises.py"], "--router: raises.py:1: ZeroDivisionError: "),
        (["--router", "exits.py"], "--router: exits.py:1: SystemExit: 0"),
        (["--router", "empty.py"], "--router: empty.py: it defines no proxy(data)"),
        (["--router", "router.py", "--shadow", "missing.py"], "--shadow: missing.py: No such file or directory; "),
        (["--router", "router.py", "--shadow", "syntax.py"], "--shadow: syntax.py:2: "),
        (["--router", "router.py", "--listen", "nonsense"], "--listen: 'nonsense': "),
        (["--router", "router.py", "--listen", ""], "--listen: "),
        (["--router", "router.py", "--listen", "haproxy:"], "--listen: "),
        (["--router", "router.py", "--listen", "tcp:http:x=1"], "--listen: "),
        (["--router", "router.py", "--listen", "ssl:0:privateKey=missing.pem"], "--listen: "),
        (["--router", "router.py", "--listen", "unix:/nowhere/socket"], "--listen: "),
        (["--router", "router.py", "--host", "203.0.113.1", "--port", "0"], "--listen: "),
        (["--router", "router.py", "--host", "no such host", "--port", "0"], "--listen: "),
        (["--router", "router.py", "--deny-file", "missing"], "--deny-file: missing: No such file or directory; "),
        (["--router", "router.py", "--deny-file", "."], "--deny-file: .: Is a directory; "),
        (["--router", "router.py", "--deny-file", "denied"], "--deny-file: denied, line 2: 'nonsense' is not "),
        (["--router", "router.py", "--deny-file", "binary"], "--deny-file: binary: not a text file; "),
        *[
            (["--router", "router.py", option, given], f"{option}: ")
            for option in ("--fleet", "--deny-cluster")
            for given in ("", "nonsense", "10.0.0.1:2379", "etcd://10.0.0.1:2379", "etcd://u:s3cret@h:99999/p/")
        ],
        (
            ["--router", "router.py", "--access-log", "/nowhere/access.log"],
            "--access-log: /nowhere/access.log: there is no folder /nowhere; ",
        ),
        (["--router", "router.py", "--access-log", "."], "--access-log: .: "),
        (["--demo", "--listen", "nonsense"], "--listen: 'nonsense': "),
    ],
)
@pytest.mark.parametrize("check", [[], ["--check"]])
def test_what_only_a_look_at_the_system_shows_is_one_line_too(
    complaint: Complain, folder: Path, arguments: list[str], words: str, check: list[str]
) -> None:
    (folder / "syntax.py").write_text("def proxy(data):\n    return (\n")
    (folder / "raises.py").write_text("1 / 0\n")
    (folder / "exits.py").write_text("raise SystemExit(0)\n")
    (folder / "empty.py").write_text("")
    (folder / "denied").write_text("10.0.0.0/8\nnonsense\n")
    (folder / "binary").write_bytes(b"\xff\xfe\0")
    if "--listen" not in arguments and "--port" not in arguments:
        arguments = [*arguments, "--listen", "tcp:0:interface=127.0.0.1"]
    text = complaint(*arguments, *check, start=True)
    assert text.startswith(f"proxymux: {words}")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_a_port_in_use_is_one_line_with_the_address(complaint: Complain, taken: int, check: list[str]) -> None:
    arguments = ["--router", "router.py", "--host", "127.0.0.1", "--port", str(taken), *check]
    text = complaint(*arguments, start=True)
    assert text.startswith("proxymux: --listen: ")
    assert f"127.0.0.1:{taken}" in text
    assert "Address already in use" in text


# --check

CHECKED = ["--router", "router.py", "--listen", "tcp:0:interface=127.0.0.1", "--check"]


def test_check_prints_ok_and_ends_with_status_0(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    with pytest.raises(SystemExit) as end:
        makeService(parse(*CHECKED, "--access-log", "access.log", "--shadow", "router.py"))
    assert end.value.code == 0
    assert tuple(capsys.readouterr()) == ("ok\n", "")
    assert not (folder / "access.log").exists()


def test_check_of_the_demo_ends_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        makeService(parse("--demo", "--check"))
    assert end.value.code == 0
    assert tuple(capsys.readouterr()) == ("ok\n", "")


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
def test_check_warns_of_a_private_key_that_everybody_can_read(
    capsys: pytest.CaptureFixture[str], public_folder: Path, own: Credentials
) -> None:
    key = public_folder / "key.pem"
    key.write_bytes(own.file.read_bytes())
    for mode, warned in ((0o600, False), (0o644, True)):
        key.chmod(mode)
        with pytest.raises(SystemExit) as end:
            makeService(parse("--router", "router.py", "--listen", f"ssl:0:privateKey={key}", "--check"))
        out, err = capsys.readouterr()
        assert (end.value.code, out) == (0, "ok\n"), err
        said = f"proxymux: --listen: {key} can be read by every user (mode 0644); chmod o-rwx it\n"
        assert err == (said if warned else "")


def test_check_leaves_no_unix_socket(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    with pytest.raises(SystemExit) as end:
        makeService(parse("--router", "router.py", "--listen", f"unix:{folder}/socket", "--check"))
    assert end.value.code == 0
    assert not (folder / "socket").exists()


# What twistd was told


def under_twistd(twistd: dict[str, object], *arguments: str) -> None:
    options = parse(*arguments)
    options.parent = usage.Options()
    options.parent.update({"nodaemon": True, "debug": False, "logfile": None, "logger": None, **twistd})
    makeService(options)


def test_an_access_log_on_standard_output_is_for_the_foreground(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--router", "router.py", "--listen", "tcp:0:interface=127.0.0.1", "--access-log"]
    with pytest.raises(SystemExit) as end:
        under_twistd({"nodaemon": False}, *arguments, "-")
    assert end.value.code == 1
    assert capsys.readouterr().err == (
        "proxymux: --access-log: - is standard output, which a daemon has not; name a file, or give twistd -n\n"
    )
    under_twistd({"nodaemon": False}, *arguments, "access.log")
    under_twistd({"nodaemon": False, "debug": True}, *arguments, "-")


@pytest.mark.parametrize(
    ("twistd", "leaves"), [({}, True), ({"logfile": "-"}, False), ({"logfile": "x.log"}, True), ({"logger": 1}, False)]
)
def test_the_text_log_leaves_standard_output_to_the_access_log_unless_twistd_was_told_where_it_goes(
    twistd: dict[str, object], leaves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = TextLog("error")
    monkeypatch.setattr(TextLog, "_of_process", log)
    under_twistd(twistd, "--router", "router.py", "--listen", "tcp:0:interface=127.0.0.1", "--access-log", "-")
    assert log.leaves_stdout is leaves


# In a process of its own

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def twistd(folder: Path) -> Run:
    """Run ``twistd -n proxymux`` with options with which it does not go on."""
    script = Path(sys.executable).with_name("twistd")

    def twistd(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(script), "-n", "--pidfile=", "proxymux", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return twistd


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--router", "missing.py"], "--router: missing.py: No such file or directory; "),
        (["--router", "syntax.py"], "--router: syntax.py:2: "),
        (["--router", "empty.py"], "--router: empty.py: it defines no proxy(data)"),
        (["--router", "router.py", "--deny-file", "missing"], "--deny-file: missing: No such file or directory; "),
        (["--router", "router.py", "--allow", "10.0.0.1/8"], "--allow: '10.0.0.1/8' has bits set beyond its prefix; "),
        (["--router", "router.py", "--host", "203.0.113.1"], "--listen: "),
        (["--router", "router.py", "--access-log", "/nowhere/log"], "--access-log: /nowhere/log: "),
        (["--router", "router.py", "--backlog", "99999999999"], "--backlog: "),
        (["--nonsense"], "--nonsense: "),
        (["--router", "router.py", "stray"], "stray: "),
        (
            ["--router", "router.py", "--pidfile", "x"],
            "--pidfile: not recognized; it is twistd's own and stands before",
        ),
        (["-n", "--router", "router.py"], "-n: not recognized; it is twistd's own and stands before proxymux; "),
        ([], "--router: missing; "),
    ],
)
def test_twistd_ends_with_one_line_and_status_1(twistd: Run, folder: Path, arguments: list[str], words: str) -> None:
    (folder / "syntax.py").write_text("def proxy(data):\n    return (\n")
    (folder / "empty.py").write_text("")
    if "--host" not in arguments:
        arguments = ["--listen", "tcp:0:interface=127.0.0.1", *arguments]
    ended = twistd(*arguments)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"proxymux: {words}")
    assert len(ended.stderr.splitlines()) == 1


def test_twistd_on_a_port_in_use_ends_with_one_line_and_status_1(twistd: Run, taken: int) -> None:
    ended = twistd("--router", "router.py", "--host", "127.0.0.1", "--port", str(taken))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("proxymux: --listen: ")
    assert f"127.0.0.1:{taken}: Address already in use" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_twistd_with_check_prints_ok_and_does_not_listen(twistd: Run) -> None:
    ended = twistd(*CHECKED)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ok\n", "")


HEAVY = """\
import sys
from twisted.scripts.twistd import run
sys.argv = ["twistd", "-n", "--pidfile=", "proxymux", *sys.argv[1:]]
try:
    run()
except SystemExit as end:
    status = end.code
heavy = ("OpenSSL", "cryptography", "service_identity", "proxymux.net", "proxymux.service", "twisted.internet.ssl")
loaded = sorted(name for name in sys.modules if name.startswith(heavy))
print("status", status or 0, "loaded", loaded, file=sys.__stderr__)
"""


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--help"], 0),
        (["--nonsense"], 1),
        (["stray"], 1),
        ([], 1),
        (["--router", "router.py", "--decide-timeout", "soon"], 1),
        (["--router", "router.py", "--allow", "nonsense"], 1),
    ],
)
def test_help_and_bad_options_load_nothing_heavy(folder: Path, arguments: list[str], status: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HEAVY, *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stderr.splitlines()[-1] == f"status {status} loaded []"


@pytest.mark.parametrize("option", ["fleet", "deny-cluster"])
def test_the_options_do_not_keep_the_password_of_an_etcd(option: str) -> None:
    url = "etcd://root:s3cret@10.0.0.1:2379/prefix/"
    options = parse("--router", "router.py", f"--{option}", url)
    assert "s3cret" not in str(dict(options))
    assert "s3cret" not in repr(options.settings)
    assert vars(options.settings)[option.replace("-", "_")] == url


def test_nor_do_they_keep_that_of_a_cluster() -> None:
    clusters = ["users=etcd://root:s3cret@10.0.0.1:2379/users/", "shops=consul://10.0.0.2/shop?token=s3cret"]
    options = parse("--router", "router.py", *(f"--cluster={each}" for each in clusters))
    assert "s3cret" not in str(dict(options))
    assert "s3cret" not in repr(options.settings)
    assert [f"{each.name}={each.source}" for each in options.settings.cluster] == clusters
    assert options.arguments[2:] == [f"--cluster={each}" for each in clusters]  # by these workers make theirs


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("etcd://root:s3cret@10.0.0.1:2379/users/", "NAME=SOURCE is accepted"),
        ("etcd://root:s3cret=@10.0.0.1:2379/users/", "what stands before the first = is no name"),
        ("users=etcd://root:s3cret@10.0.0.1:99999/users/", "users: "),
        ("users=etcd://root:x;s3cret=@10.0.0.1:2379/users/", "users: what stands behind a ; is no option"),
        ("users=etcd://root:x;s3cret@10.0.0.1:2379/", "users: what stands behind a ; is no option"),
        ("users=redis://:s3cret@10.0.0.1:6379/", "users: 'redis://' begins no source"),
        ("users=consul://10.0.0.1/users?token=s3cret&colour=red", "users: "),
    ],
)
def test_a_bad_cluster_is_not_shown_with_its_password(complaint: Complain, given: str, words: str) -> None:
    line = complaint("--router", "router.py", "--cluster", given, start=True)
    assert line.startswith(f"proxymux: --cluster: {words}")
    assert "s3cret" not in line


@pytest.mark.parametrize("option", ["--fleet", "--deny-cluster"])
def test_a_bad_address_of_an_etcd_is_not_shown_with_its_password(complaint: Complain, option: str) -> None:
    assert "s3cret" not in complaint("--router", "router.py", option, "etcd://u:s3cret@h:99999/p/", start=True)
