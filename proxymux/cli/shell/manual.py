"""The manual pages, in the language of ``man``: of the console script with its commands, and of each service."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from proxymux.cli.shell.inventory import SERVICES, CommandLine, command_lines
from proxymux.tap.usage_text import OptionEntry
from proxymux.version import __version__

#: The pages: the words of the command line that each is about.
_ABOUT: Final[Mapping[str, tuple[str, ...]]] = {
    "proxymux": ("proxymux",),
    "proxymux-router": ("twistd", "proxymux"),
    "proxymux-gateway": ("twistd", "proxymux-gateway"),
    "proxymux-pool": ("twistd", "proxymux-pool"),
}
PAGES: Final = tuple(_ABOUT)
_SECTIONS: Final = {"proxymux": 1}
_TOOLS: Final = "tools for the TCP proxy"


def page(name: str) -> str:
    """One of :data:`PAGES`."""
    words = _ABOUT[name]
    lines = command_lines()
    [line] = [each for each in lines if each.words == words]
    section = _SECTIONS.get(name, 8)
    about = SERVICES[words[1]][1] if len(words) > 1 else _TOOLS
    parts = [
        f'.TH {name.upper()} {section} "" "proxymux {__version__}"',
        ".SH NAME",
        f"{_text(name)} \\- {_text(about)}",
        ".SH SYNOPSIS",
        _synopsis(line),
        ".SH DESCRIPTION",
        _text(line.text),
        *_groups(line.groups),
    ]
    for each in lines:
        if len(each.words) > 1 and each.words[0] == "proxymux" and words == ("proxymux",) and not each.commands:
            parts += _command(each)
    others = [f"{other}({_SECTIONS.get(other, 8)})" for other in PAGES if other != name]
    return "\n".join([*parts, ".SH SEE ALSO", ", ".join(map(_text, [*others, "twistd(1)"])), ""])


def _synopsis(line: CommandLine) -> str:
    rest = " COMMAND" if line.commands else "".join(f" {each}" for each in line.arguments)
    options = " [twistd options]" if line.words[0] == "twistd" else ""
    return f"\\fB{_text(line.words[0])}\\fR{options} {_text(' '.join(line.words[1:]))} [options]{_text(rest)}".replace(
        "  ", " "
    )


def _command(line: CommandLine) -> Iterator[str]:
    yield f'.SH "{_text(" ".join(line.words)).upper()}"'
    yield _synopsis(line)
    yield ".PP"
    yield _text(line.text)
    for name, text in line.arguments.items():
        yield from _item(_italic(name), text)
    yield from _items(line.entries)


def _groups(groups: Mapping[str, Sequence[OptionEntry]]) -> Iterator[str]:
    for title, group in groups.items():
        yield f'.SH "{_text(title.upper())}"'
        yield from _items(group)


def _items(entries: Iterable[OptionEntry]) -> Iterator[str]:
    for entry in entries:
        names = ", ".join(f"\\fB{_text(each)}\\fR" for each in (entry.short, entry.name) if each)
        yield from _item(f"{names} {_italic(entry.metavar)}" if entry.metavar else names, entry.text)


def _item(head: str, text: str) -> list[str]:
    return [".TP", head, _text(text) or "\\&"]


def _italic(text: str) -> str:
    return f"\\fI{_text(text)}\\fR"


def _text(text: str) -> str:
    """Text without what ``man`` would take for its own."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    escaped = re.sub(r"[^\0-\x7f]", lambda found: f"\\[u{ord(found[0]):04X}]", escaped)
    return re.sub(r"^(?=[.'])", r"\\&", escaped)
