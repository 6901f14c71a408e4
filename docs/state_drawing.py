"""Draws a state machine as a picture (SVG) and as a table (reStructuredText), which a terminal can show, too.

In the picture the states stand on the diagonal of a grid.  The line of a transition leaves its state sideways as far as
the column of the next state, and turns down or up to that.  So the inputs of each transition have a cell of their own.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from itertools import accumulate
from xml.sax.saxutils import escape

from state_exploring import Transitions

# In pixels:
_LINE = 15  # the height of a line of text
_LETTER = 6.3  # the average width of a letter, at most
_GAP = 26  # the distance between the text of a cell and the line that passes it
_FONT = "font-family='Helvetica, Arial, sans-serif' font-size='12'"
_HEAD = (
    "<defs><marker id='head' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='8' markerHeight='8' orient='auto'>"
    "<path d='M0,0 L8,4 L0,8 z' fill='#36c'/></marker></defs>"
)


def picture(found: Transitions) -> str:
    """Return the picture of a machine as SVG."""
    states = found.states
    cells = {
        (row, column): [_name(each) for each in found.between(start, end)]
        for row, start in enumerate(states)
        for column, end in enumerate(states)
    }
    size = range(len(states))
    widths = [max(_width(states[at], [cells[row, at] for row in size], at, cells), 60) for at in size]
    heights = [_LINE * max(len(cells[at, column]) + (column == at) for column in size) + 2 * _GAP for at in size]
    left, top = list(accumulate(widths, initial=10)), list(accumulate(heights, initial=30))
    parts = [_HEAD]
    for row in size:
        for column in size:
            if row != column and cells[row, column]:
                parts += _transition(cells[row, column], row, column, left, top)
    for at in size:
        parts += _state(states[at], cells[at, at], left[at], top[at], widths[at], heights[at] - _GAP)
        if states[at] in found.first:
            parts.append(_arrow([(left[at] + 20, top[at] - 26), (left[at] + 20, top[at])]))
    wide, high = left[-1] + 10, top[-1]
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {wide:.0f} {high:.0f}' width='{wide:.0f}'"
        f" height='{high:.0f}' {_FONT}>\n<rect width='100%' height='100%' fill='white'/>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _width(state: enum.Enum, column: Iterable[list[str]], at: int, cells: dict[tuple[int, int], list[str]]) -> float:
    texts = [_name(state), *(text for cell in column for text in cell), *(f"{text}  " for text in cells[at, at])]
    return _LETTER * max(map(len, texts)) + 2 * _GAP


def _transition(texts: list[str], row: int, column: int, left: list[float], top: list[float]) -> list[str]:
    """Draw the line from the state of a row to that of a column, with the inputs that lead along it."""
    bottom = top[row + 1] - _GAP
    if column > row:  # out at the right, above the text, and down
        x, y = left[column + 1] - _GAP, top[row] + 12
        line = _arrow([(left[row + 1] - _GAP / 2, y), (x, y), (x, top[column])])
        return [line, *_text(texts, x - 6, y + _LINE, "end")]
    x, y = left[column] + 12, bottom - 8  # out at the left, below the text, and up
    line = _arrow([(left[row], y), (x, y), (x, top[column + 1] - _GAP)])
    return [line, *_text(texts, x + 6, y - 6 - _LINE * (len(texts) - 1), "start")]


def _state(state: enum.Enum, stays: list[str], x: float, y: float, width: float, height: float) -> list[str]:
    """Draw a box with the state's name and the inputs that do not leave the state."""
    box = f"<rect x='{x:.0f}' y='{y:.0f}' width='{width - _GAP / 2:.0f}' height='{height:.0f}' rx='6'"
    name = f"<text x='{x + 10:.0f}' y='{y + 18:.0f}' font-weight='bold'>{escape(_name(state))}</text>"
    return [
        f"{box} fill='#eef2fb' stroke='#36c'/>",
        name,
        *_text([f"↻ {each}" for each in stays], x + 10, y + 18 + _LINE, "start"),
    ]


def _text(lines: list[str], x: float, y: float, anchor: str) -> list[str]:
    return [
        f"<text x='{x:.0f}' y='{y + _LINE * number:.0f}' text-anchor='{anchor}' fill='#333'>{escape(line)}</text>"
        for number, line in enumerate(lines)
    ]


def _arrow(points: list[tuple[float, float]]) -> str:
    path = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
    turn = "".join(f"<circle cx='{x:.0f}' cy='{y:.0f}' r='2.5' fill='#36c'/>" for x, y in points[1:-1])
    return f"<polyline points='{path}' fill='none' stroke='#36c' marker-end='url(#head)'/>{turn}"


def table(found: Transitions) -> str:
    """Return the table of a machine: a row for each input, a column for each state in which an input has an effect."""
    columns = [state for state in found.states if any(key[0] is state for key in found.next)]
    rows = [["", *map(_name, columns)]]
    for what in found.inputs:
        rows.append([_name(what), *(_cell(found, state, what) for state in columns)])
    widths = [max(len(line) for row in rows for line in row[at].split("\n")) for at in range(len(rows[0]))]
    ruler = "+".join("-" * (width + 2) for width in widths)
    lines = [f"+{ruler}+"]
    for number, row in enumerate(rows):
        split = [cell.split("\n") for cell in row]
        for at in range(max(map(len, split))):
            texts = [
                (cell[at] if at < len(cell) else "").ljust(width) for cell, width in zip(split, widths, strict=True)
            ]
            lines.append(f"| {' | '.join(texts)} |")
        lines.append(f"+{ruler.replace('-', '=') if not number else ruler}+")
    return "\n".join(lines) + "\n"


def _cell(found: Transitions, state: enum.Enum, what: enum.Enum) -> str:
    ends = found.next.get((state, what))
    if ends is None:
        return ""
    return ",\n".join("stays" if end is state else _name(end) for end in found.states if end in ends)


def _name(member: enum.Enum) -> str:
    return str(member.value)
