"""docs/security.rst has the limits of all services."""

from __future__ import annotations

import re

from tests.docs.making import expanded


def test_the_page_has_the_limits_of_all_services() -> None:
    page = expanded("limit_tables", "security.rst")
    rows = re.findall(r"^   \* - ``(--[\w-]+)``\n     - (.+)\n     - (.+)\n", page, re.MULTILINE)
    assert ("--max-buffer", "all", "65536") in rows
    assert ("--decide-timeout", "gateway", "10") in rows
    assert ("--decide-timeout", "router, pool", "30") in rows
    assert ("--max-outstanding", "pool", "1048576") in rows
    assert "   * - 1,024 bytes\n     - the first line of a gateway's client\n" in page
    assert not re.search(r"^\.\. \S*limits::$", page, re.MULTILINE)
