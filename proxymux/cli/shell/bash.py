"""The script for bash."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import Final

from proxymux.cli.shell.inventory import CommandLine

_SCRIPT: Final = """\
# Completion of proxymux and its services for bash: source <(proxymux completion bash)
_proxymux() {{
    local known context word words current previous at
    current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
    if [[ $current == = ]]; then current=; previous=${{COMP_WORDS[COMP_CWORD-1]}}
    elif [[ $previous == = ]]; then previous=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    known={known}
    context=${{COMP_WORDS[0]##*/}}
    for ((at = 1; at < COMP_CWORD; at++)); do
        word=${{COMP_WORDS[at]}}
        [[ $known == *"|$context $word|"* ]] && context+=" $word"
    done
    COMPREPLY=()
    case "$context $previous" in
{values}
    esac
    case "$context" in
{options}
    esac
    [[ $current == -* ]] || words=${{words%%;*}}
    words=${{words//;/ }}
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _proxymux {programs}
"""


def script(lines: Sequence[CommandLine]) -> str:
    """The script for some command lines."""
    known = "|" + "|".join(" ".join(line.words) for line in lines) + "|"
    programs = dict.fromkeys(line.words[0] for line in lines)
    return _SCRIPT.format(
        known=shlex.quote(known),
        values="\n".join(_values(lines)),
        options="\n".join(_options(lines)),
        programs=" ".join(programs),
    )


def _values(lines: Iterable[CommandLine]) -> Iterable[str]:
    """What may stand behind an option: some words, a file, or what only the user knows."""
    for line in lines:
        for entry in line.entries:
            if entry.metavar:
                names = [each for each in (entry.name, entry.short) if each]
                pattern = "|".join(shlex.quote(" ".join([*line.words, name])) for name in names)
                if entry.words:
                    reply = f'$(compgen -W {shlex.quote(" ".join(entry.words))} -- "$current")'
                    yield f"    {pattern}) COMPREPLY=({reply}); return;;"
                else:
                    yield f"    {pattern}) return;;"  # -o default completes files


def _options(lines: Iterable[CommandLine]) -> Iterable[str]:
    """The commands behind a command line, and after a semicolon its options."""
    for line in lines:
        words = f"{' '.join([*line.commands, *line.choices])};{' '.join(entry.name for entry in line.entries)}"
        yield f"    {shlex.quote(' '.join(line.words))}) words={shlex.quote(words)};;"
