from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import Logger, formatEvent

from proxymux.router.loading import load
from proxymux.router.router_decider import RouterDecider

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file below the test's folder, by default ``router.py``; answers its path."""

    def write(source: str | bytes, name: str = "router.py") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.encode() if isinstance(source, str) else source)
        return str(path)

    return write


@pytest.fixture(autouse=True)
def imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test's folder is the working directory, and what is imported from it, named acme, is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = dict(sys.modules)
    yield
    for name in set(sys.modules) - set(before):
        if name.startswith(("acme", "proxymux_router_")):
            del sys.modules[name]


class Log:
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.logger = Logger("proxymux", observer=self.events.append)  # type: ignore[arg-type]

    def lines(self, level: str | None = None) -> list[str]:
        return [formatEvent(event) for event in self.events if level is None or event["log_level"].name == level]


@pytest.fixture
def log() -> Log:
    return Log()


class Watch:
    """A monotonic clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


Make = Callable[[str], RouterDecider]


@pytest.fixture
def make(write: Write, watch: Watch, log: Log) -> Make:
    """A decider for the source of a ``router.py``."""

    def make(source: str) -> RouterDecider:
        return RouterDecider(load(write(source)), watch, log.logger, clusters=())

    return make
