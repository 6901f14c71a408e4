from __future__ import annotations

import pytest

from proxymux.cli.top.samples import Shown
from proxymux.cli.top.tables import TABLES
from proxymux.cli.top.view import HELP, Action, Explain, Page, Quit, View
from tests.cli.top.instances import service, session, shown

SHOWN = shown()


def press(view: View, *keys: str, on: Shown = SHOWN) -> object:
    """What the last key is to have done."""
    wanted: object = None
    for key in keys:
        wanted = view.press(key, on)
    return wanted


def selected(view: View, on: Shown = SHOWN) -> object:
    items = view.items(on)
    return items[view.listing.line]["id"] if items else None


def test_tables_are_changed_by_number_and_in_turn() -> None:
    view = View()
    press(view, "2")
    assert view.listing.table.title == "Sessions"
    press(view, "tab", "tab", "tab", "tab")
    assert view.listing.table is TABLES[0]
    press(view, "back tab", "9", "0", "²")
    assert view.listing.table is TABLES[-1]


def test_the_selection_moves_and_stays_with_its_item() -> None:
    view = View(height=2)
    press(view, "2", "down", "j")
    assert (selected(view), view.listing.top) == (3, 1)
    press(view, "down", "k")
    assert selected(view) == 2
    assert selected(view, shown(sessions=[session(0), session(1), session(2)])) == 2
    assert selected(view, shown(sessions=[session(7), session(8), session(9)])) == 9
    press(view, "home")
    assert selected(view) == 1
    press(view, "page down")
    assert selected(view) == 3
    press(view, "page up", "page up", "end")
    assert selected(view) == 3
    assert selected(view, shown(sessions=[])) is None
    assert press(view, "up", "down", "end", "c", "h", "enter", on=shown(sessions=[])) is None


def test_lines_are_sorted_and_filtered() -> None:
    view = View()
    press(view, "2", "S")
    assert [each["id"] for each in view.items(SHOWN)] == [3, 2, 1]
    press(view, "s")
    assert view.listing.column == 1
    press(view, "/", "2", ".", "3", "x", "backspace")
    assert [each["id"] for each in view.items(SHOWN)] == [3]
    press(view, "enter")
    assert (view.words, view.is_typing) == ("2.3", False)
    press(view, "/", "q", "escape")
    assert (view.words, view.is_typing) == ("", False)
    press(view, "/", *"x" * 100)
    assert len(view.words) == 40


def test_nothing_is_done_unless_the_question_is_answered_by_y() -> None:
    view = View()
    close = Action("/sessions/1/close", "close session 1 of 192.0.2.1:50000")
    assert press(view, "2", "c") is None
    assert view.question == close
    for key in ("n", "enter", "escape", "q", "c"):
        assert press(view, key) is None
        assert view.question is None
        assert view.message == "not done"
        press(view, "c")
    assert press(view, "y") == close
    assert view.question is None


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        (["2", "c"], "/sessions/1/close"),
        (["2", "h"], "/clusters/-/a.example:1/hold"),
        (["4", "h"], "/clusters/-/a.example:1/hold"),
        (["4", "down", "h"], "/clusters/-/unix:/run/a%20b%25/release"),
        (["R"], "/reload"),
        (["O"], "/rollover"),
    ],
)
def test_actions(keys: list[str], path: str) -> None:
    held = shown(service(holds=[{"target": "unix:/run/a b%", "seconds": 1.0, "waiting": 0}]))
    wanted = press(View(), *keys, "y", on=held)
    assert isinstance(wanted, Action)
    assert wanted.path == path


def test_what_does_not_fit_the_table_says_what_does() -> None:
    view = View()
    for key in ("c", "h", "enter"):
        assert press(view, key) is None
        assert "shows them" in view.message
    assert press(view, "2", "enter") == Explain(1)
    assert press(view, "q") == Quit()


def test_a_page_scrolls_and_any_other_key_leaves_it() -> None:
    view = View(height=5)
    press(view, "?")
    assert view.page is not None
    assert view.page.lines == HELP
    press(view, "down", "up", "up")
    assert view.page.top == 0
    press(view, "end")
    assert view.page.top == len(view.page.wrapped(80)) - 5
    assert press(view, "q") is None
    assert view.page is None
    assert Page("x", ("a b c", "")).wrapped(3) == ["a b", "c", ""]
