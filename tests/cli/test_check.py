from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import cast

import pytest
from twisted.internet.task import Clock

from proxymux.cli import main
from proxymux.cli.check import check_router

#: Decides by the whole name before a blank, whatever the segments.
GOOD = """\
def proxy(data):
    name, blank, rest = data.partition(b' ')
    if not blank:
        return None
    if name == b'alice':
        return {'remote': 'db:5432', 'data': rest, 'reply': b'hello '}
    return {'close': b'who is ' + name}
"""
#: Takes whatever has come so far for the name.
HASTY = "def proxy(data):\n    return {'remote': data[:3].decode() + ':80'}\n"


class Checked:
    """What ``check_router`` said."""

    def __init__(self, good: bool | None, out: str, err: str) -> None:
        self.good = good
        self.out = out
        self.err = err

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Terminal(io.StringIO):
    """Standard error, where it is a terminal."""

    def isatty(self) -> bool:
        return True


class Check:
    """Runs a check on a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()

    def sample(self, data: bytes, name: str = "sample") -> str:
        path = self.folder / name
        path.write_bytes(data)
        return str(path)

    def router(self, source: str) -> str:
        path = self.folder / "router.py"
        path.write_text(source)
        return str(path)

    def __call__(self, source: str, *samples: str, seconds: float = 0, terminal: bool = False) -> Checked:
        out, err = io.StringIO(), Terminal() if terminal else io.StringIO()
        results: list[bool] = []
        checking = check_router(self.clock, self.router(source), samples, 30.0, out, err)
        checking.addCallback(results.append)
        while not results and seconds > 0:
            self.clock.advance(1)
            seconds -= 1
        checking.addErrback(lambda failure: failure.raiseException())
        return Checked(results[0] if results else None, out.getvalue(), err.getvalue())


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Check]:
    monkeypatch.setattr(sys, "path", sys.path[:])
    check = Check(tmp_path)
    yield check
    assert check.clock.getDelayedCalls() == []
    sys.modules.pop("proxymux_router_router", None)


# In this process


def test_a_good_router_without_samples_is_ok(check: Check) -> None:
    checked = check(GOOD)
    assert checked.good is True
    assert checked.out == f"{check.folder}/router.py: ok\n"
    assert checked.err == ""


def test_a_sample_is_decided_on_whole_and_in_every_split(check: Check) -> None:
    checked = check(GOOD, check.sample(b"alice abc"))
    assert checked.good is True
    assert checked.lines == [
        f"{check.folder}/router.py: ok",
        f"{check.folder}/sample (9 bytes): forwards to db:5432, the client is sent b'hello ', the upstream b'abc'",
        "  split-invariant: all 256 splits tried act alike",
    ]


def test_a_rejection_is_told_with_the_last_word(check: Check) -> None:
    checked = check(GOOD, check.sample(b"bob abc"))
    assert checked.good is True
    assert "rejects with 10 bytes, the client is sent b'who is bob'" in checked.lines[1]


def test_a_router_that_waits_for_more_is_told_so(check: Check) -> None:
    checked = check(GOOD, check.sample(b"alice"))
    assert checked.good is True
    assert checked.lines[1].endswith("(5 bytes): waits for more")


def test_a_long_sample_is_told_by_its_ends(check: Check) -> None:
    checked = check(GOOD, check.sample(b"alice " + b"x" * 500))
    assert checked.good is True
    assert "(500 bytes)" in checked.lines[1]
    assert len(checked.lines[1]) < 300
    assert checked.lines[2] == "  split-invariant: all 507 splits tried act alike"


def test_a_router_whose_decision_depends_on_the_split_is_shown_one(check: Check) -> None:
    checked = check(HASTY, check.sample(b"abcd"))
    assert checked.good is False
    assert checked.lines[1:] == [
        f"{check.folder}/sample (4 bytes): forwards to abc:80, the upstream b'abcd'",
        "  NOT split-invariant: what it does depends on how the bytes arrive",
        "  in one piece: forwards to abc:80, the upstream b'abcd'",
        "  as b'a' | b'bcd': forwards to a:80, the upstream b'abcd'",
    ]


def test_a_router_that_fails_in_some_split_only_is_shown_it(check: Check) -> None:
    checked = check("def proxy(data):\n    return {'close': data[3:4] or 1 / 0}\n", check.sample(b"abcd"))
    assert checked.good is False
    assert "NOT split-invariant" in checked.out
    assert f"fails: {check.folder}/router.py:2: proxy raised ZeroDivisionError" in checked.lines[-1]


def test_data_that_replaces_what_had_come_by_then_acts_differently_when_more_had(check: Check) -> None:
    source = "def proxy(data):\n    return {'remote': 'db:1', 'data': b'X'} if b'b' in data else None\n"
    checked = check(source, check.sample(b"abcd"))
    assert checked.good is False
    assert "the upstream b'X'" in checked.lines[1]


def test_a_split_that_differs_only_in_how_it_says_the_same_is_alike(check: Check) -> None:
    source = (
        "def proxy(data):\n"
        "    whole = len(data) == 4\n"
        "    return {'remote': 'db:1', 'data': data} if whole else {'remote': 'db:1'}\n"
    )
    assert check(source, check.sample(b"abcd")).good is True


def test_steps_of_a_negotiation_are_followed(check: Check) -> None:
    source = (
        "def proxy(data):\n"
        "    if data[:1] == b'h':\n"
        "        return {'reply': b'hi ', 'consume': 1}\n"
        "    return {'remote': 'db:1'} if data[:1] == b'x' else None\n"
    )
    checked = check(source, check.sample(b"hhxyz"))
    assert checked.good is True
    assert checked.lines[1].endswith("forwards to db:1, the client is sent b'hi hi ', the upstream b'xyz'")


def test_an_async_router_is_waited_for(check: Check) -> None:
    source = "from twisted.internet.defer import succeed\n" + GOOD.replace("def", "async def").replace(
        "    name", "    await succeed(None)\n    name", 1
    )
    assert check(source, check.sample(b"alice abc")).good is True


NEVER = "from twisted.internet.defer import Deferred\ndef proxy(data):\n    return Deferred()\n"
#: Takes a second for each decision.
SLOW = """\
from twisted.internet.task import deferLater

