"""What is said of the build is so: the modules of compiling/modules.txt are compiled all together, or not at all.

CI runs the tests on both builds, and says which it expects: ``PROXYMUX_EXPECT=compiled`` or ``pure``.
"""

from __future__ import annotations

import os
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

import pytest

from proxymux.cli import main
from proxymux.tap.router import Options
from proxymux.version import __version__, compiled

ROOT = Path(__file__).parents[1]
#: The paths of the modules that are compiled.
LISTED = (ROOT / "compiling" / "modules.txt").read_text(encoding="utf-8").split()
NAMES = {str(path.relative_to(ROOT).with_suffix("")).replace("/", ".") for path in (ROOT / "proxymux").rglob("*.py")}


def is_extension(name: str) -> bool:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return spec.origin.endswith(tuple(EXTENSION_SUFFIXES))


def expected() -> bool:
    """Whether the listed modules are to be compiled; where nobody says so, as the version says."""
    build = os.environ.get("PROXYMUX_EXPECT", "compiled" if compiled() == "yes" else "pure")
    assert build in ("compiled", "pure")
    return build == "compiled"


def test_each_module_is_what_it_is_to_be() -> None:
    listed = {path.removesuffix(".py").replace("/", ".") for path in LISTED}
    assert len(listed) == len(LISTED) > 0
    assert listed <= NAMES
    assert {name for name in NAMES if is_extension(name.removesuffix(".__init__"))} == (listed if expected() else set())


def test_the_version_says_which_build_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    word = "yes" if expected() else "no"
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"proxymux {__version__} (compiled: {word})\n"
    with pytest.raises(SystemExit):
        Options().parseOptions(["--version"])
    assert f", compiled: {word})" in capsys.readouterr().out


def test_the_list_is_in_order() -> None:
    assert sorted(LISTED) == LISTED
