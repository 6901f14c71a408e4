"""The script for zsh.  Twisted has one of its own for ``twistd``, which asks the services for their options."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from proxymux.cli.shell.inventory import CommandLine
from proxymux.tap.usage_text import OptionEntry

_HEAD: Final = """\
#compdef proxymux
# Completion of proxymux for zsh: source <(proxymux completion zsh), or a file _proxymux in a folder of $fpath.
"""
_FOOT: Final = """\
if [[ $funcstack[1] == _proxymux ]]; then
    _proxymux "$@"
else
    compdef _proxymux proxymux
fi
"""
_WITH_COMMANDS: Final = """\
{function}() {{
    local line state
    _arguments -C {specs} '1:command:->command' '*::argument:->rest'
    case $state in
    command)
        local -a commands=({commands})
        _describe command commands;;
    rest)
        (( $+functions[{function}_$line[1]] )) && {function}_$line[1];;
    esac
}}
"""
_WITHOUT: Final = """\
{function}() {{
    _arguments {specs}
}}
"""


def script(lines: Sequence[CommandLine]) -> str:
    """The script for some command lines, of which it takes those of the console script."""
    own = [_function(line) for line in lines if line.words[0] == "proxymux"]
    return "\n".join([_HEAD, *own, _FOOT])


def _function(line: CommandLine) -> str:
    function = "_".join(["", *line.words])
    specs = [_spec(entry) for entry in line.entries]
    if line.commands:
        commands = " ".join(_quoted(f"{name}:{_escaped(text)}") for name, text in line.commands.items())
        return _WITH_COMMANDS.format(function=function, specs=" ".join(specs), commands=commands)
    values = f"({' '.join(line.choices)})" if line.choices else "_files" if line.takes_paths else " "
    specs += [_quoted(f"*:{_escaped(name)}:{values}") for name in [*line.arguments][:1]]
    return _WITHOUT.format(function=function, specs=" ".join(specs))


def _spec(entry: OptionEntry) -> str:
    """An option as ``_arguments`` has it."""
    value = ""
    if entry.metavar:
        words = f"({' '.join(entry.words)})" if entry.words else "_files" if entry.is_path else " "
        value = f":{_escaped(entry.metavar)}:{words}"
    names = [each for each in (entry.short, entry.name) if each]
    return " ".join(_quoted(f"*{name}[{_escaped(entry.text)}]{value}") for name in names)


def _escaped(text: str) -> str:
    return re.sub(r"[\[\]:\\]", r"\\\g<0>", text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
