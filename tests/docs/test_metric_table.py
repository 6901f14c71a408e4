"""docs/admin.rst has what the admin endpoint has."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from proxymux.admin.metrics import FAMILIES
from proxymux.admin.routes import ROUTES
from proxymux.core.outcome import ConnectFault

DOCS = Path(__file__).parents[2] / "docs"


def expanded() -> str:
    spec = importlib.util.spec_from_file_location("metric_table", DOCS / "metric_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page: str = module.expand((DOCS / "admin.rst").read_text(encoding="utf-8"))
    return page


def test_the_page_has_every_metric_and_path() -> None:
    page = expanded()
    assert re.findall(r"^   \* - ``(proxymux_\w+)``$", page, re.MULTILINE) == list(FAMILIES)
    shown = re.findall(r"^   \* - (GET|POST)\n     - ``(\S+)``$", page, re.MULTILINE)
    assert shown == [(route.method, route.shown) for route in ROUTES]
    assert ".. metrics::" not in page
    assert "end at 0.0005, 0.001" in page
    for fault in ConnectFault:
        assert f"``{fault.value}``" in page
