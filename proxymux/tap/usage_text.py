"""What can be typed behind a service's name, in groups; and ``--help``, which is made of it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from proxymux.fields import Setting
from proxymux.setting_groups import grouped
from proxymux.settings import Settings

#: What stands for a file or a folder.
PATHS: Final = frozenset({"FILE", "DIR", "MODULE", "ROUTER"})
_INDENT: Final = "  "
#: Stands for one of many words, which the help has, too.
_WORD: Final = "WORD"
_LONGEST_METAVAR: Final = 20
#: The group of the options that are no settings.
_TRYING: Final = "Trying it"


@dataclass(frozen=True, slots=True)
class OptionEntry:
    """One option, as it is shown to somebody.

    :param name: with its dashes.
    :param short: of one letter, with its dash; empty if there is none.
    :param metavar: stands for the value; empty for a flag.
    :param text: what it means, with its default.
    :param words: the values, where there are a few.
    """

    name: str
    short: str
    metavar: str
    text: str
    words: Sequence[str] = ()

    @property
    def is_path(self) -> bool:
        """The value is the name of a file or a folder."""
        return self.metavar in PATHS

    @property
    def usage(self) -> str:
        """The option with what stands for its value."""
        return f"{self.short + ', ' if self.short else ''}{self.name} {self.metavar}".strip()


def entries(kind: type[Settings], own: str, flags: Iterable[Sequence[str | None]]) -> dict[str, list[OptionEntry]]:
    """The options of a service, by group.

    :param kind: its settings.
    :param own: the title of the group that it has alone.
    :param flags: the options without a value that are no settings: name, letter, text.
    """
    settings = {
        title: [entry for each in found for entry in _of_setting(each)] for title, found in grouped(kind, own).items()
    }
    trying = [OptionEntry(f"--{name}", f"-{short}" if short else "", "", str(text)) for name, short, text in flags]
    return {**settings, _TRYING: trying}


def _of_setting(setting: Setting[Any, Any]) -> list[OptionEntry]:
    short, old = f"-{setting.short}" if setting.short else "", setting.old_name
    metavar = setting.metavar if setting.takes_value else ""
    metavar = metavar if len(metavar) <= _LONGEST_METAVAR else _WORD
    entry = OptionEntry(setting.option, "" if old else short, metavar, setting.help_line, setting.words)
    if old is None:
        return [entry]
    return [entry, OptionEntry(f"--{old}", short, metavar, f"old name of {setting.option}")]


def usage_text(groups: Mapping[str, Sequence[OptionEntry]], description: str, width: int) -> str:
    """The text of ``--help``: a description, and a table for each group.

    :param width: columns of the terminal.
    """
    parts = [textwrap.fill(description, width)]
    longest = max(len(each.usage) for group in groups.values() for each in group)
    column = min(longest, width // 3) + 2 * len(_INDENT)
    for title, group in groups.items():
        parts.append("\n".join([f"{title}:", *(line for each in group for line in _lines(each, column, width))]))
    return "\n\n".join(parts) + "\n"


def _lines(entry: OptionEntry, column: int, width: int) -> list[str]:
    head, indent = f"{_INDENT}{entry.usage}{_INDENT}", " " * column
    text = textwrap.wrap(entry.text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    if len(head) > column:
        return [head.rstrip(), *text]
    return [head.ljust(column) + text[0][column:], *text[1:]]
