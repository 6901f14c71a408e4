"""The scripts in docs, which make parts of the pages when the docs are built."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"


def script(name: str) -> Any:
    """A script in docs, as a module.

    :param name: of its file, without ``.py``.
    """
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def expanded(name: str, page: str) -> str:
    """The source of a page with what a script puts into it."""
    text: str = script(name).expand((DOCS / page).read_text(encoding="utf-8"))
    return text
