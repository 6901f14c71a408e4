"""Launches: what a worker is to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxymux.supervisor.launch import Launch


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_command_line_comes_back_as_it_was(folder: Path) -> None:
    launch = Launch.of_command(
        "proxymux-gateway", ["--secret", "hu\N{LATIN SMALL LETTER S WITH CARON}h \udcff"], object()
    )
    again = Launch.from_json(launch.to_json())
    assert (again.plugin, list(again.arguments)) == (launch.plugin, list(launch.arguments))
    assert (again.folder, again.reactor, again.tac, again.ordinal) == (str(folder), "builtins", None, 0)


def test_a_file_is_found_again_from_anywhere(folder: Path) -> None:
    launch = Launch.from_json(Launch.of_file("a.tac", 2, object()).to_json())
    assert (launch.tac, launch.ordinal, launch.plugin) == (str(folder / "a.tac"), 2, None)


def test_its_secrets_are_not_shown() -> None:
    assert "hush" not in repr(Launch.of_command("proxymux-gateway", ["--secret", "hush"], object()))
