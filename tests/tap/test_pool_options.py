"""The pool's help, what it loads of the user's, and twistd's start-up with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxymux.errors import ConfigError
from proxymux.pool.ancestor import read_pool_settings
from proxymux.pool.loading import load_codec
from proxymux.tap.pool import Multiplexer, Options, makeService

GIVEN = ("--listen", "tcp:0:interface=127.0.0.1", "--target", "127.0.0.1:1")
CODECS = """\
from proxymux.core.codecs.line import LineCodec


class Mine(LineCodec):
    name = "mine"


class Greedy:
    def __init__(self, limit):
        pass


class Partial:
    def requests(self): ...
    def replies(self): ...
    def failure(self, problem): ...


class Sparing(Partial):
    name, gap = "sparing", True


ready = Mine()
"""
#: The pool's own options, with words that their help must have and their default.
OWN: dict[str, tuple[list[str], str]] = {
    "--target": (["HOST:PORT", "repeat"], ""),
    "--mode": (["proxy", "fifo", "funnel"], "by the numbers"),
    "--codec": (["resp", "http", "package.module:attr"], "raw"),
    "--raw-gap": (["milliseconds"], "5"),
    "--inactivity-timeout": (["milliseconds", "0 is off"], "0"),
    "--queue-limit": (["requests", "clients"], "1024"),
    "--queue-timeout": (["seconds"], "30"),
    "--request-timeout": (["seconds"], "60"),
    "--auth-file": (["upstreams", "clients", "resp"], ""),
    "--database": (["database", "resp"], "0"),
    "--max-message": (["bytes", "value", "body", "line"], "512 MiB, lines 16 MiB"),
    "--memcache-auth": (["-Y"], ""),
    "--max-outstanding": (["bytes", "unread"], "1048576"),
    "--max-reply-memory": (["bytes", "all clients"], "268435456"),
    "--retry-idempotent": (["on", "off", "once more"], "on"),
    "--watch": (["load the router again", "module beside it", "HUP"], "off"),
    "--demo": (["HTTP server", "two connections"], ""),
    "--config-object": (["package.module:ATTR"], ""),
    "--listeners": (["file or module", "events"], ""),
    "--async": (["funnel"], ""),
    "--keep-alive": (["--tcp-keepalive"], ""),
    "--warmup": (["before there are clients"], ""),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory; nothing of the ancestor is in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    for name in [name for name in os.environ if re.match("LOCAL_|TARGET_|PROXY_|EXCHANGE_|LOG_LEVEL", name)]:
        monkeypatch.delenv(name)
    (tmp_path / "codecs_of_ours.py").write_text(CODECS)
    yield tmp_path
    for name in ("codecs_of_ours", "listeners_of_ours", "proxymux_router_listeners_of_ours"):
        sys.modules.pop(name, None)


def parse(*arguments: str) -> Options:
    options = Options()
    options.parseOptions([*GIVEN, *arguments])
    return options


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that start-up ends with."""
    with pytest.raises(SystemExit) as end:
        makeService(parse(*arguments))
    out, err = capsys.readouterr()
    assert (end.value.code, out, len(err.splitlines())) == (1, "", 1)
    return err.rstrip("\n")


# Help


@pytest.mark.parametrize("option", OWN)
def test_help_has_every_option_with_its_unit_and_default(
    option: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    with pytest.raises(SystemExit):
        parse("--help")
    [line] = [line for line in capsys.readouterr().out.splitlines() if re.match(rf"\s+{option}=?\s", line)]
    words, default = OWN[option]
    for word in words:
        assert word in line
    if default:
        assert f"[default: {default}" in line


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "No such file or directory; name a readable file of users"),
        ("client app\n", "line 1: a line is: upstream USER PASSWORD, or: client USER PASSWORD"),
        ("", "it names nobody; a line is: upstream USER PASSWORD, or: client USER PASSWORD"),
    ],
)
def test_an_auth_file_that_is_of_no_use_ends_the_start(
    text: str | None, problem: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "auth"
    if text is not None:
        path.write_text(text)
    said = complaint(capsys, "--codec", "resp", "--mode", "fifo", "--auth-file", "auth")
    assert said == f"proxymux: --auth-file: {path}: {problem}"


def test_an_auth_file_that_everybody_can_read_gets_a_warning(
    public_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = public_folder / "auth"
    path.write_text("client app sesame\n")
    for mode, said in (
        (0o640, ""),
        (0o644, f"proxymux: --auth-file: {path} can be read by every user (mode 0644); chmod o-rwx it\n"),
    ):
        path.chmod(mode)
        with pytest.raises(SystemExit) as end:
            makeService(parse("--codec", "resp", "--mode", "fifo", "--auth-file", str(path), "--check"))
        assert (end.value.code, *capsys.readouterr()) == (0, "ok\n", said)


# Codecs


@pytest.mark.parametrize("name", ["codecs_of_ours:Mine", "codecs_of_ours:ready"])
def test_a_codec_may_be_the_users_class_or_object(name: str) -> None:
    assert load_codec(name).name == "mine"
    assert parse("--codec", name).settings.codec == name


def test_what_the_users_codec_does_not_say_is_filled_in() -> None:
    codec = load_codec("codecs_of_ours:Sparing")
    assert (codec.name, codec.pipelines, codec.silent_first, codec.ends_at_own) == ("sparing", False, True, False)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such", "'no_such' is no codec: raw, line, length:N"),
        ("RESP", "'RESP' is no codec"),
        ("length:3", "'length:3' is no codec"),
        ("length:", "'length:' is no codec"),
        ("", "'' is no codec"),
        ("no_such:attr", "no_such: "),
        ("codecs_of_ours:nothing", "there is no 'nothing' in it"),
        ("codecs_of_ours:Greedy", "codecs_of_ours:Greedy: TypeError: "),
        ("codecs_of_ours:Partial", "codecs_of_ours:Partial: it has no name; "),
        ("json:JSONDecoder", "json:JSONDecoder: it has no requests(); "),
    ],
)
def test_what_is_no_codec_is_one_line(capsys: pytest.CaptureFixture[str], name: str, words: str) -> None:
    text = complaint(capsys, "--codec", name)
    assert text.startswith("proxymux: --codec: ")
    assert words in text


