"""The tables of options, made from the settings when the docs are built.

In a page, ``.. options:: proxymux.gateway.settings.GatewaySettings`` stands for the table of that class of settings.
The table has the options that the class adds to the shared ones or gives another default; for
``proxymux.settings.Settings`` it has all.
"""

from __future__ import annotations

import importlib
import re

from proxymux.fields import Setting
from proxymux.settings import Settings

_DIRECTIVE = re.compile(r"^\.\. options:: (\S+)\.(\w+)$", re.MULTILINE)
_HEAD = """\
.. list-table::
   :header-rows: 1
   :widths: 30 20 50
"""


def expand(page: str) -> str:
    """Return the source of a page with a table in place of each ``.. options::`` line."""
    return _DIRECTIVE.sub(lambda found: table(getattr(importlib.import_module(found[1]), found[2])), page)


def table(kind: type[Settings]) -> str:
    """Return the table of a class of settings, as reStructuredText."""
    rows = [("Option", "Default", "Meaning")]
    for each in kind.fields():
        if each.is_option and (kind is Settings or _is_own(each)):
            rows.append((_option(each.option, each), _plain(each.default_text), _plain(each.meaning)))
            if each.old_name is not None:
                rows.append((_option(f"--{each.old_name}", each), "", f"old name of ``{each.option}``"))
    return "\n".join([_HEAD, *(_row(*row) for row in rows), ""])


def _is_own(setting: Setting[object, object]) -> bool:
    shared = {each.name: each for each in Settings.fields()}.get(setting.name)
    return shared is None or shared.help_line != setting.help_line


def _option(option: str, setting: Setting[object, object]) -> str:
    has_short = setting.short is not None and setting.old_name in (None, option.removeprefix("--"))
    short = f"``-{setting.short}``, " if has_short else ""
    return f"{short}``{f'{option} {setting.metavar}'.strip()}``"


def _row(*cells: str) -> str:
    return "\n".join(f"   {'* ' if not number else '  '}- {cell}".rstrip() for number, cell in enumerate(cells))


def _plain(text: str) -> str:
    """Return ``text`` with reStructuredText's special characters escaped, and with options as literals."""
    return re.sub(r"--[a-z][a-z-]+", r"``\g<0>``", re.sub(r"[\\*|`]", r"\\\g<0>", text))
