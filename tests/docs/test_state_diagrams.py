"""docs/state_diagrams.py finds out what the state machines do, and draws it."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from proxymux.core.commands import Input, State
from proxymux.core.session import TRANSITIONS

DOCS = Path(__file__).parents[2] / "docs"
_HEIGHT = 12
_LETTER = 6


@pytest.fixture(scope="module")
def scripts() -> Iterator[Any]:
    """Imports the scripts that are beside the docs."""
    sys.path.insert(0, str(DOCS))
    yield importlib.import_module
    sys.path.remove(str(DOCS))


@pytest.fixture(scope="module")
def session(scripts: Any) -> Any:
    """What a session does."""
    machine = next(each for each in scripts("state_diagrams").MACHINES if each.name == "session")
    return scripts("state_exploring").explore(machine)


@pytest.fixture(scope="module")
def picture(scripts: Any, session: Any) -> ElementTree.Element:
    return ElementTree.fromstring(scripts("state_drawing").picture(session))


@pytest.mark.parametrize(
    ("state", "what", "ends"),
    [
        (State.OPENING, Input.OPENED, {State.READING, State.DECIDING}),
        (State.READING, Input.RECEIVED, {State.READING, State.DECIDING}),
        (
            State.DECIDING,
            Input.DECIDED,
            {State.READING, State.DECIDING, State.CONNECTING, State.SECURING, State.JOINED, State.CLOSING},
        ),
        (State.SECURING, Input.SECURED, {State.READING, State.CONNECTING, State.CLOSING}),
        (State.CONNECTING, Input.CONNECT_FAILED, {State.ANSWERING, State.CLOSING}),
        (State.JOINED, Input.RELAY_ENDED, {State.ANSWERING, State.CLOSING}),
        (State.CLOSING, Input.DEADLINE, {State.CLOSING}),
        (State.CLOSING, Input.CLIENT_LOST, {State.ENDED}),
    ],
)
def test_it_finds_where_an_input_may_lead(session: Any, state: State, what: Input, ends: set[State]) -> None:
    assert session.next[state, what] == ends


def test_it_finds_all_that_counts_and_nothing_else(session: Any) -> None:
    assert set(session.next) == {(state, what) for state, reactions in TRANSITIONS.items() for what in reactions}
    assert session.first == {State.OPENING}


def test_an_input_that_was_never_tried_is_an_error(scripts: Any) -> None:
    exploring, diagrams = scripts("state_exploring"), scripts("state_diagrams")
    whole = diagrams.MACHINES[0]
    less = exploring.Machine(
        whole.name, whole.module, whole.makes, lambda session: [(Input.OPENED, None), (Input.RECEIVED, b"x")]
    )
    with pytest.raises(LookupError, match=r"Input\.ACCEPTED in State\.OPENING was never tried"):
        exploring.explore(less)


def test_the_picture_has_every_state_and_every_transition(session: Any, picture: ElementTree.Element) -> None:
    texts = [each.text for each in picture.iterfind(".//{*}text")]
    assert {state.value for state in State} <= set(texts)
    led = sum(end is not start for (start, _), ends in session.next.items() for end in ends)
    stays = sum(start in ends for (start, _), ends in session.next.items())
    assert len(texts) == len(State) + led + stays


def test_no_two_labels_of_the_picture_overlap(picture: ElementTree.Element) -> None:
    boxes = []
    for each in picture.iterfind(".//{*}text"):
        x, y, width = float(each.attrib["x"]), float(each.attrib["y"]), _LETTER * len(each.text or "")
        left = x - width if each.attrib.get("text-anchor") == "end" else x
        boxes.append((left, y - _HEIGHT, left + width, y))
        assert left >= 0
        assert left + width <= float(picture.attrib["width"])
        assert y <= float(picture.attrib["height"])
    for number, (left, top, right, bottom) in enumerate(boxes):
        for other in boxes[number + 1 :]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top


def test_the_table_has_a_row_for_each_input(scripts: Any, session: Any) -> None:
    made = scripts("state_drawing").table(session)
    assert len({len(line) for line in made.splitlines()}) == 1
    for what in Input:
        assert re.search(rf"^\| {what.value} +\|", made, re.MULTILINE)
    row = next(line for line in made.splitlines() if line.startswith("| relay ended"))
    assert [cell.strip() for cell in row.split("|")[2:-1]] == ["", "", "", "", "", "answering,", "", ""]


@pytest.mark.slow
def test_both_are_made_as_files(scripts: Any, tmp_path: Path) -> None:
    scripts("state_diagrams").make(tmp_path)
    made = {"pipeline.rst", "pipeline.svg", "session.rst", "session.svg"}
    assert {path.name for path in tmp_path.iterdir()} == made
