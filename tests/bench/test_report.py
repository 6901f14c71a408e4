from __future__ import annotations

import json
from pathlib import Path

from bench.figures import Bound, Metric, Sample, conclude
from bench.report import Findings, table, write_json

METRICS = (
    Metric("rate", "Gbit/s", "haproxy", bound=Bound(1.4), more=True),
    Metric("rate", "Gbit/s", "haproxy-splice", bound=Bound(1.0), more=True),
)
SAMPLES = [
    Sample(1, "bulk", "haproxy", {"rate": 10.0}),
    Sample(1, "bulk", "haproxy-splice", {"rate": 16.0}),
    Sample(1, "bulk", "proxymux-compiled", {"rate": 15.0}),
]


def test_each_reference_has_rows_of_its_own_and_each_of_ours_its_build() -> None:
    lines = table(list(conclude("bulk", METRICS, SAMPLES))).splitlines()
    ours = [line.split() for line in lines if "proxymux" in line]
    assert [each[3] for each in ours] == ["compiled", "compiled"]
    assert [(each[6], *each[-4:]) for each in ours] == [
        ("1.500", "haproxy", "≥", "1.40", "yes"),
        ("0.938", "haproxy-splice", "≥", "1.00", "NO"),
    ]
    assert lines.count("") == 1


def test_what_is_written_is_read_as_it_was(tmp_path: Path) -> None:
    rows = list(conclude("bulk", METRICS, SAMPLES))
    found = Findings(rows, SAMPLES, distributions={"haproxy": {"50 %": {90: 3, 91: 4}}})
    write_json(tmp_path / "new" / "latest.json", {"words": "2 cores [some]"}, {"rounds": 1}, found)
    content = json.loads((tmp_path / "new" / "latest.json").read_text())
    assert content["machine"] == {"words": "2 cores [some]"}
    assert [row["ratios"] for row in content["rows"]] == [row.ratios for row in rows]
    assert content["samples"][0] == {"round": 1, "measure": "bulk", "peer": "haproxy", "values": {"rate": 10.0}}
    assert content["distributions"] == {"haproxy": {"50 %": {"90": 3, "91": 4}}}
