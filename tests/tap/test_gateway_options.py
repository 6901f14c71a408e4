"""The command line of the gateway."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from proxymux.errors import ConfigError
from proxymux.gateway.keys import SecretSource
from proxymux.gateway.settings import SECRET_VARIABLE, GatewaySettings
from proxymux.tap.gateway import Gateway, Options, make, makeService
from tests.tap.test_options import SHARED
from tests.test_settings import DEFAULTS

SECRET: Final = "p0S8rX680*48"
KEY: Final = base64.b64encode(bytes(32)).decode()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a secret and a key file, and no variable."""
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "keys").write_text(f"k1 {KEY}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    return tmp_path


def parse(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(list(arguments))
    return options


def settings(*arguments: str) -> GatewaySettings:
    return parse(*arguments).settings


def begin(*arguments: str, start: bool) -> None:
    options = parse(*arguments)
    if start:
        makeService(options)


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a command line's start-up says on standard error before it ends with status 1."""

    def complaint(*arguments: str, start: bool = False) -> str:
        with pytest.raises(SystemExit) as end:
            begin(*arguments, start=start)
        out, err = capsys.readouterr()
        assert (end.value.code, out) == (1, "")
        assert len(err.splitlines()) == 1, err
        assert err.startswith("proxymux: ")
        assert SECRET not in err
        assert KEY not in err
        return str(err.rstrip("\n"))

    return complaint


# Help


@pytest.fixture
def help_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What ``--help`` says, by option."""
    monkeypatch.setenv("COLUMNS", "500")
    with pytest.raises(SystemExit):
        parse("--help")
    found = {}
    for line in capsys.readouterr().out.splitlines():
        option = re.match(r"\s+(?:-\w, )?(--[a-z-]+)=?\s+(\S.*)", line)
        if option is not None:
            found[option.group(1)] = option.group(2)
    return found


OWN: dict[str, tuple[list[str], str]] = {
    "--secret": (["old tokens", "--secret-file"], ""),
    "--secret-file": (["file", "old tokens"], f"the variable {SECRET_VARIABLE}"),
    "--key-file": (["keys", "KID BASE64", "first seals"], ""),
    "--legacy": (["old tokens", "on or off"], "on"),
    "--audience": (["token", "name"], "none"),
    "--once-without-etcd": (["one-time tokens", "--fleet", "refuse or local"], "refuse"),
    "--addr": (["HOST:PORT"], "0.0.0.0:0"),
    "--reuse": (["port", "1"], "0"),
    "--retry": (["attempts in all"], "1"),
    "--timeout": (["seconds", "attempt"], "3"),
    "--buffer": (["bytes", "1024 to 16777216"], "65536"),
    "--max-failures": (["a minute", "off"], "600"),
    "--pprof": (["endpoint", "profiling", "127.0.0.1"], "off"),
    "--gateway-pidfile": (["file", "number", "off"], "gateway.pid"),
    "--digest": (["md5", "sha256", "pbkdf2", "Repeatable"], "md5"),
    "--allow-target": (["CIDR[:PORTS]", "Repeatable"], "all"),
    "--deny-target": (["CIDR[:PORTS]", "wins", "Repeatable"], "none"),
}


@pytest.mark.parametrize("option", OWN)
def test_help_has_every_option_with_its_unit_and_default(option: str, help_lines: dict[str, str]) -> None:
    words, default = OWN[option]
    for word in words:
        assert word in help_lines[option]
    if default:
        assert f"[default: {default}]" in help_lines[option]


def test_help_has_no_option_that_is_not_tested_here(help_lines: dict[str, str]) -> None:
    assert set(help_lines) - {"--help", "--version", "--check", "--demo"} == {*SHARED, *OWN}


def test_defaults_that_differ_from_other_services_are_in_the_help(help_lines: dict[str, str]) -> None:
    assert "[default: 10]" in help_lines["--decide-timeout"]
    assert "[default: 15]" in help_lines["--tcp-keepalive"]


def test_help_fits_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        parse("--help")
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


# What options mean


def test_the_defaults_are_those_of_the_contract(folder: Path) -> None:
    read = settings()
    assert read.endpoints == ("tcp:0:interface=0.0.0.0",)
    differs = {name for name in DEFAULTS if getattr(read, name) != DEFAULTS[name]}
    assert {name: getattr(read, name) for name in differs} == {"decide_timeout": 10.0, "tcp_keepalive": 15}
    assert {name: value for name, value in vars(read).items() if name not in DEFAULTS} == {
        "secret": None,
        "secret_file": None,
        "addr": None,
        "digest": ("md5",),
        "legacy": True,
        "reuse": False,
        "retry": 1,
        "timeout": 3.0,
        "buffer": 65536,
        "max_failures": 600,
        "pprof": None,
        "audience": None,
        "once_without_etcd": "refuse",
        "key_file": None,
        "gateway_pidfile": str(folder / "gateway.pid"),
        "allow_target": (),
        "deny_target": (),
    }


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["--digest", "sha256"], "digest", ("sha256",)),
        (["--digest", "pbkdf2", "--digest", "md5"], "digest", ("pbkdf2", "md5")),
        (["--legacy", "off"], "legacy", False),
        (["--reuse", "1"], "reuse", True),
        (["--reuse=0"], "reuse", False),
        (["--retry", "5"], "retry", 5),
        (["--timeout", "0.25"], "timeout", 0.25),
        (["--buffer", "1024"], "buffer", 1024),
        (["--buffer", "16777216"], "buffer", 16 << 20),
        (["--max-failures", "1"], "max_failures", 1),
        (["--pprof", "6060"], "pprof", "6060"),
        (["--max-failures", "off"], "max_failures", None),
        (["--audience", "eu"], "audience", "eu"),
        (["--gateway-pidfile", "off"], "gateway_pidfile", None),
        (["--gateway-pidfile", "/run/g.pid"], "gateway_pidfile", "/run/g.pid"),
    ],
)
def test_an_option_becomes_its_setting(arguments: list[str], name: str, value: Any) -> None:
    assert getattr(settings(*arguments), name) == value


def test_files_are_those_of_the_directory_it_was_started_in(folder: Path) -> None:
    """twistd changes the directory, and a reload comes later."""
    read = settings("--key-file", "keys", "--gateway-pidfile", "run/g.pid")
    assert read.key_file == str(folder / "keys")
    assert read.gateway_pidfile == str(folder / "run" / "g.pid")


def test_shared_options_win_over_the_gateways_defaults() -> None:
    read = settings("--decide-timeout", "3", "--tcp-keepalive", "off", "--tcp-user-timeout", "20")
    assert (read.decide_timeout, read.tcp_keepalive, read.tcp_user_timeout) == (3.0, None, 20.0)


@pytest.mark.parametrize(
    ("arguments", "listen"),
    [
        ([], ["tcp:0:interface=0.0.0.0"]),
        (["--addr", "127.0.0.1:80"], ["tcp:80:interface=127.0.0.1"]),
        (["--addr", "[::1]:80"], [r"tcp:80:interface=\:\:1"]),
        (["--listen", "tcp:80"], ["tcp:80"]),
        (["--listen", "tcp:80", "--addr", "127.0.0.1:81"], ["tcp:80", "tcp:81:interface=127.0.0.1"]),
    ],
)
def test_addr_makes_a_listen(arguments: list[str], listen: list[str]) -> None:
    assert settings(*arguments).endpoints == tuple(listen)


def test_target_rules_are_repeatable() -> None:
    read = settings(
        "--allow-target", "10.0.0.0/8:80", "--allow-target", "[fd00::/8]:1-2", "--deny-target", "10.1.0.0/16"
    )
    assert [str(rule.network) for rule in read.allow_target] == ["10.0.0.0/8", "fd00::/8"]
    assert [rule.ports for rule in read.allow_target] == [((80, 80),), ((1, 2),)]
    assert [str(rule.network) for rule in read.deny_target] == ["10.1.0.0/16"]


# What is not accepted


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--retry", "0"], ["--retry: ", "'0'", "a whole number of at least 1"]),
        (["--retry", "-1"], ["--retry: "]),
        (["--retry", "many"], ["--retry: ", "'many'"]),
        (["--timeout", "0"], ["--timeout: ", "'0'", "greater than 0"]),
        (["--timeout", "nan"], ["--timeout: "]),
        (["--timeout", "3 s"], ["--timeout: "]),
        (["--buffer", "0"], ["--buffer: ", "'0'", "1024 to 16777216"]),
        (["--buffer", "1023"], ["--buffer: "]),
        (["--buffer", "16777217"], ["--buffer: "]),
        (["--reuse", "2"], ["--reuse: ", "0 or 1"]),
        (["--reuse", "true"], ["--reuse: "]),
        (["--reuse"], ["--reuse"]),
        (["--legacy", "no"], ["--legacy: ", "on or off"]),
        (["--digest", "sha1"], ["--digest: ", "'sha1'", "md5, sha256 or pbkdf2"]),
        (["--digest", "MD5"], ["--digest: "]),
        (["--max-failures", "0"], ["--max-failures: ", "at least 1, or off"]),
        (["--addr", "127.0.0.1"], ["--addr: ", "HOST:PORT"]),
        (["--addr", ":80"], ["--addr: ", "HOST:PORT"]),
        (["--addr", "127.0.0.1:99999"], ["--addr: ", "'99999'"]),
        (["--addr", "127.0.0.1:http"], ["--addr: ", "'http'"]),
        (["--allow-target", "localhost"], ["--allow-target: ", "'localhost'"]),
        (["--deny-target", "10.0.0.0/8:0"], ["--deny-target: ", "'0'", "1 to 65535"]),
        (["--tcp-keepalive", "0"], ["--tcp-keepalive: ", "1 to 32767"]),
        (["--tcp-user-timeout", "0"], ["--tcp-user-timeout: "]),
        (["--secret", SECRET, "--secret-file", "secret"], ["--secret-file: ", "beside --secret"]),
        (["--secret", SECRET, "--nonsense"], ["--nonsense: "]),
        (["--secret", SECRET, "more"], ["more: is no option"]),
    ],
    ids=lambda each: " ".join(each),
)
def test_a_bad_value_is_one_line_that_names_the_option(
    complaint: Callable[..., str], arguments: list[str], words: list[str]
) -> None:
    said = complaint(*arguments)
    assert said.startswith(f"proxymux: {words[0]}")
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["Missing secret: ", "--secret-file", SECRET_VARIABLE, "--key-file"]),
        (["--secret", ""], ["Missing secret: "]),
        (["--legacy", "off", "--secret-file", "secret"], ["--legacy: ", "--key-file"]),
        (["--secret-file", "nowhere"], ["--secret-file: ", "nowhere: No such file or directory"]),
        (["--secret-file", "."], ["--secret-file: ", "Is a directory"]),
        (["--secret-file", "empty"], ["--secret-file: ", "empty: is empty"]),
        (["--key-file", "nowhere"], ["--key-file: ", "nowhere: No such file or directory"]),
        (["--key-file", "."], ["--key-file: ", "Is a directory"]),
        (["--key-file", "empty"], ["--key-file: ", "empty: holds no key"]),
        (["--key-file", "binary"], ["--key-file: ", "binary: not a text file"]),
        (["--key-file", "bad"], ["--key-file: ", "bad: line 2: the key of k2 is not base64 of 32 bytes"]),
        (["--secret-file", "secret", "--listen", "tcp:x"], ["--listen: "]),
        (["--secret-file", "secret", "--deny-file", "nowhere"], ["--deny-file: "]),
    ],
    ids=lambda each: " ".join(each),
)
def test_what_cannot_be_started_says_so(
    complaint: Callable[..., str], folder: Path, arguments: list[str], words: list[str]
) -> None:
    (folder / "empty").write_text("\n")
    (folder / "binary").write_bytes(b"\xff\xfe\0")
    (folder / "bad").write_text(f"k1 {KEY}\nk2 {KEY[1:]}\n")
    said = complaint(*arguments, "--addr", "127.0.0.1:0", start=True)
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("arguments", "warned"),
    [
        (["--once-without-etcd", "local"], True),
        ([], False),
        (["--once-without-etcd", "local", "--fleet", "etcd://127.0.0.1:2379/fleet/"], False),
    ],
)
def test_what_has_no_effect_without_a_fleet_is_said(arguments: list[str], warned: bool) -> None:
    service = make(settings("--secret-file", "secret", "--addr", "127.0.0.1:0", *arguments))
    assert ("--once-without-etcd: has no effect without --fleet" in service.warnings) == warned


# The secret


def test_the_options_do_not_keep_the_secret() -> None:
    options = parse("--secret", SECRET)
    assert SECRET not in str(dict(options))
    assert SECRET not in repr(options.settings)
    assert options.settings.secret == SECRET


def test_the_variable_is_taken_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)
    source = SecretSource(None, None)
    assert SECRET_VARIABLE not in os.environ
    assert source.read() == SECRET.encode()
    assert source.read() == SECRET.encode()


@pytest.mark.parametrize("way", ["option", "file"])
def test_an_option_wins_over_the_variable(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, "another")
    source = SecretSource(SECRET, None) if way == "option" else SecretSource(None, "secret")
    assert source.read() == SECRET.encode()


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"abc", b"abc"),
        (b"abc\n", b"abc"),
        (b"abc\r\n", b"abc"),
        (b"abc\n\n", b"abc\n"),
        (b" abc ", b" abc "),
        (b"\xff\0\n", b"\xff\0"),
        ("p\xe4ss w\xf6rd\n".encode(), "p\xe4ss w\xf6rd".encode()),
    ],
)
def test_a_secret_file_holds_the_secret_and_perhaps_one_lines_end(folder: Path, content: bytes, secret: bytes) -> None:
    (folder / "secret").write_bytes(content)
    assert SecretSource(None, "secret").read() == secret


def test_a_secret_of_the_command_line_is_the_bytes_that_were_typed() -> None:
    assert SecretSource("p\xe4ss", None).read() == "p\xe4ss".encode()
    assert SecretSource(os.fsdecode(b"\xff"), None).read() == b"\xff"


# Check, and application files


def test_check_says_ok_and_makes_no_pid_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        makeService(parse("--key-file", "keys", "--addr", "127.0.0.1:0", "--check"))
    assert (end.value.code, capsys.readouterr().out) == (0, "ok\n")
    assert not (folder / "gateway.pid").exists()


def test_a_service_that_was_made_does_not_listen_and_has_no_pid_file_yet(folder: Path) -> None:
    service: Any = makeService(parse("--key-file", "keys", "--addr", "127.0.0.1:0"))
    assert service.addresses == []
    assert not (folder / "gateway.pid").exists()


def test_an_application_file_may_make_one(folder: Path) -> None:
    service = Gateway(SECRET, addr="127.0.0.1:0", retry=2, deny_target=["127.0.0.0/8", "::1"], gateway_pidfile="off")
    assert service.addresses == []
    assert Gateway(key_file="keys", addr="127.0.0.1:0", listen="tcp:0", deny_target="::1").addresses == []


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"nonsense": 1}, "nonsense"),
        ({"retry": 0}, "--retry"),
        ({"timeout": "soon"}, "--timeout"),
        ({"deny_target": ["x"]}, "--deny-target"),
        ({"secret": None}, "Missing secret"),
    ],
)
def test_an_application_file_is_told_what_is_wrong(given: dict[str, Any], option: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        Gateway(**{"secret": SECRET, "addr": "127.0.0.1:0", **given})
    assert refusal.value.option == option


@pytest.mark.parametrize("option", ["--secret-file", "--key-file"])
def test_a_file_of_secrets_that_everybody_can_read_gets_a_warning(
    capsys: pytest.CaptureFixture[str], public_folder: Path, option: str
) -> None:
    file = public_folder / "file"
    file.write_text(f"k1 {KEY}\n")
    for mode, said in (
        (0o640, ""),
        (0o644, f"proxymux: {option}: {file} can be read by every user (mode 0644); chmod o-rwx it\n"),
    ):
        file.chmod(mode)
        with pytest.raises(SystemExit) as end:
            makeService(parse(option, str(file), "--addr", "127.0.0.1:0", "--check"))
        assert (end.value.code, *capsys.readouterr()) == (0, "ok\n", said)
        assert KEY not in said


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_a_pid_file_that_cannot_be_written_is_one_line(complaint: Callable[..., str], check: list[str]) -> None:
    text = complaint("--secret", "s", "--addr", "127.0.0.1:0", "--gateway-pidfile", "no/pid", *check, start=True)
    assert re.search(r"^proxymux: --gateway-pidfile: .*/no/pid: there is no folder .*/no; ", text)


@pytest.mark.parametrize("arguments", [["-secret", "s"], ["-secret=s"]])
def test_gos_way_to_give_the_secret_is_understood(arguments: list[str]) -> None:
    assert settings(*arguments).secret == "s"
