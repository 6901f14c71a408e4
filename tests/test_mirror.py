"""The tests mirror the package: who knows where a thing is knows where its tests are."""

from __future__ import annotations

from pathlib import Path

import proxymux

TESTS = Path(__file__).parent
PACKAGE = Path(proxymux.__file__).parent

#: Folders that are about no part of the package alone; the services are what all others share.
APART = {"bench", "docs", "examples", "services", "system"}
#: Here, and in the folders below, each file is named after the module that it is about, and perhaps a part of it.
BY_MODULE = ["admin", "core", "fields", "gateway", "sniff"]
#: The names of files that are about all of their folder.
OF_ALL = {"package", "properties"}
#: Other files that are about more than a module, by their folder.
EXCEPTIONS = {
    "core/codecs": {"members", "plain"},  # what any codec may say; raw, line and length
    "gateway": {"clusters", "connecting", "gateway", "good_tokens", "refusals"},  # all of it at work, on real sockets
}


def is_module(folder: Path, name: str) -> bool:
    return (PACKAGE / folder / f"{name}.py").exists() or (PACKAGE / folder / name / "__init__.py").exists()


def is_named_after_a_module(folder: Path, name: str) -> bool:
    words = name.split("_")
    return any(is_module(folder, "_".join(words[:count])) for count in range(1, len(words) + 1))


def test_every_folder_of_tests_is_one_of_the_package() -> None:
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("*.py")} - {Path()}
    mirrored = {folder for folder in folders if folder.parts[0] not in APART}
    assert Path("core/codecs") in mirrored
    assert [folder for folder in sorted(mirrored) if not (PACKAGE / folder / "__init__.py").exists()] == []


def test_a_file_of_tests_is_named_after_its_module() -> None:
    others: dict[str, set[str]] = {}
    for path in [path for each in BY_MODULE for path in (TESTS / each).rglob("test_*.py")]:
        folder, name = path.parent.relative_to(TESTS), path.stem.removeprefix("test_")
        if name not in OF_ALL and not is_named_after_a_module(folder, name):
            others.setdefault(str(folder), set()).add(name)
    assert others == EXCEPTIONS
