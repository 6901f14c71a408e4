from __future__ import annotations

import pytest

from proxymux.cli.migrate.checking import check_command_line
from proxymux.cli.migrate.command_line import CommandLine
from proxymux.errors import ConfigError


def line_with(*options: str) -> CommandLine:
    return CommandLine("alpha", "n.yml:7", 7, ("--listen", "tcp:1", "--target", "h:1", *options))


def test_what_the_pool_reads_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    check_command_line(line_with("--codec", "resp"))
    assert capsys.readouterr() == ("", "")


def test_what_it_refuses_is_an_error_of_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match=r"^n.yml:7: alpha cannot be said in our options: --backlog: '0' is not"):
        check_command_line(line_with("--backlog", "0"))
    assert capsys.readouterr() == ("", "")