async def proxy(data):
    await deferLater(proxy.clock, 1)
    return {'close': b''}
"""


def test_a_router_that_never_answers_fails_at_the_timeout(check: Check) -> None:
    sample = check.sample(b"abc")
    checked = check(NEVER, sample, seconds=29)
    assert checked.good is None
    check.clock.advance(1)
    checked = check(NEVER, sample, seconds=31)
    assert checked.good is False
    assert checked.lines[1:] == [f"{sample} (3 bytes): fails: no decision within 30 s, which is --timeout"]


def test_the_timeout_is_for_all_splits_together(check: Check) -> None:
    sample = check.sample(b"abcdefgh")
    sys.modules["acme_clock"] = cast("ModuleType", check.clock)
    try:
        checked = check(SLOW.replace("proxy.clock", "__import__('acme_clock')"), sample, seconds=31)
    finally:
        del sys.modules["acme_clock"]
    assert checked.good is False
    assert checked.lines[2:] == ["  no decision within 30 s, which is --timeout; 29 splits were tried before"]


def test_on_a_terminal_the_progress_is_shown_and_erased(check: Check) -> None:
    sample = check.sample(b"abc")
    sys.modules["acme_clock"] = cast("ModuleType", check.clock)
    try:
        checked = check(SLOW.replace("proxy.clock", "__import__('acme_clock')"), sample, seconds=31, terminal=True)
    finally:
        del sys.modules["acme_clock"]
    assert checked.good is True
    erase = "\r\033[K"
    progress = "".join(f"{erase}  {sample}: split {number}" for number in (1, 2, 3, 4))
    assert checked.err == f"{erase}{progress}{erase}"


def test_a_router_that_raises_fails_with_the_line(check: Check) -> None:
    checked = check("def proxy(data):\n    raise ValueError('no')\n", check.sample(b"abc"))
    assert checked.good is False
    assert checked.lines[1:] == [
        f"{check.folder}/sample (3 bytes): fails: {check.folder}/router.py:2: proxy raised ValueError: no"
    ]


def test_a_router_that_returns_nonsense_fails_with_the_line(check: Check) -> None:
    checked = check("\ndef proxy(data):\n    return 'db:1'\n", check.sample(b"abc"))
    assert checked.good is False
    assert f"fails: {check.folder}/router.py:2: proxy returned 'db:1'" in checked.lines[1]


def test_a_router_that_wants_more_than_max_buffer_fails(check: Check) -> None:
    checked = check("def proxy(data):\n    return None\n", check.sample(b"x" * 70_000))
    assert checked.good is False
    assert "--max-buffer" in checked.lines[1]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def proxy(data):\n    return (\n", "router.py:2: "),
        ("1 / 0\n", "router.py:1: ZeroDivisionError"),
        ("x = 1\n", "defines no proxy(data)"),
        ("raise SystemExit(0)\n", "router.py:1: SystemExit"),
    ],
)
def test_a_router_that_does_not_load_is_one_line(check: Check, source: str, words: str) -> None:
    checked = check(source, check.sample(b"abc"))
    assert checked.good is False
    assert checked.out == ""
    assert checked.err.startswith(f"proxymux: {check.folder}/router.py")
    assert words in checked.err
    assert len(checked.err.splitlines()) == 1


def test_a_sample_that_is_missing_is_said_and_the_others_are_checked(check: Check) -> None:
    missing = str(check.folder / "missing")
    checked = check(GOOD, missing, check.sample(b"alice abc"))
    assert checked.good is False
    assert checked.err == f"proxymux: --sample: {missing}: No such file or directory; name a file of recorded bytes\n"
    assert "split-invariant" in checked.out


def test_a_folder_is_no_sample(check: Check) -> None:
    checked = check(GOOD, str(check.folder))
    assert checked.good is False
    assert checked.err.startswith(f"proxymux: --sample: {check.folder}: Is a directory; ")


def test_an_empty_sample_is_a_client_that_has_sent_nothing(check: Check) -> None:
    checked = check(GOOD, check.sample(b""))
    assert checked.good is True
    assert checked.lines[1].endswith("(0 bytes): waits for more")


def test_one_bad_sample_among_good_ones_is_enough(check: Check) -> None:
    samples = [check.sample(b"ab", "one"), check.sample(b"bbb", "two"), check.sample(b"abcd", "three")]
    source = "def proxy(data):\n    return {'remote': f'{chr(data[0])}{len(data)}:80'} if data[0] > 97 else None\n"
    checked = check(source, *samples)
    assert checked.good is False
    assert [line for line in checked.lines if "split-invariant" in line] == [
        "  split-invariant: all 2 splits tried act alike",
        "  NOT split-invariant: what it does depends on how the bytes arrive",
        "  split-invariant: all 8 splits tried act alike",
    ]


# The command line


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["check", "--help"], ["check", "-h"]])
def test_help_goes_to_standard_output(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out, err = capsys.readouterr()
    assert (end.value.code, err) == (0, "")
    assert out.startswith("usage: proxymux ")
    assert ("--sample" in out) == ("check" in arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["check"],
        ["check", "router.py", "--nonsense"],
        ["check", "router.py", "--sample"],
        ["check", "router.py", "--timeout", "soon"],
    ],
)
def test_a_command_line_that_is_wrong_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    assert "usage: proxymux" in err


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run ``python -m proxymux``."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "proxymux", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_the_exit_status_is_0_if_all_is_well(run: Run, tmp_path: Path) -> None:
    (tmp_path / "router.py").write_text(GOOD)
    (tmp_path / "one").write_bytes(b"alice abc")
    (tmp_path / "two").write_bytes(b"bob x")
    ended = run("check", "router.py", "--sample", "one", "two")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        "router.py: ok",
        "one (9 bytes): forwards to db:5432, the client is sent b'hello ', the upstream b'abc'",
        "  split-invariant: all 256 splits tried act alike",
        "two (5 bytes): rejects with 10 bytes, the client is sent b'who is bob'",
        "  split-invariant: all 16 splits tried act alike",
    ]


def test_the_exit_status_is_1_if_a_split_matters(run: Run, tmp_path: Path) -> None:
    (tmp_path / "router.py").write_text(HASTY)
    (tmp_path / "one").write_bytes(b"abcd")
    ended = run("check", "router.py", "--sample", "one")
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "NOT split-invariant" in ended.stdout


def test_an_async_router_runs_on_a_real_reactor(run: Run, tmp_path: Path) -> None:
    (tmp_path / "acme_routes.py").write_text(
        "from twisted.internet import reactor\n"
        "from twisted.internet.task import deferLater\n"
        "async def proxy(data):\n"
        "    await deferLater(reactor, 0)\n"
        "    return {'remote': 'db:1'}\n"
    )
    (tmp_path / "one").write_bytes(b"abcd")
    ended = run("check", "acme_routes", "--sample", "one")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "forwards to db:1" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["check", "missing.py"], 1, "proxymux: missing.py: No such file or directory; "),
        (["check", "broken.py"], 1, "proxymux: broken.py:1: "),
        (["check", "router.py", "--timeout", "-1"], 2, "usage: proxymux"),
        (["check", "router.py", "--timeout", "nan"], 2, "usage: proxymux"),
    ],
)
def test_what_is_wrong_is_said_on_standard_error_without_a_traceback(
    run: Run, tmp_path: Path, arguments: list[str], status: int, words: str
) -> None:
    (tmp_path / "router.py").write_text(HASTY)
    (tmp_path / "broken.py").write_text("def (\n")
    (tmp_path / "one").write_bytes(b"abcd")
    if "router.py" in arguments:
        arguments = [*arguments, "--sample", "one"]
    ended = run(*arguments)
    assert ended.returncode == status
    assert ended.stdout == ""
    assert ended.stderr.startswith(words)
    assert "Traceback" not in ended.stderr


def test_what_a_router_raises_is_printable_on_a_stream_that_takes_only_ascii(run: Run, tmp_path: Path) -> None:
    (tmp_path / "router.py").write_text("def proxy(data):\n    raise ValueError(data.decode('latin-1'))\n")
    (tmp_path / "one").write_bytes(b"\x1b[31m\xff\n.")
    ended = run("check", "router.py", "--sample", "one", PYTHONIOENCODING="ascii:strict")
    assert (ended.returncode, ended.stderr) == (1, "")
    assert ended.stdout.splitlines()[1] == (
        "one (8 bytes): fails: router.py:2: proxy raised ValueError: \\x1b[31m\\xff ."
    )


ASYNCIO = """\
import asyncio

async def proxy(data):
    await asyncio.sleep(WAIT)
    return {'close': b'who is ' + data} if len(data) == 3 else None
"""


def test_a_router_that_uses_asyncio_is_checked(run: Run, tmp_path: Path) -> None:
    (tmp_path / "router.py").write_text(ASYNCIO.replace("WAIT", "0.001"))
    (tmp_path / "one").write_bytes(b"bob")
    ended = run("check", "router.py", "--sample", "one", "--timeout", "60")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[1:] == [
        "one (3 bytes): rejects with 10 bytes, the client is sent b'who is bob'",
        "  split-invariant: all 4 splits tried act alike",
    ]


def test_one_that_never_answers_is_a_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "router.py").write_text(ASYNCIO.replace("WAIT", "600"))
    (tmp_path / "one").write_bytes(b"bob")
    ended = run("check", "router.py", "--sample", "one", "--timeout", "0.1")
    assert (ended.returncode, ended.stderr) == (1, "")
    assert ended.stdout.splitlines()[1:] == ["one (3 bytes): fails: no decision within 0.1 s, which is --timeout"]
