from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger, formatEvent

from proxymux.net.clock import monotonic
from proxymux.pool.settings import PoolSettings
from proxymux.process import Process
from proxymux.router.settings import RouterSettings
from proxymux.router_watch import INTERVAL, SETTLED, RouterWatch
from proxymux.settings import Settings
from proxymux.source_files import SourceFiles
from proxymux.tap.watching import make_watch


class Watched:
    """A folder with a router, and what its watch does."""

    def __init__(self, folder: Path, most: int = 100) -> None:
        self.folder = folder
        self.clock = Clock()
        self.lines: list[str] = []
        self.reloads = 0
        self.write("router.py", "1")
        self.watch = RouterWatch(
            SourceFiles([str(folder)], most=most),
            self.clock,
            self.reload,
            Logger(observer=self.note),  # type: ignore[arg-type]
        )
        self.watch.start(None)

    def note(self, event: LogEvent) -> None:
        self.lines.append(formatEvent(event))

    def reload(self) -> None:
        self.reloads += 1

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.chdir(tmp_path)
    return Watched(tmp_path)


def test_without_a_change_nothing_is_loaded(watched: Watched) -> None:
    for _ in range(5):
        watched.clock.advance(INTERVAL)
    assert (watched.reloads, watched.lines) == (0, [])


def test_a_change_is_loaded_once_when_the_files_are_left_alone(watched: Watched) -> None:
    watched.write("router.py", "22")
    watched.clock.advance(INTERVAL)
    assert watched.reloads == 0  # the editor may not be done
    watched.clock.advance(SETTLED)
    assert (watched.reloads, watched.lines) == (1, ["--watch: router.py changed"])
    watched.clock.advance(INTERVAL)
    watched.clock.advance(INTERVAL)
    assert watched.reloads == 1


def test_while_a_file_is_being_written_it_waits(watched: Watched) -> None:
    watched.write("router.py", "2" * 2)
    watched.clock.advance(INTERVAL)
    for size in range(3, 6):
        watched.write("router.py", "2" * size)
        watched.clock.advance(SETTLED)
    assert watched.reloads == 0
    watched.clock.advance(SETTLED)
    assert watched.reloads == 1


def test_what_is_undone_before_it_was_loaded_is_no_change(watched: Watched) -> None:
    (watched.folder / "rules.py").write_text("1")
    watched.clock.advance(INTERVAL)
    (watched.folder / "rules.py").unlink()
    watched.clock.advance(SETTLED)
    watched.clock.advance(INTERVAL)
    assert watched.reloads == 0


def test_a_line_names_three_files_and_how_many_more(watched: Watched) -> None:
    for name in ("a.py", "b.py", "c.py", "d.py", "e\n.py"):
        watched.write(name, "1")
    watched.clock.advance(INTERVAL)
    watched.clock.advance(SETTLED)
    assert watched.lines == ["--watch: a.py, b.py, c.py and 2 more changed"]


def test_a_name_of_a_file_is_no_second_line(watched: Watched) -> None:
    watched.write("a\nb.py", "1")
    watched.clock.advance(INTERVAL)
    watched.clock.advance(SETTLED)
    assert watched.lines == [r"--watch: a\nb.py changed"]


def test_it_says_that_there_are_too_many_files(tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    assert Watched(tmp_path, most=1).lines == ["--watch: looks at 10000 files and folders; there are more"]


def test_at_the_end_it_looks_no_more(watched: Watched) -> None:
    done: list[object] = []
    watched.watch.stop(None).addCallback(done.append)
    watched.watch.stop(None)
    assert done == [None]
    assert watched.clock.getDelayedCalls() == []


# What the settings ask for


@pytest.fixture
def make() -> Callable[[Settings], RouterWatch | None]:
    from twisted.internet import reactor

    process = Process(reactor, monotonic(reactor))  # type: ignore[arg-type]
    return lambda settings: make_watch(settings, Clock(), process, Logger())


def looked_at(watch: RouterWatch | None, folder: Path) -> list[str]:
    assert watch is not None
    return sorted(os.path.relpath(path, folder) for path in watch._files.look())


def test_the_folders_of_router_and_shadow_are_looked_at(
    make: Callable[[Settings], RouterWatch | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one/router.py", "one/rules.py", "two/shadow.py", "package/router.py", "package/below/rules.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    own = ["one/router.py", "one/rules.py"]
    assert looked_at(make(RouterSettings("one/router.py", watch=True)), tmp_path) == own
    both = make(RouterSettings("one/router.py", watch=True, shadow="two/shadow.py"))
    assert looked_at(both, tmp_path) == [*own, "two/shadow.py"]
    whole = make(RouterSettings("package.router:proxy", watch=True))
    assert looked_at(whole, tmp_path) == ["package/below/rules.py", "package/router.py"]
    pool = PoolSettings(
        router="one/router.py", watch=True, codec="resp", mode="funnel", target=["127.0.0.1:1"], listen=["tcp:1"]
    )
    assert looked_at(make(pool), tmp_path) == own


def test_without_the_option_nothing_is_looked_at(make: Callable[[Settings], RouterWatch | None]) -> None:
    assert make(RouterSettings("router.py")) is None
    assert make(Settings()) is None
