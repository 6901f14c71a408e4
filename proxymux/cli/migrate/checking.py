"""Checks a command line that was written, by the parser that will read it."""

from __future__ import annotations

import contextlib
import io

from proxymux.cli.migrate.command_line import CommandLine
from proxymux.errors import ConfigError
from proxymux.tap.pool import Options


def check_command_line(line: CommandLine) -> None:
    """Have the options of the pool read a command line, without making anything of it.

    :raises ConfigError: naming the file and the line of the pool, with what the pool would say.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            Options().parseOptions(line.options)
    except SystemExit:
        problem = said.getvalue().strip().removeprefix("proxymux: ")
        raise ConfigError(line.place, f"{line.name} cannot be said in our options: {problem}") from None
