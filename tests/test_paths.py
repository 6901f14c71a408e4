"""What stands in the way of writing a file, and who may read one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxymux.paths import exposure, obstacle, obstacle_in


def test_a_new_file_and_one_that_is_there_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert obstacle(str(tmp_path / "new")) is None
    (tmp_path / "old").write_text("x")
    assert obstacle(str(tmp_path / "old")) is None
    monkeypatch.chdir(tmp_path)
    assert obstacle("new") is None
    assert obstacle("/dev/null") is None
    assert list(tmp_path.iterdir()) == [tmp_path / "old"]


def test_what_stands_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert obstacle(str(tmp_path)) == "it is a folder"
    assert obstacle(str(tmp_path / "no" / "file")) == f"there is no folder {tmp_path}/no"
    assert obstacle(str(tmp_path / "file" / "file")) == "Not a directory"
    assert obstacle_in(str(tmp_path / "file")) == f"{tmp_path}/file is no folder"


def test_permissions_stand_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # as for a user who is not root
    assert obstacle(str(tmp_path / "file")) == "no permission to write to it"
    assert obstacle(str(tmp_path / "new")) == f"no permission to write in {tmp_path}"


@pytest.fixture
def key(public_folder: Path) -> Path:
    """A file in folders that everybody may enter."""
    file = public_folder / "key"
    file.write_text("secret")
    return file


@pytest.mark.parametrize(("mode", "is_exposed"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)])
def test_a_file_that_every_user_can_read_is_exposed(key: Path, mode: int, is_exposed: bool) -> None:
    key.chmod(mode)
    said = f"{key} can be read by every user (mode {mode:04o}); chmod o-rwx it"
    assert exposure(str(key)) == (said if is_exposed else None)


def test_a_folder_that_others_cannot_enter_protects_it(key: Path) -> None:
    key.chmod(0o644)
    key.parent.chmod(0o750)
    assert exposure(str(key)) is None


def test_a_link_is_what_it_leads_to(key: Path) -> None:
    key.chmod(0o644)
    (key.parent / "link").symlink_to(key)
    assert str(exposure(str(key.parent / "link"))).startswith(str(key))


def test_a_file_that_is_not_there_is_not_exposed(tmp_path: Path) -> None:
    assert exposure(str(tmp_path / "none")) is None
