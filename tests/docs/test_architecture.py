"""docs/architecture.rst names every file and every noun of the code, and none that there is not."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from proxymux.core.outcome import Outcome

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "proxymux"
PAGE = (ROOT / "docs" / "architecture.rst").read_text(encoding="utf-8")
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
SOURCES = {name: (PACKAGE / name).read_text(encoding="utf-8") for name in FILES}
CLASSES = {
    node.name: node
    for source in SOURCES.values()
    for node in ast.walk(ast.parse(source))
    if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
}

#: Last words of class names that are Python's or Twisted's.
FOREIGN = {"Endpoint", "Error", "Factory", "Port", "Protocol", "Reactor", "Socket", "Transport"}
#: What the glossary explains, each at the beginning of a line.
TERMS = {
    term
    for line in PAGE.partition("\nGlossary\n")[2].splitlines()
    if line.startswith("* **")
    for term in re.findall(r"\*\*([^*]+)\*\*", line.partition(":")[0])
}
#: What stands between double backquotes, and the files of the layout.
QUOTED = set(re.findall(r"``([^`\n]+)``", PAGE))
LISTED = re.findall(r"^    (\S+\.py) ", PAGE, re.MULTILINE)
PATHS = sorted({each for each in QUOTED if re.fullmatch(r"[\w./-]+\.(py|rst|cfg)", each)} | set(LISTED))


def words_of(name: str) -> list[str]:
    """The words of a class name: HttpRequest is Http, Request."""
    return re.findall(r"[A-Z][a-z0-9]*", name)


def singular(noun: str) -> str:
    return re.sub(r"ies$", "y", noun) if noun.endswith("ies") else re.sub(r"(?<=ch)es$|(?<=[^s])s$", "", noun)


def is_explained(name: str) -> bool:
    last = words_of(name)[-1]
    return bool({name, last, singular(last), "".join(words_of(name)[-2:])} & (TERMS | FOREIGN))


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_the_glossary_has_the_noun_of_every_class(name: str) -> None:
    assert is_explained(name), f"what is a {words_of(name)[-1]}? Say it in the glossary of docs/architecture.rst"


def test_the_glossary_would_be_found_to_lack_a_noun() -> None:
    assert not is_explained("SessionManager")


@pytest.mark.parametrize("path", PATHS)
def test_every_path_is_there(path: str) -> None:
    assert (PACKAGE / path).is_file() or (ROOT / path).is_file()


def test_every_file_is_in_the_layout_once() -> None:
    assert sorted(LISTED) == FILES


@pytest.mark.parametrize("name", sorted(each for each in QUOTED if re.fullmatch(r"(?:[A-Z][a-z]+){2,}", each)))
def test_every_class_that_it_names_is_there(name: str) -> None:
    assert name in CLASSES


@pytest.mark.parametrize(
    "name", sorted(each for each in QUOTED if re.fullmatch(r"[A-Z]\w+[.]\w+", each) and each not in PATHS)
)
def test_every_method_that_it_names_is_there(name: str) -> None:
    owner, _, method = name.partition(".")
    assert method in {node.name for node in CLASSES[owner].body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("name", sorted(each for each in QUOTED if re.fullmatch(r"_?[A-Za-z]+(_[A-Za-z]+)+|_DO", each)))
def test_every_other_name_is_there(name: str) -> None:
    assert any(re.search(rf"\b{name}\b", source) for source in SOURCES.values())


def test_every_outcome_is_in_their_table_once() -> None:
    table = PAGE.partition("\nWhere each outcome arises\n")[2].partition("\nLayout\n")[0]
    assert re.findall(r"^``(\w+)``", table, re.MULTILINE) == [outcome.value for outcome in Outcome]
