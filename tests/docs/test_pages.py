"""The pages of the docs as text: what two changes to one page, put together in haste, leave behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("docs/**/*.rst"), *ROOT.glob("*.rst"), ROOT / "bench/README.rst"])
BORDER = re.compile(r"=+( +=+)+")
CONFLICT = re.compile(r"(<{7}|>{7}|\|{7})( |$)")


def flaws(text: str) -> list[str]:
    """Tables without their first or last border, borders that differ, rules under no title, marks of conflicts."""
    found = []
    table: str | None = None  # the first border of the table that is open
    lines = ["", *text.splitlines(), ""]
    for number, line in enumerate(lines[1:-1], 1):
        before, after = lines[number - 1].strip(), lines[number + 1].strip()
        if BORDER.fullmatch(line):
            if table is None and before:
                found.append(f"{number}: a table without its first border")
            elif table not in (None, line):
                found.append(f"{number}: a border that is not as the table's first")
            table = (table or line) if after else None
        elif re.fullmatch(r"={4,}", line) and not before:
            found.append(f"{number}: a rule under no title")
        elif CONFLICT.match(line):
            found.append(f"{number}: the mark of a conflict")
    return found if table is None else [*found, "a table without its last border"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tables_are_whole_and_nothing_of_a_merge_is_left(page: Path) -> None:
    assert flaws(page.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "a   b\n=== ===\n1   2\n=== ===\n",
        "=== ===\na   b\n=== ====\n1   2\n=== ===\n",
        "=== ===\na   b\n=== ===\n1   2\n",
        "text\n\n=======\ntheirs\n",
        "<<<<<<< HEAD\n",
        ">>>>>>> main\n",
    ],
)
def test_such_flaws_are_found(text: str) -> None:
    assert flaws(text)
