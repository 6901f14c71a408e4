"""The script for fish."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from proxymux.cli.shell.inventory import CommandLine
from proxymux.tap.usage_text import OptionEntry

_HEAD = "# Completion of proxymux and its services for fish: proxymux completion fish | source"


def script(lines: Sequence[CommandLine]) -> str:
    """The script for some command lines."""
    return "\n".join([_HEAD, *(each for line in lines for each in _of_line(line))]) + "\n"


def _of_line(line: CommandLine) -> Iterable[str]:
    program, condition = line.words[0], _condition(line)
    begin = f"complete -c {program} -n {_quoted(condition)}"
    for name, text in line.commands.items():
        yield f"{begin} {'-f ' if program == 'proxymux' else ''}-a {name} -d {_quoted(text)}"
    for entry in line.entries:
        yield f"{begin} {_of_entry(entry)} -d {_quoted(entry.text)}"
    if line.choices:
        yield f"{begin} -f -a {_quoted(' '.join(line.choices))}"
    elif line.arguments and not line.takes_paths:
        yield f"{begin} -f"


def _condition(line: CommandLine) -> str:
    """When the words of a command line are there, and none of those that may follow."""
    seen = [f"__fish_seen_subcommand_from {word}" for word in line.words[1:]]
    if line.commands:
        seen.append(f"not __fish_seen_subcommand_from {' '.join(line.commands)}")
    return "; and ".join(seen) or "true"


def _of_entry(entry: OptionEntry) -> str:
    names = f"-l {entry.name.removeprefix('--')}" + (f" -s {entry.short.removeprefix('-')}" if entry.short else "")
    if not entry.metavar:
        return names
    if entry.words:
        return f"{names} -x -a {_quoted(' '.join(entry.words))}"
    return f"{names} -r -F" if entry.is_path else f"{names} -x"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
