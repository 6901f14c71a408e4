"""``proxymux check --fuzz``: what is found of a router, and the tests that are written for it."""

from __future__ import annotations

import io
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from proxymux.cli import main
from proxymux.cli.fuzz.budget import Budget
from proxymux.cli.fuzz.running import FuzzOptions, fuzz_router, load_subject
from proxymux.errors import DecisionFailed
from proxymux.testing import StillDeciding

GOOD = "def proxy(data):\n    return {'remote': 'a:1'} if data[:1] == b'G' else {'close': True}\n"
RAISES = "def proxy(data):\n    if data[:1] == b'\\5':\n        data[1]\n    return {'close': data[:1]}\n"
#: Returns what is no decision in two lines.
BAD_PORT = (
    "def proxy(data):\n    if data[0] > 99:\n        return {'remote': 'a:%d' % (data[0] * 1000)}\n    return 1\n"
)
HASTY = "def proxy(data):\n    return {'close': data[:3]}\n"
ENDLESS = "def proxy(data):\n    return {'close': True} if b'Q' in data else None\n"
#: Takes a tenth of a second of the clock below.
SLOW = "NOW = [0.0]\ndef proxy(data):\n    NOW[0] += 0.1 * (data[:1] == b'S')\n    return {'close': data[:1]}\n"
LATE = "from twisted.internet.defer import Deferred\ndef proxy(data):\n    return Deferred()\n"
ROUTE = "def route(request):\n    if request.key:\n        request.key[9]\n    return None\n"
FICKLE = "seen = []\ndef proxy(data):\n    seen.append(1)\n    return {'close': b'%d' % len(seen)}\n"


class Terminal(io.StringIO):
    """Standard error, where it is a terminal."""

    def isatty(self) -> bool:
        return True


class Ticking(Clock):
    """A clock of which each look takes a hundredth of a second."""

    def seconds(self) -> Any:
        self.rightNow += 0.01
        return super().seconds()


