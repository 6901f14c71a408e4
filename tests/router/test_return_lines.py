from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger

from proxymux.core.identity import Client
from proxymux.errors import RouterError
from proxymux.router.loading import load
from proxymux.router.router_decider import RouterDecider

CLIENT = Client(("127.0.0.1", 1), ("127.0.0.1", 2))
ROUTER = '''\
from __future__ import annotations


def proxy(data: bytes) -> object:
    """A router."""
    try:
        if data == b"a":
            return {"close": b"a"}

        def inner():
            return {"close": (lambda: b"inner")()}

        if data == b"b":
            return inner()
        if data == b"raises":
            return {}["no such key"]
    finally:
        inner = None
    if data == b"more":
        return


async def proxy_accepted(client):
    await WAITING
    return {"close": True}
'''


@pytest.fixture
def decider(tmp_path: Path) -> RouterDecider:
    path = tmp_path / "router.py"
    path.write_text(ROUTER)
    return RouterDecider(
        load(str(path), notes_lines=True), lambda: 0.0, Logger(), run_coroutine=lambda it: ensureDeferred(it)
    )


def line(decider: RouterDecider) -> int:
    path, _, line = decider.decided_at.rpartition(":")
    assert path == decider._router.filename
    return int(line)


@pytest.mark.parametrize(("data", "expected"), [(b"a", 8), (b"b", 14)])
def test_the_line_is_that_of_the_return(decider: RouterDecider, data: bytes, expected: int) -> None:
    decider.decide(data, CLIENT)
    assert line(decider) == expected


@pytest.mark.parametrize("data", [b"more", b"else"])
def test_without_a_result_it_is_the_functions_own(decider: RouterDecider, data: bytes) -> None:
    decider.decide(b"a", CLIENT)
    decider.decide(data, CLIENT)
    assert line(decider) == 4


def test_an_async_function_has_the_line_of_its_own_return_whatever_is_decided_meanwhile(
    decider: RouterDecider,
) -> None:
    waiting: Deferred[None] = Deferred()
    assert decider._router.accepted is not None
    decider._router.accepted.function.__globals__["WAITING"] = waiting
    decided = decider.accepted(CLIENT)
    assert isinstance(decided, Deferred)
    lines: list[int] = []
    decided.addCallback(lambda _: lines.append(line(decider)))
    decider.decide(b"a", CLIENT)
    assert (lines, line(decider)) == ([], 8)
    waiting.callback(None)
    assert lines == [25]


def test_errors_name_the_same_line_as_without(decider: RouterDecider) -> None:
    with pytest.raises(Exception, match=r"router\.py:16: proxy raised KeyError"):
        decider.decide(b"raises", CLIENT)


def test_a_router_with_a_mistake_is_refused_as_it_is_without(tmp_path: Path) -> None:
    path = tmp_path / "router.py"
    path.write_text("def proxy(data):\n    return (\n")
    with pytest.raises(RouterError) as plain:
        load(str(path))
    with pytest.raises(RouterError) as edited:
        load(str(path), notes_lines=True)
    assert str(edited.value) == str(plain.value)


def test_a_function_of_any_name_and_a_method_may_be_the_router(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_routes.py").write_text(
        "class Routes:\n    def proxy(self, data):\n        return {'close': True}\n\n\nroutes = Routes()\n\n\n"
        "def choose(data):\n    return {'close': True}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    for name, expected in [("some_routes:routes", 3), ("some_routes:choose", 10)]:
        decider = RouterDecider(load(name, notes_lines=True), lambda: 0.0, Logger())
        decider.decide(b"x", CLIENT)
        assert line(decider) == expected


def test_without_lines_the_place_is_the_functions(tmp_path: Path) -> None:
    path = tmp_path / "router.py"
    path.write_text(ROUTER)
    decider = RouterDecider(load(str(path)), lambda: 0.0, Logger())
    decider.decide(b"a", CLIENT)
    assert line(decider) == 4
