"""``proxymux check --replay``: samples that are decided otherwise than they were."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from proxymux.cli import main
from proxymux.cli.check import check_router

OLD = """\
def proxy(data):
    if data[:1] == b'!':
        raise ValueError('no')
    return {'remote': 'db:1'} if data[:1] == b'd' else {'close': b'who?'} if len(data) > 2 else None
"""
NEW = OLD.replace("db:1", "db:2").replace("[:1] == b'!'", "[:1] == b'?'")

Checked = tuple[bool, list[str], str]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Checked]]:
    """Replay the folder ``samples`` to a router; True, the lines after the first, and the errors."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.chdir(tmp_path)
    Path("samples").mkdir()
    Path("old.py").write_text(OLD)

    def check(source: str, against: str | None = None) -> Checked:
        Path("new.py").write_text(source)
        out, err = io.StringIO(), io.StringIO()
        results: list[bool] = []
        checking = check_router(Clock(), "new.py", [], 5.0, out, err, "samples", against)
        checking.addCallback(results.append).addErrback(lambda failure: failure.raiseException())
        return results[0], out.getvalue().splitlines()[1:], err.getvalue()

    yield check
    for name in [name for name in sys.modules if name.startswith("proxymux_router_")]:
        del sys.modules[name]


def sample(number: int, word: str, data: bytes) -> None:
    Path(f"samples/20260504T100000.000Z-router-{number}-{word}").write_bytes(data)


def four_samples() -> None:
    sample(1, "forward-db:1", b"data")
    sample(2, "reject-4", b"xyz")
    sample(3, "undecided", b"x")
    sample(4, "router_error", b"!")


def test_samples_that_are_decided_as_before_are_alike(check: Callable[..., Checked]) -> None:
    four_samples()
    assert check(OLD) == (True, ["all 4 samples are decided alike"], "")


def test_each_that_is_decided_otherwise_is_listed_with_both(check: Callable[..., Checked]) -> None:
    four_samples()
    assert check(NEW) == (
        False,
        [
            "20260504T100000.000Z-router-1-forward-db:1 (4 bytes)",
            "  recorded: forward-db:1",
            "  new: forwards to db:2, the upstream b'data'",
            "20260504T100000.000Z-router-4-router_error (1 bytes)",
            "  recorded: router_error",
            "  new: waits for more",
            "2 of 4 samples are decided otherwise",
        ],
        "",
    )


def test_another_router_is_compared_in_all_that_can_be_told_apart(check: Callable[..., Checked]) -> None:
    four_samples()
    Path("samples/anything").write_bytes(b"dx")
    source = OLD.replace("{'remote': 'db:1'}", "{'remote': 'db:1', 'data': data.upper()}")
    assert check(source, "old.py") == (
        False,
        [
            "20260504T100000.000Z-router-1-forward-db:1 (4 bytes)",
            "  old: forwards to db:1, the upstream b'data'",
            "  new: forwards to db:1, the upstream b'DATA'",
            "anything (2 bytes)",
            "  old: forwards to db:1, the upstream b'dx'",
            "  new: forwards to db:1, the upstream b'DX'",
            "2 of 5 samples are decided otherwise",
        ],
        "",
    )
    assert check(OLD, "old.py") == (True, ["all 5 samples are decided alike"], "")


def test_a_file_whose_name_says_nothing_cannot_be_compared(check: Callable[..., Checked]) -> None:
    four_samples()
    Path("samples/anything").write_bytes(b"dx")
    good, lines, problem = check(OLD)
    assert (good, lines) == (False, [])
    assert problem.startswith("proxymux: --replay: anything: its name does not say what came of it; give --against")


@pytest.mark.parametrize("against", [None, "old.py"])
def test_a_folder_without_samples_is_an_error(check: Callable[..., Checked], against: str | None) -> None:
    assert check(OLD, against)[2] == (
        "proxymux: --replay: samples: there is no sample in it; name the folder that --capture had\n"
    )


def test_a_router_to_compare_with_that_does_not_load_is_one_line(check: Callable[..., Checked]) -> None:
    good, _, problem = check(OLD, "missing.py")
    assert not good
    assert problem.startswith("proxymux: missing.py: ")


def test_against_is_for_replay_only(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["check", "new.py", "--against", "old.py"])
    assert end.value.code == 2
    assert "--against: is for --replay" in capsys.readouterr().err