class Fuzz:
    """Runs the command on a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.out, self.err = io.StringIO(), io.StringIO()

    def __call__(
        self,
        source: str,
        *samples: bytes,
        inputs: Budget | None = None,
        seed: int = 1,
        codec: str | None = None,
        seconds: int = 0,
    ) -> bool | None:
        self.write(source)
        names = []
        for number, data in enumerate(samples):
            names.append(str(self.folder / f"sample{number}"))
            Path(names[-1]).write_bytes(data)
        router, found = str(self.folder / "router.py"), str(self.folder / "found")
        options = FuzzOptions(router, names, codec, 1.0, inputs or Budget(60), seed, found)
        results: list[bool] = []
        subject = load_subject(self.clock, self._monotonic, options, self.err)
        if subject is None:
            return False
        running = ensureDeferred(fuzz_router(self.clock, subject, options, self.out, self.err))
        running.addCallback(results.append)
        for _ in range(seconds):
            self.clock.advance(1)
        running.addErrback(lambda failure: failure.raiseException())
        return results[0] if results else None

    def write(self, source: str) -> None:
        (self.folder / "router.py").write_text(source)

    def _monotonic(self) -> float:
        now: list[float] = getattr(sys.modules.get("proxymux_router_router"), "NOW", [0.0])
        return now[0]

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().replace(str(self.folder), "").splitlines()

    def test(self, kind: str) -> Callable[[], None]:
        """The test that was written for the one finding of a kind."""
        (path,) = (self.folder / "found").glob(f"test_fuzz_{kind}_*.py")
        variables: dict[str, Any] = {"__file__": str(path)}
        exec(compile(path.read_text(), str(path), "exec"), variables)
        ((_, function),) = [each for each in variables.items() if each[0].startswith("test_")]
        test: Callable[[], None] = function
        return test


@pytest.fixture
def fuzz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fuzz]:
    monkeypatch.setattr(sys, "path", sys.path[:])
    fuzz = Fuzz(tmp_path)
    yield fuzz
    assert fuzz.clock.getDelayedCalls() == []
    sys.modules.pop("proxymux_router_router", None)


def test_of_a_good_router_nothing_is_found_and_nothing_written(fuzz: Fuzz) -> None:
    assert fuzz(GOOD, b"GET / HTTP/1.1\r\n\r\n") is True
    assert fuzz.lines[0] == "fuzz: seed 1, which --seed repeats"
    assert re.fullmatch(r"fuzz: 60 inputs, \d+ clients: nothing found", fuzz.lines[1])
    assert not (fuzz.folder / "found").exists()
    assert fuzz.err.getvalue() == ""


def test_an_exception_is_found_once_and_its_test_fails_until_it_is_mended(fuzz: Fuzz) -> None:
    assert fuzz(RAISES) is False
    assert fuzz.lines[1:3] == [
        "  raises: /router.py:3: proxy raised IndexError: index out of range",
        "    a client that sends b'\\x05'",
    ]
    assert fuzz.lines[-1].endswith("1 found")
    with pytest.raises(DecisionFailed, match="IndexError"):
        fuzz.test("raises")()
    fuzz.write(GOOD)
    fuzz.test("raises")()


def test_a_result_that_is_no_decision_is_found_by_the_line_that_returns_it(fuzz: Fuzz) -> None:
    assert fuzz(BAD_PORT, b"~") is False
    assert sum(line.startswith("  raises: ") for line in fuzz.lines) == 2
    assert "the port is not a number" in fuzz.out.getvalue()


def test_what_depends_on_the_pieces_is_found_in_two_of_them(fuzz: Fuzz) -> None:
    assert fuzz(HASTY, b"hello") is False
    assert "  split: /router.py:2: what it does depends on how the bytes arrive" in fuzz.lines
    with pytest.raises(AssertionError):
        fuzz.test("split")()
    fuzz.write(GOOD)
    fuzz.test("split")()


def test_waiting_without_a_limit_is_found(fuzz: Fuzz) -> None:
    assert fuzz(ENDLESS) is False
    (line,) = [line for line in fuzz.lines if line.startswith("  undecided: ")]
    assert line.endswith("router.py:2: it still waits for more when 65536 bytes have come, which is --max-buffer")
    with pytest.raises(AssertionError):
        fuzz.test("undecided")()
    fuzz.write(GOOD)
    fuzz.test("undecided")()


def test_a_call_that_blocks_is_found(fuzz: Fuzz) -> None:
    assert fuzz(SLOW, b"S!") is False
    assert fuzz.lines[1:3] == [
        "  slow: /router.py:2: it blocks every client for more than 50 ms",
        "    a client that sends b'S'",
    ]
    (path,) = (fuzz.folder / "found").glob("test_fuzz_slow_*.py")
    assert "assert slow_calls(ROUTER, *CHUNKS) == 0" in path.read_text()
    fuzz.test("slow")()  # it is slow by the clock of this test alone


def test_a_router_that_does_not_decide_in_time_ends_the_command(fuzz: Fuzz) -> None:
    assert fuzz(LATE, seconds=20) is False
    assert "  late: no decision within 1 s, which is --timeout" in fuzz.lines
    assert "ended after 3 that were not decided" in fuzz.lines[-1]
    with pytest.raises(StillDeciding):
        fuzz.test("late")()
    fuzz.write(GOOD)
    fuzz.test("late")()


def test_a_router_of_requests_is_tried_on_requests(fuzz: Fuzz) -> None:
    assert fuzz(ROUTE, codec="resp") is False
    assert "  raises: /router.py:3: route raised IndexError: index out of range" in fuzz.lines
    with pytest.raises(DecisionFailed, match="IndexError"):
        fuzz.test("raises")()
    fuzz.write("def route(request):\n    return None\n")
    fuzz.test("raises")()


def test_where_the_same_bytes_are_treated_otherwise_splits_are_not_compared(fuzz: Fuzz) -> None:
    assert fuzz(FICKLE) is True
    assert "fuzz: it does not always act alike on the same bytes, so splits could not be compared" in fuzz.lines


def test_a_seed_finds_the_same_and_writes_nothing_over(fuzz: Fuzz) -> None:
    fuzz(RAISES, seed=7)
    first = fuzz.lines
    (path,) = (fuzz.folder / "found").iterdir()
    path.write_text("mine")
    fuzz(RAISES, seed=7)
    again = [line.replace(" is there already", "") for line in fuzz.lines[len(first) :]]
    assert again == first
    assert path.read_text() == "mine"


def test_a_time_ends_it(fuzz: Fuzz) -> None:
    fuzz.clock = Ticking()
    assert fuzz(GOOD, inputs=Budget(None, 2), seconds=100) is True
    assert fuzz.lines[-1].endswith("nothing found")


def test_so_many_inputs_have_a_time_too(fuzz: Fuzz) -> None:
    fuzz.clock = Ticking()
    assert fuzz(GOOD, inputs=Budget(10**6, 2), seconds=100) is True
    assert fuzz.lines[-1].endswith("nothing found; ended after 2 s")


def test_a_terminal_is_told_how_far_it_has_got(fuzz: Fuzz) -> None:
    fuzz.clock, fuzz.err = Ticking(), Terminal()
    fuzz(GOOD, seconds=100)
    assert re.search(r"\r\033\[K  fuzz: \d+ of 60 inputs, 0 found", fuzz.err.getvalue())
    assert fuzz.err.getvalue().endswith("\r\033[K")


def test_a_folder_that_cannot_be_written_to_is_told_once(fuzz: Fuzz) -> None:
    (fuzz.folder / "found").write_text("")
    assert fuzz(BAD_PORT) is False
    (line,) = fuzz.err.getvalue().splitlines()
    assert line.startswith("proxymux: --fuzz-out: ")
    assert line.endswith("name a folder that can be written to")


def test_a_router_that_cannot_be_loaded_is_one_line(fuzz: Fuzz) -> None:
    assert fuzz("1/0") is False
    assert fuzz.err.getvalue().count("\n") == 1


def test_a_codec_that_there_is_not_is_one_line(fuzz: Fuzz) -> None:
    assert fuzz(ROUTE, codec="none") is False
    assert fuzz.err.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--seed", "1"], "--seed: is for --fuzz"),
        (["--fuzz-out", "x"], "--fuzz-out: is for --fuzz"),
        (["--fuzz", "0"], "not a number of inputs"),
        (["--fuzz", "--seed", "-1"], "--seed"),
    ],
)
def test_a_wrong_command_line(arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["check", "router.py", *arguments])
    assert end.value.code == 2
    assert problem in capsys.readouterr().err


def test_the_documentation_has_what_it_says(fuzz: Fuzz) -> None:
    page = (Path(__file__).parents[3] / "docs" / "testing.rst").read_text(encoding="utf-8")
    router = page.partition("may come later,\n\n.. code-block:: python\n\n")[2].partition("\nit says::\n")[0]
    shown = page.partition("    router.py: ok\n    fuzz: seed")[2].partition("    $ python")[0]
    fuzz(textwrap.dedent(router), inputs=Budget())
    said = [line.replace("/router.py", "router.py").replace("/found/", "fuzz_found/") for line in fuzz.lines]
    assert [f"    {line}" for line in said] == f"    fuzz: seed{shown}".splitlines()
