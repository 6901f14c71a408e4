"""No example goes untested, unlisted or unexplained."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.examples.conftest import EXAMPLES, check

ALL = sorted(path.name for path in EXAMPLES.iterdir() if path.is_file() and path.name != "README.rst")


@pytest.mark.parametrize("name", ALL)
def test_a_test_runs_it(name: str) -> None:
    tests = [path for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)]
    assert any(f'"{name}"' in path.read_text() for path in tests)


@pytest.mark.parametrize("name", ALL)
def test_the_list_has_it(name: str) -> None:
    assert f"`{name} <{name}>`_" in (EXAMPLES / "README.rst").read_text()


@pytest.mark.parametrize("name", ALL)
def test_it_says_how_to_run_and_try_it(name: str) -> None:
    docstring = ast.get_docstring(ast.parse((EXAMPLES / name).read_text())) or ""
    run, _, trial = docstring.partition("Try it")
    assert f"{name}" in run
    assert "twistd -n" in run
    assert "::" in trial


@pytest.mark.parametrize("name", [name for name in ALL if name.endswith(".py")])
def test_it_loads(name: str) -> None:
    checked = check(EXAMPLES / name)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.endswith(": ok\n")
