from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from bench.figures import Bound, Metric, Sample, conclude
from bench.summary import lines, table

METRICS = (
    Metric("cpu", "µs", "haproxy", bound=Bound(1.0, pure=1.05)),
    Metric("rate", "1/s", "haproxy", bound=Bound(0.8), more=True),
    Metric("p99", "µs", "haproxy"),
)


def contents(*peers: str) -> list[dict[str, Any]]:
    values = {"haproxy": (10.0, 100.0), "proxymux": (10.4, 70.0), "proxymux-compiled": (10.2, 80.0)}
    samples = [
        Sample(1, "request", peer, {"cpu": values[peer][0], "rate": values[peer][1], "p99": 1.0}) for peer in peers
    ]
    return [{"rows": [asdict(row) for row in conclude("request", METRICS, samples)]}]


def test_there_is_a_line_for_each_figure_with_a_bound() -> None:
    assert lines(contents("haproxy", "proxymux", "proxymux-compiled")) == [
        ["request cpu", "haproxy", "10 µs", "**1.02**", "≤ 1.00", "1.04", "≤ 1.05"],
        ["request rate", "haproxy", "100 1/s", "0.80", "≥ 0.80", "0.70", ""],
    ]


def test_a_build_that_was_not_measured_has_no_figures() -> None:
    assert lines(contents("haproxy", "proxymux")) == [["request cpu", "haproxy", "10 µs", "", "", "1.04", "≤ 1.05"]]


def test_every_cell_begins_where_its_border_does() -> None:
    rows = lines(contents("haproxy", "proxymux", "proxymux-compiled"))
    border, _, second, *body, last = table(rows).splitlines()
    assert border == second == last
    starts = [match.start() for match in re.finditer("=+", border)]
    assert [[line[at:].split("  ")[0] for at in starts] for line in body] == rows
