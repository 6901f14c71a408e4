from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import compare


def results(place: Path, ratios: list[float], **machine: Any) -> Path:
    row: dict[str, Any] = {
        "measure": "request",
        "metric": "cpu 50",
        "peer": "proxymux",
        "build": "pure",
        "reference": "haproxy",
    }
    row |= {"ratios": ratios, "more": False, "bound": 1.05}
    place.mkdir()
    (place / "latest.json").write_text(json.dumps({"machine": {"cores": 2, **machine}, "rows": [row]}))
    return place


STEADY = [1.00, 1.01, 0.99, 1.00, 1.02, 0.98, 1.01]


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["compare.py", *map(str, arguments)])
        status = compare.main()
        return (status, *capsys.readouterr())

    return run


def test_a_regression_fails(main: Any, tmp_path: Path) -> None:
    old, new = results(tmp_path / "old", STEADY), results(tmp_path / "new", [each * 1.1 for each in STEADY])
    status, out, _ = main(old, new)
    assert status == 1
    assert out.splitlines()[1].split() == [
        "request", "cpu", "50", "proxymux", "haproxy", "1.100", "1.078", "..", "1.122", "regression"
    ]  # fmt: skip


@pytest.mark.parametrize("times", [0.9, 1.0, 1.02])
def test_a_gain_and_a_small_change_do_not(main: Any, tmp_path: Path, times: float) -> None:
    old, new = results(tmp_path / "old", STEADY), results(tmp_path / "new", [each * times for each in STEADY])
    assert main(old, new)[0] == 0


def test_a_higher_threshold_lets_a_change_pass(main: Any, tmp_path: Path) -> None:
    old, new = results(tmp_path / "old", STEADY), results(tmp_path / "new", [each * 1.1 for each in STEADY])
    assert main(old, new, "--threshold", "15")[0] == 0


def test_two_files_are_compared_as_two_directories_are(main: Any, tmp_path: Path) -> None:
    old, new = results(tmp_path / "old", STEADY), results(tmp_path / "new", [each * 1.1 for each in STEADY])
    assert main(old / "latest.json", new / "latest.json") == main(old, new)


def test_another_machine_is_told_and_a_busy_one(main: Any, tmp_path: Path) -> None:
    old, new = results(tmp_path / "old", STEADY, others=0.01), results(tmp_path / "new", STEADY, cores=4, others=0.2)
    assert main(old, new)[2].splitlines() == [
        "not the same cores: 2 before, 4 now", "new: other programs used 20% of the machine"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda place: place.mkdir(), "there are no results"),
        (lambda place: None, "No such file or directory"),
        (lambda place: place.write_text("{"), "not JSON"),
        (lambda place: place.write_text('{"machine": {}, "rows": []}'), "no figure of proxymux in common"),
    ],
)
def test_what_cannot_be_compared_is_told_in_one_line(main: Any, tmp_path: Path, make: Any, said: str) -> None:
    make(tmp_path / "old")
    status, _, error = main(tmp_path / "old", results(tmp_path / "new", STEADY, cores=None))
    assert status == 2
    assert error.count("\n") == 1
    assert said in error
