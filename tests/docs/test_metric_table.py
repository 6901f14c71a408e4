"""docs/admin.rst has what the admin endpoint has."""

from __future__ import annotations

import re

from proxymux.admin.metrics import FAMILIES
from proxymux.admin.routes import ROUTES
from proxymux.core.outcome import ConnectFault
from tests.docs.making import expanded


def test_the_page_has_every_metric_and_path() -> None:
    page = expanded("metric_table", "admin.rst")
    assert re.findall(r"^   \* - ``(proxymux_\w+)``$", page, re.MULTILINE) == list(FAMILIES)
    shown = re.findall(r"^   \* - (GET|POST)\n     - ``(\S+)``$", page, re.MULTILINE)
    assert shown == [(route.method, route.shown) for route in ROUTES]
    assert ".. metrics::" not in page
    assert "end at 0.0005, 0.001" in page
    for fault in ConnectFault:
        assert f"``{fault.value}``" in page
