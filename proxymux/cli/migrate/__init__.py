"""``proxymux migrate``: writes command lines of the pool from a configuration of nutcracker (twemproxy)."""

from __future__ import annotations

from typing import TextIO

from proxymux.cli.migrate.checking import check_command_line
from proxymux.cli.migrate.command_line import CommandLine, command_line_of
from proxymux.cli.migrate.nutcracker import read_pools
from proxymux.cli.migrate.yaml_file import read_sections
from proxymux.errors import ConfigError
from proxymux.printable import printable


def migrate(path: str, output: TextIO, errors: TextIO) -> int:
    """Write a command line for each pool of a file, as a script for the shell.

    :param path: the configuration of nutcracker.
    :param output: for the script; nothing is written unless all of the file can be read.
    :param errors: for one line that says what is wrong, and where.
    :returns: the exit status, 1 if something is wrong.
    """
    try:
        lines = [command_line_of(pool) for pool in read_pools(read_sections(path))]
        for line in lines:
            check_command_line(line)
    except ConfigError as error:
        print(f"proxymux migrate: {printable(str(error))}", file=errors)
        return 1
    print(f"# The pools of {printable(path)}, a command line each.", file=output)
    for line in lines:
        print(f"\n{_text(line)}", file=output)
    return 0


def _text(line: CommandLine) -> str:
    notes = "".join(f"#   {printable(note)}\n" for note in line.notes)
    return f"# {printable(line.name)}, line {line.number}\n{notes}{'' if line.is_faithful else '# '}{line}"
