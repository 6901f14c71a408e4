from __future__ import annotations

import sys
from pathlib import Path

import pytest

from proxymux.cli.migrate.yaml_file import MAX_FILE, Directive, read_sections
from proxymux.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "nutcracker.yml"


def test_every_value_is_a_text_with_its_line(file: Path) -> None:
    file.write_text("# one\na:\n  redis: yes\n  backlog: 010\n  servers:\n   - x:1:1\n   - y:1:1 name\n")
    [section] = read_sections(str(file))
    assert (section.name, section.place) == ("a", f"{file}:2")
    assert section.directives == {
        "redis": (Directive(f"{file}:3", "yes"),),
        "backlog": (Directive(f"{file}:4", "010"),),
        "servers": (Directive(f"{file}:6", "x:1:1"), Directive(f"{file}:7", "y:1:1 name")),
    }


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("- a\n", ":1: the file is no list of names with values"),
        ("a: b\n", ":1: pool 'a' is no list of names with values"),
        ("? [a]\n: b\n", ":1: the file: a name is no text"),
        ("a:\n  hash: [x]\n", ":2: 'hash': one value is accepted"),
        ("a:\n  servers: x:1:1\n", ":2: 'servers': a list such as - 127.0.0.1:6379:1 is accepted"),
        ("a:\n  servers:\n  - [x]\n", ":3: 'servers': a single value is accepted"),
        ("a:\n  hash: x\n  hash: y\n", ":3: 'hash' is given twice"),
        ('a:\n  listen: "x\\ny:80"\n', ":2: 'listen': a character is not printable"),
        ("a:\n\tb: c\n", ":2: is no YAML: found character ... that cannot start any token"),
        ("a: \0\n", ": is no YAML: "),
        ("[" * 1000, ": is nested too deeply"),
        ("#" * (MAX_FILE + 1), f": is larger than {MAX_FILE} bytes"),
    ],
)
def test_what_is_no_such_file_is_refused_with_its_line(file: Path, content: str, error: str) -> None:
    file.write_text(content)
    with pytest.raises(ConfigError) as refused:
        read_sections(str(file))
    assert str(refused.value).startswith(f"{file}{error}")


@pytest.mark.parametrize(
    "secret", ["*hunter2", "!hunter2!x y", "'hunter2", "&hunter2 x\n  b: &hunter2 y\n  c: {hunter2"]
)
def test_an_error_shows_no_password(file: Path, secret: str) -> None:
    file.write_text(f"a:\n  redis_auth: {secret}\n")
    with pytest.raises(ConfigError) as refused:
        read_sections(str(file))
    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_not_there_or_no_text_is_an_error(file: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory; name a configuration of nutcracker"):
        read_sections(str(file))
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        read_sections(str(file))


def test_without_pyyaml_the_error_says_how_to_get_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("a: b\n")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigError, match=r"pip install 'proxymux\[migrate\]'"):
        read_sections(str(file))
