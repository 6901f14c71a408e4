from __future__ import annotations

import functools
import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from proxymux.errors import RouterError
from proxymux.router.loading import Router, from_object, load
from proxymux.user_code import describe
from tests.router.conftest import Write

GOOD = "def proxy(data):\n    return {'close': b'file ' + data}\n"


def answer(router: Router, data: bytes = b"x") -> Any:
    return router.proxy(data, "client")


# What can be named


def test_a_file_is_named_by_its_path(write: Write) -> None:
    path = write(GOOD)
    router = load(path)
    assert (router.name, router.filename) == ("router", path)
    assert answer(router) == {"close": b"file x"}
    assert (router.accepted, router.connect_error, router.inactivity_error) == (None, None, None)


@pytest.mark.parametrize("name", ["router.py", "./router.py", "sub/../router.py"])
def test_a_file_is_named_by_a_relative_path(write: Write, name: str) -> None:
    write("", "sub/nothing.py")
    write(GOOD)
    assert answer(load(name)) == {"close": b"file x"}


@pytest.mark.parametrize("name", ["my-router.py", "router.conf", "router", "class.py", "a b.py", "1.py", "caf\xe9.py"])
def test_a_file_need_not_be_named_as_a_module(write: Write, name: str) -> None:
    write(GOOD, name)
    router = load(name)
    assert answer(router) == {"close": b"file x"}
    assert router.name == name.removesuffix(".py")


def test_a_module_is_named_with_dots(write: Write) -> None:
    write("", "acme/__init__.py")
    path = write(GOOD, "acme/routes.py")
    router = load("acme.routes")
    assert (router.name, router.filename) == ("acme.routes", path)
    assert answer(router) == {"close": b"file x"}


def test_a_module_without_a_package_is_named_by_its_name(write: Write) -> None:
    write(GOOD, "acme_routes.py")
    assert answer(load("acme_routes")) == {"close": b"file x"}


def test_a_module_in_a_folder_without_init_is_named_with_dots(write: Write) -> None:
    write(GOOD, "acme/routes.py")
    assert answer(load("acme.routes")) == {"close": b"file x"}


def test_a_package_can_be_a_router(write: Write, tmp_path: Path) -> None:
    write("WORD = b'ours'\n", "library/acme/words.py")
    write("from .words import WORD\ndef proxy(data):\n    return {'close': WORD}\n", "library/acme/__init__.py")
    sys.path.append(str(tmp_path / "library"))
    assert answer(load("acme")) == {"close": b"ours"}


@pytest.mark.parametrize("statement", ["from .words import WORD", "from acme.words import WORD"])
def test_a_module_imports_from_its_package(write: Write, statement: str) -> None:
    write("", "acme/__init__.py")
    write("WORD = b'ours'\n", "acme/words.py")
    write(f"{statement}\ndef proxy(data):\n    return {{'close': WORD}}\n", "acme/routes.py")
    assert answer(load("acme.routes")) == {"close": b"ours"}


ATTRIBUTES = """
class Routes:
    def __init__(self, word):
        self.word = word
    def proxy(self, data, client):
        return {'close': self.word}
    def proxy_accepted(self, client):
        return None

def choose(data):
    return {'close': b'chosen'}

routes = Routes(b'ours')
class Holder:
    inner = Routes(b'inner')
"""


@pytest.mark.parametrize(
    ("attribute", "word"), [("choose", b"chosen"), ("routes", b"ours"), ("Holder.inner", b"inner")]
)
def test_an_attribute_is_a_function_or_an_object_that_has_them(write: Write, attribute: str, word: bytes) -> None:
    write(ATTRIBUTES, "acme_routes.py")
    router = load(f"acme_routes:{attribute}")
    assert answer(router) == {"close": word}
    assert router.name == attribute
    assert (router.accepted is None) == (attribute == "choose")


class Functions:
    """An object whose methods are a router."""

    def proxy(self, data: bytes) -> dict[str, bytes]:
        return {"close": data}


class Callable_:
    def __call__(self, data: bytes) -> dict[str, bytes]:
        return {"close": data}


def plain(data: bytes) -> dict[str, bytes]:
    return {"close": data}


def with_an_option(option: int, data: bytes) -> dict[str, bytes]:
    return {"close": data}


def as_module() -> types.ModuleType:
    module = types.ModuleType("acme")
    module.proxy = plain  # type: ignore[attr-defined]
    return module


