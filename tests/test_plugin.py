from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from twisted.application.service import IServiceMaker, ServiceMaker
from twisted.plugin import IPlugin, getPlugins
from zope.interface.verify import verifyObject

import proxymux

ROOT = Path(proxymux.__file__).parent.parent
PLUGIN = ROOT / "twisted" / "plugins" / "proxymux_plugin.py"


@pytest.fixture
def plugin() -> ModuleType:
    """The plugin's module, run by itself."""
    spec = importlib.util.spec_from_file_location("proxymux_plugin_under_test", PLUGIN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def makers(plugin: ModuleType) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(plugin).items()
        if not name.startswith("_") and value is not ServiceMaker and name != "annotations"
    }


def test_the_module_holds_service_makers_and_nothing_else(plugin: ModuleType) -> None:
    assert makers(plugin)
    for name, value in makers(plugin).items():
        assert isinstance(value, ServiceMaker), name
        assert IPlugin.providedBy(value)
        verifyObject(IServiceMaker, value)


def test_there_is_one_for_each_service_under_its_name(plugin: ModuleType) -> None:
    found = {maker.tapname: maker for maker in makers(plugin).values()}
    assert len(found) == len(makers(plugin))
    assert {name: maker.module for name, maker in found.items()} == {
        "proxymux": "proxymux.tap.router",
        "proxymux-gateway": "proxymux.tap.gateway",
        "proxymux-pool": "proxymux.tap.pool",
    }


def test_what_they_name_is_there(plugin: ModuleType) -> None:
    for maker in makers(plugin).values():
        assert maker.description
        assert callable(maker.makeService)
        assert maker.options().synopsis


def test_twisted_finds_it() -> None:
    assert {"proxymux", "proxymux-gateway", "proxymux-pool"} <= {maker.tapname for maker in getPlugins(IServiceMaker)}


def test_there_is_no_init_in_twisteds_folders() -> None:
    assert list((ROOT / "twisted").rglob("__init__.py")) == []
    assert {path.name for path in (ROOT / "twisted").rglob("*.py")} == {"proxymux_plugin.py", "proxymux_client.py"}


def test_the_plugin_loads_no_service(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from twisted.plugins import proxymux_plugin\n"
        "print([name for name in sys.modules if name.startswith('proxymux.')])\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.strip() == "[]"


def test_twistd_lists_it(tmp_path: Path) -> None:
    ended = subprocess.run(
        [str(Path(sys.executable).with_name("twistd")), "--help"],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert re.search(r"^    proxymux +Content-aware TCP routing programmed in Python$", ended.stdout, re.MULTILINE)
    assert re.search(r"^    proxymux-gateway +Hides servers: ", ended.stdout, re.MULTILINE)
