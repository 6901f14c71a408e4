"""What can be typed: the command lines of the console script and of the services, with their options."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from proxymux.cli import make_parser
from proxymux.tap.gateway import Options as GatewayOptions
from proxymux.tap.options import SettingsOptions
from proxymux.tap.pool import Options as PoolOptions
from proxymux.tap.router import Options as RouterOptions
from proxymux.tap.usage_text import PATHS, OptionEntry

#: The services, by their names behind ``twistd``, with what each is in a few words.
SERVICES: Final[Mapping[str, tuple[type[SettingsOptions[Any]], str]]] = {
    "proxymux": (RouterOptions, "route TCP connections by their first bytes"),
    "proxymux-gateway": (GatewayOptions, "connect clients that show a token to hidden servers"),
    "proxymux-pool": (PoolOptions, "have many clients share few connections"),
}


@dataclass(frozen=True, slots=True)
class CommandLine:
    """One program, command or service.

    :param words: what it is called by, such as ``proxymux token seal``.
    :param text: what it does.
    :param groups: its options, by the titles of their groups.
    :param commands: what may stand behind it, each with its help.
    :param arguments: what else stands behind it, each with its help.
    :param choices: what such an argument may be, where there are a few.
    """

    words: tuple[str, ...]
    text: str
    groups: Mapping[str, Sequence[OptionEntry]]
    commands: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    choices: Sequence[str] = ()

    @property
    def entries(self) -> list[OptionEntry]:
        """All options."""
        return [each for group in self.groups.values() for each in group]

    @property
    def takes_paths(self) -> bool:
        """What stands behind it is the name of a file."""
        return any(each.upper() in PATHS for each in self.arguments)


def command_lines() -> list[CommandLine]:
    """All command lines; one that others begin with comes before them."""
    tools = _of_parser(("proxymux",), make_parser())
    about = {name: text for name, (_, text) in SERVICES.items()}
    twistd = CommandLine(("twistd",), "run a service", {}, about)
    services = [
        CommandLine(("twistd", name), options.longdesc, options.groups) for name, (options, _) in SERVICES.items()
    ]
    return [*tools, twistd, *services]


def _of_parser(words: tuple[str, ...], parser: argparse.ArgumentParser) -> Iterator[CommandLine]:
    options, arguments, commands = [], {}, {}
    choices: list[str] = []
    below: Mapping[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            below = action.choices
            commands = {each.dest: each.help or "" for each in action._choices_actions}
        elif action.option_strings:
            options.append(_entry(action))
        else:
            arguments[str(action.metavar or action.dest)] = action.help or ""
            choices += action.choices or ()
    yield CommandLine(words, parser.description or "", {"Options": options}, commands, arguments, choices)
    for name, each in below.items():
        yield from _of_parser((*words, name), each)


def _entry(action: argparse.Action) -> OptionEntry:
    *short, name = sorted(action.option_strings, key=len)
    words = tuple(map(str, action.choices or ()))
    metavar = "" if action.nargs == 0 else str(action.metavar or "|".join(words))
    return OptionEntry(name, short[0] if short else "", metavar, action.help or "", words)
