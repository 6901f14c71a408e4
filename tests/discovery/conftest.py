"""A scripted name server for each test that asks one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.discovery.name_server import ScriptedServer


@pytest.fixture
def name_server() -> Iterator[ScriptedServer]:
    made = ScriptedServer()
    yield made
    made.close()
