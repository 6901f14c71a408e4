from __future__ import annotations

from typing import Any

import pytest

from proxymux.cli import main
from proxymux.cli.shell import PAGES, SHELLS
from proxymux.cli.shell.inventory import SERVICES, CommandLine, command_lines

LINES = {" ".join(line.words): line for line in command_lines()}


def names(line: CommandLine) -> set[str]:
    return {entry.name for entry in line.entries}


def test_every_command_and_every_service_is_there() -> None:
    assert set(LINES["proxymux"].commands) >= {"check", "connect", "token", "top", "init", "new", "completion", "man"}
    for words, line in LINES.items():
        for command, text in line.commands.items():
            assert f"{words} {command}" in LINES
            assert text
    assert {"proxymux token seal", "proxymux new codec"} < set(LINES)
    assert {f"twistd {name}" for name in SERVICES} < set(LINES)


def test_a_command_has_its_options_with_their_letters_and_words() -> None:
    seal = LINES["proxymux token seal"]
    assert {"--target", "--expires-in", "--once", "--key-file", "--digest", "--help"} <= names(seal)
    found = {entry.name: entry for entry in seal.entries}
    assert (found["--digest"].words, found["--digest"].metavar) == (("md5", "sha256", "pbkdf2"), "md5|sha256|pbkdf2")
    assert found["--key-file"].is_path
    assert not found["--target"].is_path
    assert (found["--help"].short, found["--once"].metavar) == ("-h", "")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_the_options_of_its_settings(name: str) -> None:
    options: Any = SERVICES[name][0]
    assert names(LINES[f"twistd {name}"]) == {f"--{each.removesuffix('=')}" for each in options().longOpt}


def test_what_else_stands_behind_a_command_is_known() -> None:
    assert LINES["proxymux check"].takes_paths
    assert LINES["proxymux migrate"].takes_paths
    assert not LINES["proxymux top"].takes_paths
    assert LINES["proxymux why"].arguments.keys() == {"URL", "SESSION"}


def test_the_parser_takes_every_shell_and_every_page() -> None:
    assert tuple(sorted(LINES["proxymux completion"].choices)) == SHELLS
    assert tuple(LINES["proxymux man"].choices) == PAGES


@pytest.mark.parametrize("arguments", [["completion", "csh"], ["man", "twistd"]])
def test_another_is_a_wrong_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "invalid choice" in capsys.readouterr().err
