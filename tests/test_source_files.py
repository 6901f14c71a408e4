from __future__ import annotations

import os
from pathlib import Path

from proxymux.source_files import SourceFiles, changed


def names(files: SourceFiles, folder: Path) -> list[str]:
    return sorted(os.path.relpath(path, folder) for path in files.look())


def write(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("x = 1\n")


def test_it_finds_the_python_files_in_a_folder_and_below(tmp_path: Path) -> None:
    write(tmp_path, "router.py", "rules.py", "tenants/red.py", "tenants/deep/blue.py", "targets", "tenants/list.txt")
    found = names(SourceFiles([str(tmp_path), str(tmp_path)]), tmp_path)
    assert found == ["router.py", "rules.py", "tenants/deep/blue.py", "tenants/red.py"]


def test_a_file_that_is_named_counts_whatever_it_is_called(tmp_path: Path) -> None:
    write(tmp_path, "router", "other")
    assert names(SourceFiles([str(tmp_path)], [str(tmp_path / "router")]), tmp_path) == ["router"]


def test_what_is_not_the_users_own_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, ".venv/a.py", ".git/a.py", "__pycache__/a.py", "node_modules/a.py", "site-packages/a.py", "own.py")
    write(tmp_path, "env/pyvenv.cfg", "env/lib/python3/a.py", "env/lib/a.py")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert names(SourceFiles([str(tmp_path)]), tmp_path) == ["own.py"]


def test_a_router_in_the_folder_of_a_virtual_environment_is_seen(tmp_path: Path) -> None:
    write(tmp_path, "pyvenv.cfg", "lib/a.py", "router.py", "rules.py")
    assert names(SourceFiles([str(tmp_path)]), tmp_path) == ["router.py", "rules.py"]


def test_a_look_is_bounded_and_begins_with_what_is_nearest(tmp_path: Path) -> None:
    write(tmp_path, "router.py", "rules.py", *(f"below/{number}.py" for number in range(20)))
    files = SourceFiles([str(tmp_path)], most=10)
    assert len(files.look()) == 9  # the folder below is an entry, too
    assert {"router.py", "rules.py"} < set(names(files, tmp_path))
    assert files.has_more
    few = SourceFiles([str(tmp_path)], most=23)
    assert len(few.look()) == 22
    assert not few.has_more


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert SourceFiles([str(tmp_path / "nowhere")], [str(tmp_path / "router.py")]).look() == {}


def test_what_is_new_gone_or_otherwise_has_changed(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "b.py", "c.py")
    files = SourceFiles([str(tmp_path)])
    before = files.look()
    assert changed(before, files.look()) == []
    (tmp_path / "a.py").write_text("x = 10\n")
    (tmp_path / "b.py").unlink()
    (tmp_path / "c.py").touch()
    os.utime(tmp_path / "c.py", ns=(1, 1))
    write(tmp_path, "d.py")
    assert [os.path.basename(path) for path in changed(before, files.look())] == ["a.py", "b.py", "c.py", "d.py"]


def test_a_file_that_takes_the_place_of_another_is_another(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "new")
    for name in ("a.py", "new"):
        os.utime(tmp_path / name, ns=(1, 1))
    files = SourceFiles([str(tmp_path)])
    before = files.look()
    (tmp_path / "new").rename(tmp_path / "a.py")
    assert changed(before, files.look()) == [str(tmp_path / "a.py")]
