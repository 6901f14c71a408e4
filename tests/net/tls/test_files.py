"""Whether files have changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxymux.net.tls.files import WatchedFiles


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "a"
    made.write_text("one")
    return made


def settled(*files: Path) -> WatchedFiles:
    """Watches ``files``, and has told of them already."""
    watched = WatchedFiles()
    assert [watched.have_changed(map(str, files)) for _ in range(3)] == [True, True, False]
    return watched


def test_a_change_is_told_twice_and_then_no_more(file: Path) -> None:
    watched = settled(file)
    file.write_text("two, longer")
    assert [watched.have_changed([str(file)]) for _ in range(4)] == [True, True, False, False]


def test_a_file_that_goes_and_one_that_comes_are_changes(tmp_path: Path, file: Path) -> None:
    watched = settled(file)
    file.unlink()
    assert watched.have_changed([str(file)])
    other = tmp_path / "b"
    other.write_text("one")
    assert watched.have_changed([str(file), str(other)])


def test_a_swapped_link_is_a_change(tmp_path: Path, file: Path) -> None:
    other, link, new = tmp_path / "b", tmp_path / "link", tmp_path / "new"
    other.write_text("two")
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    link.symlink_to(file)
    watched = settled(link)
    new.symlink_to(other)
    new.rename(link)
    assert watched.have_changed([str(link)])


def test_a_file_that_was_never_there_is_no_change(tmp_path: Path) -> None:
    settled(tmp_path / "nowhere")
