"""``proxymux completion`` and ``proxymux man``: what shells and ``man`` are told, from what the programs accept."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from proxymux.cli.shell.inventory import command_lines
from proxymux.cli.shell.manual import PAGES, page

#: The shells that there is a script for; each is a module beside this one.
SHELLS: Final = ("bash", "fish", "zsh")

__all__ = ["PAGES", "SHELLS", "completion", "page"]


def completion(shell: str) -> str:
    """The script by which a shell completes the words of our command lines.

    :param shell: one of :data:`SHELLS`.
    """
    script: str = import_module(f"proxymux.cli.shell.{shell}").script(command_lines())
    return script
