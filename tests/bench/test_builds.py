from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from bench.builds import Build, add_options, chosen, kind_of


def installed(place: Path, says: str) -> Path:
    """A twistd beside a Python that says this."""
    place.mkdir()
    (place / "twistd").write_text("")
    (place / "python").write_text(f"#!/bin/sh\n{says}\n")
    (place / "python").chmod(0o755)
    return place / "twistd"


COMPILED = "echo /lib/session.cpython-311-x86_64-linux-gnu.so"
PURE = "echo /lib/session.py"


@pytest.mark.parametrize(("says", "kind"), [(PURE, "pure"), (COMPILED, "compiled")])
def test_an_installation_is_asked_what_it_is(tmp_path: Path, says: str, kind: str) -> None:
    assert kind_of(installed(tmp_path / "bin", says)) == kind


@pytest.mark.parametrize("says", ["echo 'ModuleNotFoundError: No module' >&2; exit 1"])
def test_one_that_cannot_answer_is_told_in_one_line(tmp_path: Path, says: str) -> None:
    with pytest.raises(ValueError, match=r"^/.*bin/python: ModuleNotFoundError: No module$"):
        kind_of(installed(tmp_path / "bin", says))


def options(*arguments: str | Path) -> list[Build]:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return chosen(parser, parser.parse_args(list(map(str, arguments))))


def test_both_builds_are_peers_of_their_names(tmp_path: Path) -> None:
    pure, compiled = installed(tmp_path / "a", PURE), installed(tmp_path / "b", COMPILED)
    builds = options("--compiled", compiled, "--pure", pure)
    assert [(build.peer, build.twistd) for build in builds] == [("proxymux", pure), ("proxymux-compiled", compiled)]


def test_of_one_twistd_the_name_follows_from_what_it_is(tmp_path: Path) -> None:
    assert [build.peer for build in options("--twistd", installed(tmp_path / "a", COMPILED))] == ["proxymux-compiled"]


def test_an_earlier_build_has_a_name_of_its_own() -> None:
    assert Build(Path("twistd"), "compiled", beside=True).peer == "proxymux-compiled-beside"


def test_a_build_that_is_not_what_it_is_called_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twistd = installed(tmp_path / "a", PURE)
    with pytest.raises(SystemExit):
        options("--compiled", twistd)
    assert f"--compiled: {twistd} is the pure build" in capsys.readouterr().err


def test_a_twistd_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options("--pure", tmp_path / "none")
    assert f"--pure: there is no {tmp_path / 'none'}" in capsys.readouterr().err