# Routers of requests


def test_a_router_that_names_every_place_needs_no_target() -> None:
    given = {"listen": "tcp:0", "codec": "resp", "router": "shards.py"}
    settings = read_pool_settings(given, None, {})
    assert (settings.target, settings.chosen_mode) == ((), "funnel")
    with pytest.raises(ConfigError, match="--target: missing"):
        read_pool_settings({"listen": "tcp:0", "codec": "resp"}, None, {})


# Listeners


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        ("--listeners", "nofile.py", "name the file that defines connected, "),
        ("--listeners", "nothing_of_the_kind", "name the file that defines connected, "),
        ("--codec", "./nofile.py:codec", "name a built-in codec, or package.module:attribute"),
        ("--config-object", "nofile.py", "name package.module:attribute of the object"),
    ],
)
def test_what_is_not_there_is_asked_for_as_what_it_is(
    capsys: pytest.CaptureFixture[str], option: str, value: str, remedy: str
) -> None:
    text = complaint(capsys, option, value)
    assert text.startswith(f"proxymux: {option}: {value}: ")
    assert remedy in text
    assert "proxy(data)" not in text


@pytest.mark.parametrize("name", ["listeners_of_ours", "listeners_of_ours.py", "./listeners_of_ours.py"])
def test_listeners_are_functions_of_a_module_or_a_file(folder: Path, name: str) -> None:
    (folder / "listeners_of_ours.py").write_text(
        "told = []\n\n\ndef connected(logger, remote):\n    told.append(remote)\n\n\n"
        "async def request(logger, data, response):\n    told.append(data)\n\n\ndef helper():\n    pass\n"
    )
    service: Any = makeService(parse("--listeners", name))
    assert service.events.heard("connected")
    assert service.events.heard("request")
    assert not service.events.heard("ended")
    service.events.emit("connected", None, "10.0.0.1:1")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (None, "no_listeners.py: No such file or directory; name the file that defines connected, "),
        ("def helper():\n    pass\n", "no_listeners.py: it defines none of connected, request, "),
        ("def request(:\n", "no_listeners.py:1: "),
        ("1 / 0\n", "no_listeners.py:1: ZeroDivisionError"),
    ],
)
def test_what_has_no_listeners_is_one_line(
    capsys: pytest.CaptureFixture[str], folder: Path, source: str | None, words: str
) -> None:
    if source is not None:
        (folder / "no_listeners.py").write_text(source)
    text = complaint(capsys, "--listeners", "no_listeners.py")
    assert text.startswith(f"proxymux: --listeners: {words}")


# In a .tac file


def test_a_multiplexer_is_a_service_with_events() -> None:
    service = Multiplexer(target="127.0.0.1:1", listen="tcp:0:interface=127.0.0.1", codec="resp")
    told: list[Any] = []

    @service.events.on("request")  # type: ignore[untyped-decorator, unused-ignore]
    def request(logger: Any, data: bytes, response: Any) -> None:
        told.append(data)

    service.events.emit("request", None, b"data", None)
    assert told == [b"data"]


def test_a_multiplexer_without_anything_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="--target: missing"):
        Multiplexer()
    monkeypatch.setenv("PROXY_CONNECTIONS_CNT", "1")
    with pytest.raises(ConfigError, match="TARGET_HOST_1: is required"):
        Multiplexer()


# In a process of its own

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def twistd(folder: Path) -> Run:
    """Run ``twistd -n proxymux-pool`` with options with which it does not go on."""
    script = Path(sys.executable).with_name("twistd")

    def twistd(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(script), "-n", "--pidfile=", "proxymux-pool", *arguments],
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return twistd


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "--target: missing; give --target HOST:PORT and --listen, or set PROXY_CONNECTIONS_CNT"),
        ({"PROXY_CONNECTIONS_CNT": "0"}, "PROXY_CONNECTIONS_CNT: '0' is not accepted; "),
        ({"PROXY_CONNECTIONS_CNT": "1"}, "TARGET_HOST_1: is required"),
        (
            {"PROXY_CONNECTIONS_CNT": "1", "TARGET_HOST_1": "a", "TARGET_PORT_1": "12abc"},
            "TARGET_PORT_1: '12abc' is not accepted; ",
        ),
        (
            {"PROXY_CONNECTIONS_CNT": "1", "TARGET_HOST_1": "a", "TARGET_PORT_1": "1", "LOCAL_HOST": "127.0.0.1"},
            "LOCAL_PORT: is required",
        ),
    ],
)
def test_twistd_ends_with_one_line_that_names_the_variable(
    twistd: Run, environment: dict[str, str], words: str
) -> None:
    ended = twistd(**environment)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"proxymux: {words}")
    assert len(ended.stderr.splitlines()) == 1


def test_twistd_with_check_prints_ok(twistd: Run) -> None:
    ended = twistd(*GIVEN, "--codec", "codecs_of_ours:Mine", "--check")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ok\n", "")
