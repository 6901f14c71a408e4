"""What a router imports from its own folder is loaded again with it, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from proxymux import user_modules
from proxymux.core.decision import Reject
from proxymux.core.identity import Client
from proxymux.errors import ConfigError, RouterError
from proxymux.router.deciding import make_decider
from proxymux.router.loading import Router, load
from proxymux.router.settings import RouterSettings
from proxymux.user_modules import reloading, reloading_together
from tests.router.conftest import Log, Make, Write

CLIENT = Client(("192.0.2.1", 50000), ("192.0.2.2", 5432))


@pytest.fixture(autouse=True)
def nobody_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests have loaded is not known here."""
    monkeypatch.setattr(sys, "meta_path", [each for each in sys.meta_path if each is not user_modules._modules])
    monkeypatch.setattr(user_modules, "_modules", user_modules._UserModules())


def answer(router: Router) -> Any:
    return router.proxy(b"x", CLIENT)


def returning(expression: str, *imports: str) -> str:
    """A router, or a module, that has a ``proxy``."""
    return "".join(f"{line}\n" for line in imports) + f"def proxy(data):\n    return {expression}\n"


def word(text: str) -> str:
    return f"WORD = {text!r}\n"


def rewrite(path: str, source: str) -> None:
    """Replace a file so that neither its size nor its time tell."""
    before = os.stat(path)
    Path(path).write_text(source)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert os.stat(path).st_size == before.st_size


def reload(name: str) -> Router:
    with reloading():
        return load(name)


def modules() -> dict[str, ModuleType]:
    return dict(sys.modules)


# What is read again


#: The router's name, and the files by what stands first in them; the router imports acme_words, however it is called.
LAYOUTS: list[tuple[str, dict[str, str]]] = [
    ("./router.py", {"router.py": "import acme_words", "acme_words.py": ""}),
    ("sub/router.py", {"sub/router.py": "import acme_words", "sub/acme_words.py": ""}),
    ("router.py", {"router.py": "import acme.words as acme_words", "acme/words.py": ""}),
    ("acme_routes", {"acme_routes.py": "import acme_words", "acme_words.py": ""}),
    ("acme_routes:proxy", {"acme_routes.py": "import acme_words", "acme_words.py": ""}),
    ("acme.routes", {"acme/routes.py": "from . import words as acme_words", "acme/words.py": ""}),
    ("acme.in.routes", {"acme/in/routes.py": "from .. import words as acme_words", "acme/words.py": ""}),
    ("acme", {"lib/acme/__init__.py": "from . import words as acme_words", "lib/acme/words.py": ""}),
]


@pytest.mark.parametrize("is_package", [False, True])
@pytest.mark.parametrize(("name", "files"), LAYOUTS, ids=[name for name, _ in LAYOUTS])
def test_what_a_router_imports_from_its_folder_is_read_again(
    write: Write, name: str, files: dict[str, str], is_package: bool
) -> None:
    sys.path.append("lib")
    if is_package and any(file.startswith("acme/") for file in files):
        write("", "acme/__init__.py")
    for file, statement in files.items():
        write(returning("acme_words.WORD", statement) if statement else "", file)
    [path] = [write(word("old"), file) for file in files if file.endswith("words.py")]
    old = load(name)
    assert answer(old) == "old"
    for text in ("new", "end"):
        rewrite(path, word(text))
        assert answer(reload(name)) == text
    assert answer(old) == "old"


