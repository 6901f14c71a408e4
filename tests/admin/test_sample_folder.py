"""The folder of samples: who can read it, that it is bounded, and that a full disk leaves no half of a file."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock

from proxymux.admin.sample_folder import SampleFolder
from proxymux.errors import ConfigError
from tests.conftest import until


class Threads:
    """What a reactor has for other threads: they do it themselves."""

    def callFromThread(self, call: Callable[[], None]) -> None:
        call()


class Folder:
    """A folder of samples, which need not be there yet."""

    def __init__(self, path: Path, limit: int = 3) -> None:
        self.path = path
        self.told: list[str] = []
        self.noted: list[str] = []
        self.samples = SampleFolder(str(path), limit, "router", lambda: 0.0, self.told.append, self.noted.append)

    def add(self, *numbers: int) -> None:
        for number in numbers:
            self.samples.add(number, b"data %d" % number, "reject")

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.path.iterdir())} if self.path.exists() else {}

    def close(self) -> None:
        over: list[None] = []
        self.samples.close(cast("IReactorFromThreads", Threads()), Clock()).addCallback(over.append)
        until(lambda: over, "all to be written")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    old = os.umask(0)
    yield Folder(tmp_path / "samples")
    os.umask(old)


def test_folder_and_files_are_their_owners_only(folder: Folder) -> None:
    folder.samples.check()
    assert not folder.path.exists()
    folder.add(1)
    folder.close()
    assert folder.files() == {"19700101T000000.000Z-router-1-reject": b"data 1"}
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder.path, *folder.path.iterdir())]
    assert modes == [0o700, 0o600]
    assert folder.samples.warnings() == []


def test_there_are_no_more_files_than_the_limit_and_that_is_said_once(folder: Folder) -> None:
    folder.path.mkdir(0o700)
    (folder.path / "before").touch()
    folder.add(1, 2, 3, 4)
    until(lambda: folder.samples.is_full, "the folder to be full")
    folder.add(5)
    folder.close()
    assert len(folder.files()) == 3
    assert folder.noted == [f"--capture: {folder.path}: has 3 files, which is --capture-limit: no more are made"]
    assert folder.told == []


def test_it_is_said_once_also_if_what_is_too_much_comes_in_two_parts(folder: Folder) -> None:
    sink = folder.samples._sink
    for names in (["a", "b"], ["c", "d"], ["e"]):
        assert sink.write([(name, b"data") for name in names]) == len(names)
    assert sorted(folder.files()) == ["a", "b", "c"]
    assert len(folder.noted) == 1


def test_when_there_is_room_again_it_is_asked_to_look(folder: Folder) -> None:
    folder.add(1, 2, 3, 4)
    until(lambda: folder.samples.is_full, "the folder to be full")
    for path in folder.path.iterdir():
        path.unlink()
    folder.samples.reopen()
    until(lambda: not folder.samples.is_full, "it to have looked")
    folder.add(5)
    folder.close()
    assert [name.split("-")[2] for name in folder.files()] == ["5"]


def test_a_session_that_has_sent_nothing_has_no_sample(folder: Folder) -> None:
    folder.samples.add(1, b"", "undecided")
    folder.close()
    assert folder.files() == {}


def test_a_full_disk_leaves_no_half_of_a_file_and_it_is_written_later(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(number: int, data: bytes) -> int:
        if len(data) == 6:
            return len(data[:2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("proxymux.admin.sample_folder.os.write", write)
        folder.add(1)
        until(lambda: folder.told, "the error")
        assert folder.files() == {}
    folder.close()
    assert list(folder.files().values()) == [b"data 1"]
    assert "No space left on device" in folder.told[0]


def test_others_who_may_write_there_are_refused_and_others_who_may_look_are_told(folder: Folder) -> None:
    folder.path.mkdir(0o777)
    folder.path.chmod(0o777)
    with pytest.raises(ConfigError, match=r"^--capture: .*: every user may write there; name a folder of its own"):
        folder.samples.check()
    folder.path.chmod(0o755)
    folder.samples.check()
    assert folder.samples.warnings() == [
        f"--capture: others can see the names in {folder.path} (mode 0755); chmod 0700 it"
    ]


@pytest.mark.parametrize("name", ["file", "nowhere/samples"])
def test_what_can_be_no_folder_is_a_bad_option(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"^--capture: "):
        Folder(tmp_path / name).samples.check()
