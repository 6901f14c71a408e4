from __future__ import annotations

import pytest

from proxymux.cli.top.drawing import Ink, fit, picture, room
from proxymux.cli.top.tables import TABLES
from proxymux.cli.top.view import Action, Page, View
from tests.cli.top.instances import service, session, shown

SHOWN = shown(
    service(addresses=["[2001:db8::1]:5432"] * 9, connections=900),
    service("pool", pool={"cl_active": 1, "cl_waiting": 2, "maxwait": 3.5}),
    sessions=[session(10**9 + at, client="[2001:db8::1234:5678]:50000", target="雪" * 40) for at in range(99)],
)


def texts(view: View, size: tuple[int, int], problem: str = "") -> list[str]:
    view.width, view.height = size[0], room(size[1])
    lines = picture(view, SHOWN, "127.0.0.1:9090", problem, size)
    assert len(lines) == size[1]
    assert {line.cell_len for line in lines} == {size[0]}
    return [line.plain.rstrip() for line in lines]


@pytest.mark.parametrize("size", [(80, 24), (132, 50), (30, 8), (5, 3), (1, 1), (300, 10)])
def test_whatever_is_shown_is_exactly_as_large_as_the_terminal(size: tuple[int, int]) -> None:
    for index in range(len(TABLES)):
        texts(View(index=index), size)
        texts(View(index=index, words="2001"), size, "unreachable " * 30)
    texts(View(page=Page("A page", ("word " * 100, "雪" * 100))), size)
    texts(View(question=Action("/x", "do it " * 50)), size)


def test_a_terminal_of_80_columns_has_all_that_matters() -> None:
    lines = texts(View(index=1), (80, 24))
    assert lines[0].startswith("proxymux 1.0 at 127.0.0.1:9090  up 1m40s")
    assert lines[1].startswith("live 903  new -/s  in -B/s  out -B/s")
    assert lines[2] == " 1 Services  2 Sessions  3 Pools  4 Targets  5 Workers  the 99 oldest of 903"
    assert lines[3].replace("^", " ").split() == ["ID", "CLIENT", "TARGET", "STATE", "AGE", "IN/S", "OUT/S"]
    assert lines[4].startswith("1000000000 [2001:db8::1234:5… 雪雪")
    assert len([line for line in lines if line.startswith("10000000")]) == 18
    assert lines[-1] == "q quit  ? help  1-5 Tab view  s S sort  / filter  Enter explain  c close  h hold"


def test_a_wider_one_has_more_columns_and_a_narrower_one_fewer() -> None:
    titles = {width: [column.title for column, _ in fit(TABLES[1].columns, width)] for width in (20, 80, 120)}
    assert titles[20] == ["ID"]
    assert {"SERVICE", "WORKER", "IN"} <= set(titles[120]) - set(titles[80])


def test_questions_messages_and_problems_have_their_lines() -> None:
    assert texts(View(question=Action("/x", "do it")), (80, 24))[-2] == "do it? y does it, any other key does not"
    assert texts(View(message="done\x1b"), (80, 24))[-2] == "done\\x1b"
    assert texts(View(words="a\x1b", is_typing=True), (80, 24))[-2] == "/a\\x1b_"
    assert texts(View(), (80, 24), "refused")[0] == "refused"


def test_a_line_has_the_colours_of_the_terminal_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    line = picture(View(), SHOWN, "x", "refused", (20, 10))[0]
    assert "31" in Ink().write(line)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "31" not in Ink().write(line)
    assert "refused" in Ink().write(line)
    assert "\n" not in Ink().write(line)
