"""What the user looks at, and what each key changes there.  Nothing here draws or asks anybody."""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any, Final
from urllib.parse import quote

from proxymux.cli.top.samples import Shown
from proxymux.cli.top.tables import SESSIONS, TABLES, TARGETS, Item, Table, arranged

#: What the keys do.
HELP: Final = (
    "1 2 3 4 5, Tab   services, sessions, pools, targets, workers",
    "Up Down j k      select a line; also Page Up, Page Down, Home, End",
    "s  S             sort by the next column; the other way round",
    "/                show only lines with these words; Esc takes that back",
    "Enter            explain the session",
    "c                close the session",
    "h                hold the target, or release it: of the line, or of the session",
    "R                reload: routers, keys, deny files and certificates",
    "O                roll over: replace the workers by new processes",
    "q                quit",
    "",
    "What changes something is asked about first, and needs the token: --token-file FILE",
    "or the variable PROXYMUX_ADMIN_TOKEN. Rates are those between two looks.",
)
#: The most characters of the words that lines are filtered by.
_MOST_WORDS: Final = 40


@dataclass(frozen=True, slots=True)
class Action:
    """Something to be done by the instance.

    :param path: that is posted.
    :param words: what it is, in the imperative.
    """

    path: str
    words: str


@dataclass(frozen=True, slots=True)
class Explain:
    """Something to be shown: a session, explained."""

    number: int


@dataclass(frozen=True, slots=True)
class Quit:
    """The end."""


@dataclass(slots=True)
class Listing:
    """How one table is looked at."""

    table: Table
    column: int = 0
    is_reversed: bool = False
    #: The selected line, and the item that was there.
    line: int = 0
    key: Any = None
    #: The first line that is seen.
    top: int = 0

    def __post_init__(self) -> None:
        self.column = self.table.sorted_by

    def place(self, items: list[Item], height: int) -> None:
        """Have the selected item stay selected wherever it is now, and be seen."""
        keys = [self.table.key(item) for item in items]
        self.line = keys.index(self.key) if self.key in keys else max(0, min(self.line, len(items) - 1))
        self.key = keys[self.line] if keys else None
        self.top = max(0, min(self.top, self.line, len(items) - height), self.line - height + 1)

    def select(self, items: list[Item], line: int) -> None:
        """Select another line, the nearest that there is."""
        self.line = max(0, min(line, len(items) - 1))
        self.key = self.table.key(items[self.line]) if items else None


@dataclass(slots=True)
class Page:
    """Text that is shown in the place of the tables."""

    title: str
    lines: tuple[str, ...]
    top: int = 0

    def wrapped(self, width: int) -> list[str]:
        """The lines of a terminal that is so wide."""
        return [part for line in self.lines for part in wrap(line, max(1, width)) or [""]]


@dataclass(slots=True)
class View:
    """What is looked at now."""

    listings: list[Listing] = field(default_factory=lambda: [Listing(table) for table in TABLES])
    index: int = 0
    #: What lines are filtered by, and whether that is being typed.
    words: str = ""
    is_typing: bool = False
    #: What is asked about.
    question: Action | None = None
    page: Page | None = None
    #: What came of the last action.
    message: str = ""
    #: Columns of the terminal, and lines of a table, or of a page, that are seen.
    width: int = 80
    height: int = 1

    @property
    def listing(self) -> Listing:
        """That of the table which is shown."""
        return self.listings[self.index]

    def items(self, shown: Shown) -> list[Item]:
        """The lines of the table that is shown, with the selection in its place."""
        listing = self.listing
        items = arranged(listing.table, shown, listing.column, listing.is_reversed, self.words)
        listing.place(items, self.height)
        return items

    def press(self, key: str, shown: Shown) -> Action | Explain | Quit | None:
        """Do what a key means.

        :returns: what is to be done elsewhere; None if nothing is.
        """
        self.message = ""
        if self.question is not None:
            action, self.question = self.question, None
            if key in ("y", "Y"):
                return action
            self.message = "not done"
        elif self.is_typing:
            self._type(key)
        elif self.page is not None:
            self._turn(self.page, key)
        else:
            return self._command(key, shown)
        return None

    def _type(self, key: str) -> None:
        if key in ("enter", "escape"):
            self.is_typing = False
            self.words = "" if key == "escape" else self.words
        elif key == "backspace":
            self.words = self.words[:-1]
        elif len(key) == 1:
            self.words = (self.words + key)[:_MOST_WORDS]

    def _turn(self, page: Page, key: str) -> None:
        count = len(page.wrapped(self.width))
        moved = self._moved(key, page.top, count)
        if moved is None:
            self.page = None
        else:
            page.top = max(0, min(moved, count - self.height))

    def _moved(self, key: str, line: int, count: int) -> int | None:
        """Where a key leads from a line; None if it is none that leads anywhere."""
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -self.height, "page down": self.height}
        steps |= {"home": -count, "end": count}
        return line + steps[key] if key in steps else None

    def _command(self, key: str, shown: Shown) -> Action | Explain | Quit | None:
        items, listing = self.items(shown), self.listing
        line = self._moved(key, listing.line, len(items))
        item = items[listing.line] if items else None
        if line is not None:
            listing.select(items, line)
        elif key == "q":
            return Quit()
        elif key == "enter":
            return self._explain(item)
        elif key in ("c", "h", "R", "O"):
            self.question = {"c": self._close, "h": self._hold}.get(key, lambda *_: _OF_ALL[key])(item, shown)
        else:
            self._look(key)
        return None

    def _look(self, key: str) -> None:
        """Change what is looked at."""
        listing = self.listing
        if key in ("tab", "back tab"):
            self.index = (self.index + (1 if key == "tab" else -1)) % len(self.listings)
        elif key.isdecimal() and key.isascii() and 1 <= int(key) <= len(self.listings):
            self.index = int(key) - 1
        elif key == "s":
            listing.column = (listing.column + 1) % len(listing.table.columns)
        elif key == "S":
            listing.is_reversed = not listing.is_reversed
        elif key == "/":
            self.is_typing = True
        elif key == "escape":
            self.words = ""
        elif key == "?":
            self.page = Page("Keys", HELP)

    # What may be asked for

    def _explain(self, item: Item | None) -> Explain | None:
        if self.listing.table is SESSIONS and item is not None:
            return Explain(item["id"])
        self.message = "only sessions are explained: 2 shows them"
        return None

    def _close(self, item: Item | None, _: Shown) -> Action | None:
        if self.listing.table is SESSIONS and item is not None:
            return Action(f"/sessions/{item['id']}/close", f"close session {item['id']} of {item['client']}")
        self.message = "only sessions are closed: 2 shows them"
        return None

    def _hold(self, item: Item | None, shown: Shown) -> Action | None:
        target = item.get("target") if item is not None and self.listing.table in (SESSIONS, TARGETS) else None
        if target is None:
            self.message = "no target is selected: 4 shows them"
            return None
        held = {hold["target"] for service in shown["services"] for hold in service.get("holds", ())}
        verb = "release" if target in held else "hold"
        return Action(f"/clusters/-/{quote(target, safe=':[]/')}/{verb}", f"{verb} {target}")


#: Actions that concern everything.
_OF_ALL: Final = {
    "R": Action("/reload", "reload everything"),
    "O": Action("/rollover", "replace all workers"),
}