def test_a_change_that_byte_code_does_not_tell_is_seen_and_none_is_left(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither at a reload nor at the next start."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = write(word("old"), "acme_words.py")
    router = write(returning("acme_words.WORD", "import acme_words"))
    load(router)
    rewrite(path, word("new"))
    assert answer(reload(router)) == "new"
    rewrite(path, word("end"))
    del sys.modules["acme_words"]
    assert answer(load(router)) == "end"


def test_what_a_module_reads_when_it_is_run_is_read_again_though_its_source_is_as_it_was(write: Write) -> None:
    table = write("old", "table.txt")
    write(f"import pathlib\nWORD = pathlib.Path({table!r}).read_text()\n", "acme_words.py")
    router = write(returning("acme_words.WORD", "import acme_words"))
    load(router)
    write("new", "table.txt")
    assert answer(reload(router)) == "new"


def test_what_is_imported_later_is_read_again_too(write: Write) -> None:
    path = write(word("old"), "acme_words.py")
    router = write("def proxy(data):\n    import acme_words\n    return acme_words.WORD\n")
    assert answer(load(router)) == "old"
    rewrite(path, word("new"))
    assert answer(reload(router)) == "new"


def test_a_module_is_read_before_those_that_need_it(write: Write) -> None:
    words = write(word("old"), "acme_words.py")
    more = write("from acme_words import WORD\nMORE = WORD + '!'\n", "acme/more.py")
    package = write("", "acme/__init__.py")
    router = write(returning("acme.more.MORE", "import acme.more"))
    load(router)
    rewrite(words, word("new"))
    with reloading() as files:
        assert answer(load(router)) == "new!"
    assert files == [package, words, more, router]


def test_modules_that_import_each_other_are_read_again(write: Write) -> None:
    write("import acme_two\nWORD = 'old'\n", "acme_one.py")
    write("import acme_one\ndef word():\n    return acme_one.WORD\n", "acme_two.py")
    router = write(returning("acme_two.word()", "import acme_one, acme_two"))
    old = load(router)
    write("import acme_two\nWORD = 'new'\n", "acme_one.py")
    assert (answer(reload(router)), answer(old)) == ("new", "old")


def test_a_module_that_is_new_is_found_and_one_that_has_gone_is_missed(write: Write) -> None:
    write(word("old"), "acme_words.py")
    router = write(returning("acme_words.WORD", "import acme_words"))
    load(router)
    write(word("new"), "acme_others.py")
    write(returning("acme_others.WORD", "import acme_others"))
    assert answer(reload(router)) == "new"
    write(returning("acme_words.WORD", "import acme_words"))
    os.unlink("acme_words.py")
    with pytest.raises(RouterError, match=r"router\.py:1: ModuleNotFoundError"):
        reload(router)


def test_a_module_may_become_a_package(write: Write) -> None:
    write(word("old"), "acme_words.py")
    router = write(returning("acme_words.WORD", "import acme_words"))
    load(router)
    os.unlink("acme_words.py")
    write("from .inner import WORD\n", "acme_words/__init__.py")
    write(word("new"), "acme_words/inner.py")
    assert answer(reload(router)) == "new"


@pytest.mark.parametrize(
    ("folder", "name"), [("acme", "./router.py"), ("acme/inner", "./router.py"), ("acme", "acme.routes")]
)
def test_a_folder_may_become_a_package(write: Write, folder: str, name: str) -> None:
    """Python takes a folder without ``__init__.py`` for a package, too."""
    package = folder.replace("/", ".")
    source = returning(f"getattr({package}, 'WORD', 'old')", f"import {package}")
    write(source)
    write(source, "acme/routes.py")
    write("", f"{folder}/nothing.py")
    assert answer(load(name)) == "old"
    write(word("new"), f"{folder}/__init__.py")
    assert answer(reload(name)) == "new"
    os.unlink(f"{folder}/__init__.py")
    assert answer(reload(name)) == "old"


def test_a_package_in_several_places_stays_if_one_is_elsewhere(write: Write, tmp_path: Path) -> None:
    write(word("old"), "elsewhere/acme/others.py")
    path = write(word("old"), "app/acme/words.py")
    sys.path += [str(tmp_path / "app"), str(tmp_path / "elsewhere")]
    router = write(returning("acme.words.WORD, acme.others.WORD", "import acme.words, acme.others"), "app/router.py")
    load(router)
    before = sys.modules["acme"]
    rewrite(path, word("new"))
    assert answer(reload(router)) == ("new", "old")
    assert sys.modules["acme"] is before


def test_a_folder_of_a_package_that_lies_higher_is_read_again(write: Write, tmp_path: Path) -> None:
    """``from acme.sub import words`` must not find what the package, which stays, has as an attribute."""
    package = write("STATE = object()\n", "acme/__init__.py")
    write("", "acme/sub/__init__.py")
    path = write(word("old"), "acme/sub/acme_words.py")
    router = write(
        returning("acme_words.WORD, acme.STATE", "import acme", "from acme.sub import acme_words"), "acme/sub/router.py"
    )
    sys.path.append(str(tmp_path))
    old = load(router)
    rewrite(path, word("new"))
    assert answer(reload(router)) == ("new", answer(old)[1])
    assert sys.modules["acme"].__file__ == package


@pytest.mark.parametrize("is_link", ["the router", "the import"])
def test_a_folder_may_be_known_by_two_names(write: Write, tmp_path: Path, is_link: str) -> None:
    """systemd's WorkingDirectory is resolved, the command line is not."""
    write(returning("acme_words.WORD", "import acme_words"), "release/router.py")
    path = write(word("old"), "release/acme_words.py")
    (tmp_path / "current").symlink_to(tmp_path / "release")
    named, imported = ("current", "release") if is_link == "the router" else ("release", "current")
    sys.path.insert(0, str(tmp_path / imported))
    router = str(tmp_path / named / "router.py")
    load(router)
    rewrite(path, word("new"))
    assert answer(reload(router)) == "new"


def test_a_package_keeps_what_it_has_in_c(write: Write) -> None:
    """Such a module cannot be loaded twice; ``import acme._fast`` must make it an attribute of the new package."""
    write("", "acme/__init__.py")
    write(returning("getattr(acme, '_fast', None)", "import acme._fast"), "acme/routes.py")
    fast = ModuleType("acme._fast")
    fast.__file__ = os.path.abspath("acme/_fast.so")
    sys.modules["acme._fast"] = fast
    load("acme.routes")
    acme = sys.modules["acme"]
    acme._fast = fast  # type: ignore[attr-defined]
    assert answer(reload("acme.routes")) is fast
    assert sys.modules["acme"] is not acme


# What is not


@pytest.mark.parametrize(
    "folder", ["elsewhere", "app/.venv/lib/python3.11/site-packages", "app/lib/python3/dist-packages"]
)
def test_libraries_and_what_lies_elsewhere_are_left_alone(write: Write, tmp_path: Path, folder: str) -> None:
    path = write(word("old"), f"{folder}/acme_words.py")
    router = write(returning("acme_words.WORD", "import acme_words"), "app/router.py")
    sys.path.append(str(tmp_path / folder))
    load(router)
    before = sys.modules["acme_words"]
    rewrite(path, word("new"))
    with reloading() as files:
        assert answer(load(router)) == "old"
    assert sys.modules["acme_words"] is before
    assert files == [router]


def test_a_router_among_libraries_takes_none_of_them_with_it(write: Write, tmp_path: Path) -> None:
    write(word("old"), "site-packages/acme_library.py")
    write(returning("acme_library.WORD", "import acme_library"), "site-packages/acme_routes.py")
    sys.path.append(str(tmp_path / "site-packages"))
    load("acme_routes")
    before = sys.modules["acme_library"]
    reload("acme_routes")
    assert sys.modules["acme_library"] is before


def test_a_package_among_libraries_is_read_again_as_a_whole(write: Write, tmp_path: Path) -> None:
    write("", "site-packages/acme/__init__.py")
    path = write(word("old"), "site-packages/acme/words.py")
    write(returning("words.WORD", "from . import words"), "site-packages/acme/routes.py")
    sys.path.append(str(tmp_path / "site-packages"))
    load("acme.routes")
    rewrite(path, word("new"))
    assert answer(reload("acme.routes")) == "new"


IN_ROOT = """
import json, os, sys
import OpenSSL, twisted.internet.reactor, zope.interface
sys.path.append(os.getcwd())
real = os.path.dirname
os.path.dirname = lambda path: "/" if path == "./router.py" else real(path)  # as if it were /router.py
from proxymux.router.loading import load
from proxymux.user_modules import reloading
load("./router.py")
before = dict(sys.modules)
with reloading():
    load("./router.py")
print(*sorted(name for name, module in before.items() if sys.modules.get(name) is not module))
"""


def test_a_router_in_the_root_folder_takes_neither_python_nor_libraries_with_it(write: Write, tmp_path: Path) -> None:
    """In a container it is often ``/router.py``."""
    write(returning("acme_words.WORD", "import acme_words, proxymux.sniff"))
    write(word("old"), "acme_words.py")
    done = subprocess.run([sys.executable, "-c", IN_ROOT], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (done.stdout.split(), done.stderr) == (["acme_words", "proxymux_router_router"], "")


def test_a_checkout_of_proxymux_may_be_the_folder(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    import proxymux.sniff

    folder = Path(proxymux.__file__).parents[1]
    router = write(returning("sniff", "from proxymux import sniff"))
    real = os.path.dirname
    monkeypatch.setattr(os.path, "dirname", lambda path: str(folder) if path == router else real(path))
    before = proxymux.sniff
    load(router)
    assert answer(reload(router)) is before


def test_a_load_that_is_no_reload_shares_what_is_there(write: Write) -> None:
    """A test may have changed a module before it asks a router that imports it."""
    write(word("old"), "acme_words.py")
    router = write(returning("acme_words.WORD", "import acme_words"))
    load(router)
    sys.modules["acme_words"].WORD = "changed"  # type: ignore[attr-defined]
    assert answer(load(router)) == "changed"


# What fails


BROKEN = ["1 / 0\n", "def (\n", "raise SystemExit(3)\n", "import acme_nothing\n", "x = 'caf\udce9'\n"]


@pytest.mark.parametrize("source", BROKEN)
@pytest.mark.parametrize("which", ["acme/words.py", "acme/routes.py", "acme/more.py"])
def test_a_failure_leaves_every_module_as_it_was(write: Write, source: str, which: str) -> None:
    write("", "acme/__init__.py")
    write(word("old"), "acme/words.py")
    write("", "acme/more.py")
    write(returning("words.WORD", "from acme import words", "import acme.more"), "acme/routes.py")
    old = load("acme.routes")
    before, attributes = modules(), dict(vars(sys.modules["acme"]))
    write(word("new"), "acme/words.py")
    write("import acme.another\n", "acme/more.py")
    write("", "acme/another.py")
    write(source.encode("utf-8", "surrogateescape"), which)
    with pytest.raises(RouterError, match=r"acme/\w+\.py:\d|acme/\w+\.py: "):
        reload("acme.routes")
    assert modules() == before
    assert vars(sys.modules["acme"]) == attributes
    assert answer(old) == "old"
    write(word("new"), "acme/words.py")
    write("", "acme/more.py")
    write(returning("words.WORD", "from acme import words", "import acme.more"), "acme/routes.py")
    assert answer(reload("acme.routes")) == "new"


def test_a_package_without_init_that_a_failure_has_brought_in_goes_again(write: Write) -> None:
    router = write(returning("1"))
    load(router)
    before = modules()
    write(word("new"), "acme/inner/words.py")
    write("import acme.inner.words\n1 / 0\n")
    with pytest.raises(RouterError, match="ZeroDivisionError"):
        reload(router)
    assert modules() == before


def test_a_failure_after_the_run_leaves_every_module_as_it_was(write: Write) -> None:
    path = write(word("old"), "acme_words.py")
    router = write(returning("acme_words.WORD", "import acme_words"))
    load(router)
    before = modules()
    rewrite(path, word("new"))
    write("import acme_words\nproxy = 5\n")
    with pytest.raises(RouterError, match="not a function"):
        reload(router)
    assert modules() == before


def test_a_package_that_stays_gets_its_modules_back(write: Write, tmp_path: Path) -> None:
    write("", "acme/__init__.py")
    write("", "acme/sub/__init__.py")
    write(word("old"), "acme/sub/acme_words.py")
    router = write(returning("acme_words.WORD", "from acme.sub import acme_words"), "acme/sub/router.py")
    sys.path.append(str(tmp_path))
    load(router)
    attributes = dict(vars(sys.modules["acme"]))
    write(returning("acme_words.WORD", "from acme.sub import acme_words", "1 / 0"), "acme/sub/router.py")
    with pytest.raises(RouterError):
        reload(router)
    assert vars(sys.modules["acme"]) == attributes


def test_what_a_library_has_brought_in_stays_as_it_cannot_be_imported_twice(write: Write, tmp_path: Path) -> None:
    write(word("old"), "library/acme_library.py")
    sys.path.append(str(tmp_path / "library"))
    router = write(returning("1"), "app/router.py")
    load(router)
    write("import acme_library\n1 / 0\n", "app/router.py")
    with pytest.raises(RouterError):
        reload(router)
    assert "acme_library" in sys.modules


def test_a_shadow_that_fails_takes_the_router_back_with_it(write: Write, log: Log) -> None:
    path = write(word("old"), "acme_words.py")
    source = returning("{'close': acme_words.WORD}", "import acme_words")
    settings = RouterSettings(write(source), shadow=write(source, "new.py"))
    make_decider(settings, Clock(), log.logger)
    before = modules()
    rewrite(path, word("new"))
    write("1 / 0\n", "new.py")
    with pytest.raises(ConfigError, match="--shadow"), reloading():
        make_decider(settings, Clock(), log.logger)
    assert modules() == before


# Several in one process


def test_a_router_and_its_shadow_share_their_modules(write: Write, log: Log) -> None:
    write("SEEN = []\n", "acme_seen.py")
    source = "import acme_seen\ndef proxy(data):\n    acme_seen.SEEN.append(data)\n    return {'close': data}\n"
    settings = RouterSettings(write(source), shadow=write(source, "new.py"))
    for _ in range(2):
        with reloading() as files:
            decider = make_decider(settings, Clock(), log.logger)
        assert decider.decide(b"x", CLIENT) == Reject(b"x")
        assert sys.modules["acme_seen"].SEEN == [b"x", b"x"]
        assert [os.path.basename(file) for file in files] == ["acme_seen.py", "router.py", "new.py"]


def test_two_services_go_on_sharing_a_module(write: Write) -> None:
    write("SEEN = []\n", "acme_seen.py")
    source = returning("acme_seen.SEEN", "import acme_seen")
    names = [write(source, "acme_one.py"), write(source, "acme_two.py"), "acme_one"]
    routers = [load(name) for name in names]
    assert len({id(answer(router)) for router in routers}) == 1
    old = answer(routers[0])
    with reloading_together():
        read = []
        for name in names:
            with reloading() as files:
                routers.append(load(name))
            read.append([os.path.basename(file) for file in files])
    assert len({id(answer(router)) for router in routers[3:]}) == 1
    assert answer(routers[3]) is not old
    assert read == [["acme_seen.py", "acme_one.py"], ["acme_two.py"], ["acme_one.py"]]


def test_one_that_fails_does_not_take_back_what_another_has(write: Write) -> None:
    path = write(word("old"), "acme_words.py")
    source = returning("acme_words.WORD", "import acme_words")
    one, two = write(source, "acme_one.py"), write(source, "acme_two.py")
    load(one), load(two)
    rewrite(path, word("new"))
    write("import acme_words\n1 / 0\n", "acme_two.py")
    with reloading_together():
        first = reload(one)
        fresh = sys.modules["acme_words"]
        with pytest.raises(RouterError):
            reload(two)
    assert sys.modules["acme_words"] is fresh
    assert answer(first) == "new"


def test_one_that_comes_after_a_failure_reads_the_modules_itself(write: Write) -> None:
    path = write(word("old"), "acme_words.py")
    source = returning("acme_words.WORD", "import acme_words")
    one, two = write(source, "acme_one.py"), write(source, "acme_two.py")
    load(one), load(two)
    rewrite(path, word("new"))
    write("import acme_words\n1 / 0\n", "acme_one.py")
    with reloading_together():
        with pytest.raises(RouterError):
            reload(one)
        assert sys.modules["acme_words"].WORD == "old"
        assert answer(reload(two)) == "new"


DATACLASS = "from dataclasses import dataclass\n@dataclass\nclass Acme:\n    word: str\n"


@pytest.mark.parametrize(
    ("file", "name"), [("acme_listeners.py", "acme_listeners"), ("listeners.py", "./listeners.py")]
)
def test_what_was_run_for_another_stays_known_under_its_name(write: Write, file: str, name: str) -> None:
    """Listeners and codecs are loaded once; a router beside them is loaded again."""
    write(DATACLASS + returning("1"), file)
    router = write(returning("1"))
    others = set(sys.modules)
    load(name), load(router)
    [known] = [each for each in set(sys.modules) - others if each.endswith("listeners")]
    before = sys.modules[known]
    reload(router)
    assert sys.modules[known] is before


# Decisions under way


def test_a_decision_that_is_under_way_goes_on_with_the_old_modules(write: Write, make: Make) -> None:
    path = write("WAITING = []\n" + word("old"), "acme_words.py")
    decider = make(
        "from twisted.internet.defer import Deferred\nimport acme_words\n"
        "async def proxy(data):\n"
        "    waiting = Deferred()\n    acme_words.WAITING.append(waiting)\n"
        "    return {'close': await waiting + acme_words.WORD.encode()}\n"
    )
    decisions: list[Any] = []
    decision = decider.decide(b"x", CLIENT)
    assert isinstance(decision, Deferred)
    decision.addCallback(decisions.append)
    [waiting] = sys.modules["acme_words"].WAITING
    rewrite(path, "WAITING = []\n" + word("new"))
    reload("router.py")
    assert sys.modules["acme_words"].WORD == "new"
    waiting.callback(b"still ")
    assert decisions == [Reject(b"still old")]
