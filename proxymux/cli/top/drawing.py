"""Draws the view as lines, each exactly as wide as the terminal."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from proxymux.cli.top.samples import Shown
from proxymux.cli.top.tables import TABLES, Column, Item
from proxymux.cli.top.units import duration, number, rate
from proxymux.cli.top.view import View
from proxymux.printable import printable

#: Lines around a table or a page: head, totals, tabs, the titles of the columns; message, keys.
_AROUND: Final = 6
#: Cells between two columns.
_GAP: Final = 1
_KEYS: Final = "q quit  ? help  1-5 Tab view  s S sort  / filter  Enter explain  c close  h hold"
_PAGE_KEYS: Final = "any other key goes back; Up Down Page Up Page Down Home End move"


def room(height: int) -> int:
    """How many lines of a table a terminal of ``height`` lines has room for."""
    return max(1, height - _AROUND)


def picture(view: View, shown: Shown, name: str, problem: str, size: tuple[int, int]) -> list[Text]:
    """The lines of the whole terminal.

    :param name: of the endpoint.
    :param problem: why what is shown is old; empty if it is not.
    :param size: columns and lines.
    """
    width, height = size
    lines = [_head(shown, name, problem), _totals(shown), _tabs(view, shown)]
    lines += _page(view) if view.page is not None else _table(view, shown, width)
    below = [_message(view), Text(_PAGE_KEYS if view.page is not None else _KEYS, "dim")]
    lines = [*lines, *[Text()] * height][: max(0, height - len(below))] + below
    lines = lines[-height:] if height < len(lines) else lines
    for line in lines:
        line.truncate(width, overflow="ellipsis", pad=True)
    return lines


def _head(shown: Shown, name: str, problem: str) -> Text:
    if problem:
        return Text(problem, "bold red")
    version, up = printable(str(shown.get("version"))), duration(shown.get("uptime_seconds"))
    return Text(f"proxymux {version} at {name}  up {up}  {time.strftime('%H:%M:%S')}", "bold")


def _totals(shown: Shown) -> Text:
    services = shown["services"]

    def total(key: str) -> float | None:
        known = [each["rates"][key] for each in services if each["rates"][key] is not None]
        return sum(known) if known else None

    held = sum(len(each.get("holds", ())) for each in services)
    draining = sum(bool(each.get("draining")) for each in services)
    parts = [
        f"live {number(sum(each['connections'] for each in services))}",
        f"new {rate(total('connections'))}/s",
        f"in {rate(total('bytes_in'))}B/s",
        f"out {rate(total('bytes_out'))}B/s",
        *([f"held {held}"] if held else []),
        *([f"draining {draining}"] if draining else []),
    ]
    return Text("  ".join(parts))


def _tabs(view: View, shown: Shown) -> Text:
    line = Text()
    for at, table in enumerate(TABLES):
        is_shown = at == view.index and view.page is None
        line.append(f" {at + 1} {table.title} ", "reverse" if is_shown else "dim")
    live = sum(each["connections"] for each in shown["services"])
    fetched = len(shown["sessions"])
    if fetched < live:
        line.append(f" the {fetched} oldest of {number(live)}", "dim")
    return line


def _message(view: View) -> Text:
    if view.question is not None:
        return Text(f"{printable(view.question.words)}? y does it, any other key does not", "bold yellow")
    if view.is_typing:
        return Text(f"/{printable(view.words)}_", "bold")
    if view.message:
        return Text(printable(view.message), "yellow")
    return Text(f"only lines with {printable(view.words)!r}; Esc shows all" if view.words else "", "dim")


def _page(view: View) -> list[Text]:
    assert view.page is not None
    page = view.page
    seen = page.wrapped(view.width)[page.top : page.top + view.height]
    return [Text(printable(page.title), "bold"), *(Text(printable(line)) for line in seen)]


def _table(view: View, shown: Shown, width: int) -> list[Text]:
    items, listing = view.items(shown), view.listing
    columns = fit(listing.table.columns, width)
    lines = [_titles(columns, listing.table.columns[listing.column], "v" if listing.is_reversed else "^")]
    for at, item in enumerate(items[listing.top : listing.top + view.height], listing.top):
        cells = [column.text(item) for column, _ in columns]
        lines.append(_line(columns, cells, "reverse" if at == listing.line else _style(item)))
    return lines if items else [*lines, Text("nothing", "dim")]


def _titles(columns: Sequence[tuple[Column, int]], sorted_by: Column, mark: str) -> Text:
    """The titles; that of the column by which the table is sorted has a mark behind it, in the gap if need be."""
    line = Text(style="bold underline")
    for column, width in columns:
        title = column.title.rjust(width) if column.is_number else column.title
        line.append((title + mark if column is sorted_by else title).ljust(width + _GAP))
    return line


def _style(item: Item) -> str:
    return "yellow" if item.get("held") is not None or item.get("draining") else ""


def _line(columns: Sequence[tuple[Column, int]], cells: Sequence[str], style: str) -> Text:
    line = Text(style=style)
    for (column, width), cell in zip(columns, cells, strict=True):
        text = Text(cell)
        text.truncate(width, overflow="ellipsis")
        text.align("right" if column.is_number else "left", width)
        line.append_text(text).append(" " * _GAP)
    return line


def fit(columns: Sequence[Column], width: int) -> list[tuple[Column, int]]:
    """The columns that a terminal of this width has room for, the first ones, each with its width."""
    seen = [column for column in columns if column.wide_from <= width]
    while len(seen) > 1 and sum(column.width + _GAP for column in seen) > width:
        seen.pop()
    spare = max(0, width - sum(column.width + _GAP for column in seen))
    flexible = [column for column in seen if column.is_flexible]
    shares = {column: spare // len(flexible) for column in flexible}
    return [(column, column.width + shares.get(column, 0)) for column in seen]


class Ink:
    """Writes lines in the colours that the terminal has, by TERM, COLORTERM and NO_COLOR."""

    def __init__(self) -> None:
        self._console = Console(file=io.StringIO(), force_terminal=True, highlight=False, _environ=dict(os.environ))

    def write(self, line: Text) -> str:
        """The characters for a line."""
        self._console.width = max(1, line.cell_len)
        with self._console.capture() as captured:
            self._console.print(line, end="", no_wrap=True, overflow="crop")
        return captured.get()
