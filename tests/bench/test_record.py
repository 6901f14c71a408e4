from __future__ import annotations

import csv
from typing import Any

import pytest

from bench import record

CELLS = [""] * len(record.COLUMNS)


def content(measure: str = "request", commit: str = "abcdef0123", changed: int = 0, **rows: float) -> dict[str, Any]:
    """Results in which each build has one ratio."""
    reference = {"request": "haproxy", "gateway": "go"}[measure]
    metric = {"request": "cpu 50", "gateway": "handshakes"}[measure]
    return {
        "machine": {"commit": commit, "changed_files": changed, "date": "2026-11-30T10:00:00+00:00", "others": 0.25},
        "rows": [
            {"build": build, "peer": f"proxymux {build}", "measure": measure, "metric": metric, "reference": reference,
             "ratio": ratio}
            for build, ratio in rows.items()
        ],
    }  # fmt: skip


def test_there_is_a_row_for_each_build_over_all_files() -> None:
    pure, compiled = record.rows([content(pure=1.04, compiled=0.99), content("gateway", compiled=1.1)])
    assert pure == ["abcdef0", "2026-11-30", "pure", "25%", "1.04", *CELLS[1:]]
    assert dict(zip(record.HEADINGS, compiled, strict=True)) | {"trip 50": "0.99", "gateway": "1.10"} == dict(
        zip(record.HEADINGS, compiled, strict=True)
    )


def test_a_tree_with_changes_is_told() -> None:
    ((commit, *_),) = record.rows([content(pure=1.0, changed=1)])
    assert commit == "abcdef0+"


def test_results_of_two_commits_make_no_row() -> None:
    with pytest.raises(ValueError, match="several commits: abcdef0, fedcba9"):
        record.rows([content(pure=1.0), content("gateway", "fedcba9876", pure=1.0)])


def test_the_builds_may_be_of_another_commit() -> None:
    assert [row[0] for row in record.rows([content(pure=1.0, changed=1)], "1234567")] == ["1234567"]


def test_an_earlier_build_beside_is_not_this_commit() -> None:
    found = content(pure=1.0)
    found["rows"][0]["peer"] = "proxymux-beside"
    assert record.rows([found]) == []


PAGE = f"""\
.. csv-table::
   :header: {", ".join(record.HEADINGS)}

   old, 2026-01-01, pure, 0%, {", ".join(CELLS)}

{record.END}
After it.
"""


def test_a_row_is_put_after_the_others_and_one_of_the_same_build_in_its_place() -> None:
    first, second = (["new", "2026-02-02", build, "0%", *CELLS] for build in ("pure", "compiled"))
    page = record.added(PAGE, [first, second])
    again = record.added(page, [["new", "2026-03-03", "pure", "0%", *CELLS]])
    lines = [line.split(", ")[:3] for line in again.splitlines() if line.startswith("   ")]
    assert lines[1:] == [
        ["   old", "2026-01-01", "pure"],
        ["   new", "2026-03-03", "pure"],
        ["   new", "2026-02-02", "compiled"],
    ]
    assert again.partition(record.END)[2] == "\nAfter it.\n"


def test_the_page_has_the_table() -> None:
    lines = record.PAGE.read_text().splitlines(keepends=True)
    (header,) = (line.strip() for line in lines if line.strip().startswith(":header:") and "commit" in line)
    assert tuple(next(csv.reader([header.removeprefix(":header: ")], skipinitialspace=True))) == record.HEADINGS
    assert lines.count(record.END) == 1
    for line in lines[lines.index(f"   {header}\n") + 2 : lines.index(record.END) - 1]:
        assert len(next(csv.reader([line.strip()], skipinitialspace=True))) == len(record.HEADINGS)