OBJECTS: dict[str, Any] = {
    "a function": plain,
    "a lambda": lambda data: {"close": data},
    "a bound method": Functions().proxy,
    "a cached function": functools.lru_cache(plain),
    "a partial function": functools.partial(with_an_option, 1),
    "a callable object": Callable_(),
    "a module": as_module(),
    "an object with the functions": Functions(),
    "a namespace with the functions": types.SimpleNamespace(proxy=plain),
    "a namespace with a partial function": types.SimpleNamespace(proxy=functools.partial(with_an_option, 1)),
    "a namespace with a callable object": types.SimpleNamespace(proxy=Callable_()),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_or_a_function_is_a_router(name: str) -> None:
    assert answer(from_object(OBJECTS[name], "acme", __file__)) == {"close": b"x"}


def test_all_four_functions_are_found(write: Write) -> None:
    router = load(
        write(
            "def proxy(data): return 'p'\n"
            "def proxy_accepted(client): return 'a'\n"
            "def proxy_connect_error(remote): return 'c'\n"
            "def proxy_inactivity_error(remote): return 'i'\n"
        )
    )
    assert router.accepted is not None
    assert router.connect_error is not None
    assert router.inactivity_error is not None
    assert [router.proxy(1, 2), router.accepted(1), router.connect_error(1, 2), router.inactivity_error(1, 2)] == [
        "p",
        "a",
        "c",
        "i",
    ]
    assert [hook.place for hook in (router.proxy, router.accepted, router.connect_error, router.inactivity_error)] == [
        f"{router.filename}:{line}" for line in (1, 2, 3, 4)
    ]


@pytest.mark.parametrize(
    ("signature", "given"),
    [
        ("data", ("d",)),
        ("data, /", ("d",)),
        ("data, client", ("d", "c")),
        ("data, client=None", ("d", "c")),
        ("data, client, more=None", ("d", "c")),
        ("*arguments", ("d", "c")),
        ("data, **more", ("d",)),
        ("data, *, more=None", ("d",)),
    ],
)
def test_a_function_is_given_what_it_takes(write: Write, signature: str, given: tuple[str, ...]) -> None:
    router = load(
        write(
            f"def proxy({signature}):\n    got = locals()\n"
            "    got.pop('more', None)\n"
            "    return tuple(got.get('arguments') or [value for value in got.values()])\n"
        )
    )
    assert router.proxy("d", "c") == given


@pytest.mark.parametrize("name", ["proxy_connect_error", "proxy_inactivity_error"])
@pytest.mark.parametrize(("signature", "given"), [("remote", ("r",)), ("remote, client", ("r", "c"))])
def test_an_error_callback_is_given_the_client_if_it_takes_it(
    write: Write, name: str, signature: str, given: tuple[str, ...]
) -> None:
    router = load(write(f"{GOOD}def {name}({signature}):\n    return tuple(locals().values())\n"))
    hook = router.connect_error or router.inactivity_error
    assert hook is not None
    assert hook("r", "c") == given


def test_a_decorated_function_is_placed_where_it_is_written(write: Write) -> None:
    router = load(
        write(
            "import functools\n"
            "def decorate(function):\n"
            "    @functools.wraps(function)\n"
            "    def inner(*arguments):\n"
            "        return function(*arguments)\n"
            "    return inner\n"
            "@decorate\n"
            "def proxy(data):\n"
            "    return {'close': data}\n"
        )
    )
    assert router.proxy.place == f"{router.filename}:7"
    assert answer(router) == {"close": b"x"}


# What goes wrong

#: Source, the line that is to be named (0: only the file), a word of the message.
BAD: dict[str, tuple[bytes, int, str]] = {
    "an empty file": (b"", 0, "no proxy(data)"),
    "no proxy": (b"def prxy(data):\n    pass\n", 0, "no proxy(data)"),
    "proxy is None": (b"proxy = None\n", 0, "no proxy(data)"),
    "proxy is a number": (b"proxy = 5\n", 0, "proxy is not a function"),
    "proxy is a dict": (b"proxy = {'remote': 'db:1'}\n", 0, "proxy is not a function"),
    "proxy takes nothing": (b"\ndef proxy():\n    pass\n", 2, "proxy() cannot be called; proxy(data) or"),
    "proxy takes three": (b"def proxy(a, b, c):\n    pass\n", 1, "proxy(a, b, c) cannot be called"),
    "proxy takes a keyword": (b"def proxy(data, *, key):\n    pass\n", 1, "cannot be called"),
    "proxy takes keywords only": (b"def proxy(**all):\n    pass\n", 1, "cannot be called"),
    "connect_error takes nothing": (
        GOOD.encode() + b"def proxy_connect_error():\n    pass\n",
        3,
        "proxy_connect_error() cannot be called; proxy_connect_error(remote) or",
    ),
    "inactivity_error takes three": (
        GOOD.encode() + b"def proxy_inactivity_error(a, b, c):\n    pass\n",
        3,
        "proxy_inactivity_error(a, b, c) cannot be called",
    ),
    "accepted takes two": (
        GOOD.encode() + b"def proxy_accepted(a, b):\n    pass\n",
        3,
        "proxy_accepted(a, b) cannot be called; proxy_accepted(client) can",
    ),
    "accepted is a number": (GOOD.encode() + b"proxy_accepted = 1\n", 0, "proxy_accepted is not a function"),
    "a bracket that is not closed": (b"def proxy(data):\n    return (\n", 2, "'(' was never closed"),
    "wrong indentation": (b"def proxy(data):\n    x = 1\n  y = 2\n", 3, "unindent"),
    "tabs and spaces": (b"def proxy(data):\n    if data:\n\treturn\n", 3, "tabs"),
    "a word too many": (b"x = 1\n\ndef proxy(data) please:\n    pass\n", 3, "expected ':'"),
    "return outside of a function": (b"x = 1\nreturn x\n", 2, "outside function"),
    "not UTF-8": (b"x = 1\ny = 'caf\xe9'\ndef proxy(data):\n    pass\n", 0, ""),
    "a coding that there is not": (b"# coding: klingon\ndef proxy(data):\n    pass\n", 0, "klingon"),
    "a NUL": (b"x = 1\n\0\n", 0, "null bytes"),
    "a compiled file": (b"\xa7\r\r\n\0\0\0\0\x83\xc3\0\1\2\3", 0, ""),
    "an error in the first line": (b"1 / 0\n", 1, "ZeroDivisionError: division by zero"),
    "an error in a function": (b"def f():\n    return nothing\n\nx = f()\n", 2, "NameError: name 'nothing' is not"),
    "an error in the library": (b"import json\n\njson.loads('{')\n", 3, "JSONDecodeError: "),
    "an error of several lines": (b"raise ValueError('one\\ntwo\\n\\nthree')\n", 1, "ValueError: one two three"),
    "an error without words": (b"raise ValueError\n", 1, "ValueError"),
    "an error that cannot be shown": (
        b"class Odd(Exception):\n    def __str__(self):\n        raise RuntimeError\n\nraise Odd\n",
        5,
        "Odd",
    ),
    "a module that there is not": (b"\nimport no_such_module\n", 2, "ModuleNotFoundError: No module named"),
    "exit()": (b"import sys\nsys.exit(3)\n", 2, "SystemExit: 3"),
    "exit without a status": (b"raise SystemExit\n", 1, "SystemExit"),
    "an interruption": (b"raise KeyboardInterrupt\n", 1, "KeyboardInterrupt"),
    "recursion without end": (b"def f():\n    f()\n\nf()\n", 2, "RecursionError: "),
    "a syntax error in what it evaluates": (b"x = 1\neval('1 +')\n", 2, "SyntaxError: "),
    "a syntax error of its own": (b"x = 1\nraise SyntaxError('no such route')\n", 2, "no such route"),
    "a table that does not parse": (b"import ast\n\nast.literal_eval('{')\n", 3, "SyntaxError: "),
}


def failing_load(name: str) -> str:
    """The message of the RouterError that loading ends in."""
    try:
        load(name)
    except RouterError as error:
        return str(error)
    except BaseException as error:
        # Not let through: pytest would end at a SystemExit or KeyboardInterrupt.
        raise AssertionError(f"not a RouterError but {error!r:.200}") from None
    raise AssertionError("it loaded")


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_used_is_one_line_with_its_name_and_the_line(write: Write, name: str) -> None:
    source, line, words = BAD[name]
    path = write(source)
    message = failing_load(path)
    assert message.startswith(f"{path}:{line}: " if line else path)
    assert words in message
    assert len(message.splitlines()) == 1
    assert "None" not in message


@pytest.mark.parametrize("name", BAD)
def test_the_same_in_a_module_is_the_same(write: Write, name: str) -> None:
    source, line, words = BAD[name]
    path = write(source, "acme/routes.py")
    message = failing_load("acme.routes")
    assert message.startswith(f"{path}:{line}: " if line else path)
    assert words in message
    assert len(message.splitlines()) == 1
    assert "None" not in message


@pytest.mark.parametrize("name", ["nowhere.py", "./nowhere", "sub/nowhere.py", "/nowhere/router.py", "router.py/x"])
def test_a_file_that_there_is_not_is_said_to_be_missing(write: Write, name: str) -> None:
    write(GOOD)
    message = failing_load(name)
    assert message.startswith(f"{name}: ")
    assert "No such file" in message or "Not a directory" in message
    assert "name the file" in message


@pytest.mark.parametrize("name", ["folder", "./folder", "folder/", "."])
def test_a_folder_is_no_router(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    assert failing_load(name).startswith(f"{name}: Is a directory; ")


@pytest.mark.parametrize(
    "name",
    [
        "",
        ":",
        ":x",
        ".",
        "..",
        ".routes",
        "acme..routes",
        "acme.",
        "no_such_module",
        "no_such.module",
        "os.none",
        "a b",
    ],
)
def test_a_module_that_there_is_not_is_said_to_be_missing(name: str) -> None:
    message = failing_load(name)
    assert "defines proxy(data)" in message or "name a file" in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("name", ["sys", "zipimport", "os.path", "math", "_socket", "json"])
def test_a_module_that_is_no_router_is_refused(name: str) -> None:
    assert failing_load(name)


@pytest.mark.parametrize("attribute", ["missing", "routes.missing", "missing.proxy", ".", "1"])
def test_an_attribute_that_there_is_not_is_refused(write: Write, attribute: str) -> None:
    path = write(ATTRIBUTES, "acme_routes.py")
    message = failing_load(f"acme_routes:{attribute}")
    assert message.startswith(path)
    assert attribute in message


@pytest.mark.parametrize("source", ["1 / 0\n", "def (\n", "raise SystemExit(3)\n"])
def test_a_package_that_cannot_be_imported_is_named_with_the_line(write: Write, source: str) -> None:
    path = write(source, "acme/__init__.py")
    write(GOOD, "acme/routes.py")
    assert f"{path}:1" in failing_load("acme.routes")


def test_an_error_in_what_a_router_imports_names_the_routers_line(write: Write) -> None:
    write("def parse():\n    raise ValueError('no')\n\nparse()\n", "acme_helper.py")
    path = write("x = 1\nimport acme_helper\n")
    assert failing_load(path) == f"{path}:2: ValueError: no"


def test_a_syntax_error_in_what_a_router_imports_names_where_it_is(write: Write) -> None:
    helper = write("x = 1\ndef (\n", "acme_helper.py")
    path = write("x = 1\nimport acme_helper\n")
    message = failing_load(path)
    assert f"{helper}:2" in message or "acme_helper.py, line 2" in message


# Source code as Python reads it


def test_a_coding_cookie_is_obeyed(write: Write) -> None:
    router = load(write(b"# coding: latin-1\nWORD = 'caf\xe9'\ndef proxy(data):\n    return {'close': WORD}\n"))
    assert answer(router) == {"close": "caf\N{LATIN SMALL LETTER E WITH ACUTE}"}


@pytest.mark.parametrize("change", [lambda s: b"\xef\xbb\xbf" + s, lambda s: s.replace(b"\n", b"\r\n"), bytes.strip])
def test_a_byte_order_mark_windows_line_ends_and_no_last_newline_are_fine(write: Write, change: Any) -> None:
    assert answer(load(write(change(GOOD.encode())))) == {"close": b"file x"}


def test_the_future_of_this_package_is_not_that_of_the_router(write: Write) -> None:
    router = load(write("class Route:\n    port: int\n\ndef proxy(data):\n    return Route.__annotations__\n"))
    assert answer(router) == {"port": int}


DATACLASS = """\
from __future__ import annotations
from dataclasses import dataclass
from typing import ClassVar

@dataclass
class Route:
    host: str
    ports: ClassVar[list[int]] = [80]

def proxy(data):
    return {'remote': f'{Route("db").host}:{Route.ports[0]}'}
"""


def test_a_file_may_hold_dataclasses_with_annotations_as_text(write: Write) -> None:
    assert answer(load(write(DATACLASS))) == {"remote": "db:80"}


def test_a_module_may_hold_dataclasses_with_annotations_as_text(write: Write) -> None:
    write(DATACLASS, "acme/routes.py")
    assert answer(load("acme.routes")) == {"remote": "db:80"}


def test_a_file_knows_itself_but_is_not_main(write: Write) -> None:
    path = write("SELF = __file__, __name__\ndef proxy(data):\n    return SELF\n")
    file, name = answer(load(path))
    assert file == path
    assert name != "__main__"


def test_what_stands_beside_a_file_can_be_imported(write: Write) -> None:
    write("WORD = b'beside'\n", "sub/acme_beside.py")
    path = write("import acme_beside\ndef proxy(data):\n    return {'close': acme_beside.WORD}\n", "sub/router.py")
    assert answer(load(path)) == {"close": b"beside"}


def test_what_stands_beside_a_file_shadows_nothing(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    write("raise RuntimeError('shadowed')\n", "colorsys.py")
    path = write("import colorsys\ndef proxy(data):\n    return colorsys.__file__\n")
    assert not answer(load(path)).startswith(os.path.dirname(path))


def test_proxy_may_be_imported_from_beside(write: Write) -> None:
    beside = write("\n\ndef proxy(data):\n    return {'close': b'beside'}\n", "acme_beside.py")
    router = load(write("from acme_beside import proxy\n"))
    assert answer(router) == {"close": b"beside"}
    assert router.proxy.place == f"{beside}:3"


# Loading again


def change(path: str, source: str) -> None:
    """Replace a file so that neither its size nor its time tell."""
    before = os.stat(path)
    Path(path).write_text(source)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = os.stat(path)
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


@pytest.mark.parametrize(("file", "name"), [("router.py", "./router.py"), ("acme/routes.py", "acme.routes")])
@pytest.mark.parametrize("cached", [False, True])
def test_a_change_that_size_and_time_do_not_show_is_seen(
    write: Write, file: str, name: str, cached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", not cached)
    path = write(GOOD, file)
    old = load(name)
    for word in ("FILE", "next", "last"):
        change(path, GOOD.replace("file", word))
        assert answer(load(name)) == {"close": word.encode() + b" x"}
    assert answer(old) == {"close": b"file x"}


@pytest.mark.parametrize("name", ["acme_routes:choose", "acme_routes:routes"])
def test_an_attribute_is_loaded_afresh(write: Write, name: str) -> None:
    path = write(ATTRIBUTES, "acme_routes.py")
    load(name)
    Path(path).write_text(ATTRIBUTES.replace("chosen", "changed").replace("ours", "changed"))
    assert answer(load(name)) == {"close": b"changed"}


@pytest.mark.parametrize(("file", "name"), [("router.py", "./router.py"), ("acme/routes.py", "acme.routes")])
def test_two_loads_share_nothing(write: Write, file: str, name: str) -> None:
    write("seen = []\ndef proxy(data):\n    seen.append(data)\n    return list(seen)\n", file)
    one, other = load(name), load(name)
    assert [answer(one, b"1"), answer(other, b"2"), answer(one, b"3")] == [[b"1"], [b"2"], [b"1", b"3"]]


@pytest.mark.parametrize("source", ["1 / 0\n", "def (\n", "raise SystemExit(3)\n"])
@pytest.mark.parametrize(("file", "name"), [("router.py", "./router.py"), ("acme_routes.py", "acme_routes")])
def test_a_load_that_fails_leaves_the_modules_as_they_were(write: Write, source: str, file: str, name: str) -> None:
    write(source, file)
    before = dict(sys.modules)
    failing_load(name)
    assert dict(sys.modules) == before
    write(GOOD, file)
    router = load(name)
    before = dict(sys.modules)
    write(source, file)
    failing_load(name)
    assert dict(sys.modules) == before
    assert answer(router) == {"close": b"file x"}


def test_two_files_of_the_same_name_do_not_meet(write: Write) -> None:
    one = load(write(GOOD, "one/router.py"))
    other = load(write(GOOD.replace("file", "other"), "other/router.py"))
    assert [answer(one), answer(other)] == [{"close": b"file x"}, {"close": b"other x"}]


# In words


class Odd(Exception):
    def __str__(self) -> str:
        raise RuntimeError("this error cannot even be shown")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no"), "ValueError: no"),
        (ValueError(), "ValueError"),
        (ValueError(" one\n\ttwo "), "ValueError: one two"),
        (KeyError("key"), "KeyError: 'key'"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
def test_an_error_is_described_in_one_line(error: BaseException, words: str) -> None:
    assert describe(error) == words


def test_an_error_that_cannot_be_shown_is_described_by_its_kind() -> None:
    assert describe(Odd()).startswith("Odd")
