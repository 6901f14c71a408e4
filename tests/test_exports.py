from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import proxymux

#: What a router file or a .tac file may import.
NAMES = [
    "NEED_DATA",
    "Client",
    "Decision",
    "Forward",
    "Reject",
    "Reply",
    "RequestView",
    "Terminate",
    "Router",
    "Gateway",
    "Multiplexer",
    "__version__",
]
#: Modules that users may import from, with the names that the contract and the docs promise.
MODULES = {
    "proxymux.testing": [
        "converse",
        "converse_later",
        "decide",
        "decide_later",
        "every_split",
        "forward_of",
        "reject_of",
        "reply_of",
    ],
    "proxymux.errors": [
        "BadAddress",
        "BadHeader",
        "BadResult",
        "ConfigError",
        "DecisionFailed",
        "ProxymuxError",
        "RouterError",
    ],
}


def run(program: str, folder: Path) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    ).stdout.strip()


def test_the_public_names_are_these() -> None:
    assert sorted(proxymux.__all__) == sorted(NAMES)
    for name in NAMES:
        assert getattr(proxymux, name) is not None


def test_nothing_else_is_there_by_accident() -> None:
    modules = {path.stem for path in Path(proxymux.__file__).parent.iterdir()}
    public = {name for name in vars(proxymux) if not name.startswith("_")}
    assert public - set(NAMES) - modules <= {"annotations", "TYPE_CHECKING", "Any"}


def test_a_name_that_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'proxymux' has no attribute 'nonsense'"):
        proxymux.nonsense  # noqa: B018


@pytest.mark.parametrize("module", MODULES)
def test_the_other_modules_keep_their_promises(module: str) -> None:
    found = __import__(module, fromlist=["*"])
    for name in MODULES[module]:
        assert getattr(found, name).__doc__, f"{module}.{name} is not documented"


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("__")])
def test_every_public_name_is_documented(name: str) -> None:
    assert getattr(proxymux, name).__doc__


def test_every_error_can_be_caught_at_once() -> None:
    errors = __import__("proxymux.errors", fromlist=["*"])
    for name in MODULES["proxymux.errors"]:
        assert issubclass(getattr(errors, name), proxymux.errors.ProxymuxError)


def test_importing_the_package_loads_neither_twisted_nor_anything_heavy(tmp_path: Path) -> None:
    program = (
        "import sys, proxymux\n"
        "proxymux.Forward('db:1'), proxymux.Reject(), proxymux.Reply(), proxymux.NEED_DATA, proxymux.Client\n"
        "heavy = ('twisted', 'zope', 'OpenSSL', 'cryptography', 'asyncio', 'ssl', 'socket')\n"
        "print([name for name in sys.modules if name.partition('.')[0] in heavy])\n"
    )
    assert run(program, tmp_path) == "[]"


def test_the_service_for_a_tac_file_is_there_when_it_is_asked_for(tmp_path: Path) -> None:
    program = "from proxymux import Router; print(Router.__module__)"
    assert run(program, tmp_path) == "proxymux.tap.router"


@pytest.mark.parametrize(
    "module", ["cli", "core.session", "interfaces", "process", "router.shadow", "service", "tap.router", "testing"]
)
def test_a_module_can_be_the_first_to_be_imported(module: str, tmp_path: Path) -> None:
    assert run(f"import proxymux.{module}; print('fine')", tmp_path) == "fine"
