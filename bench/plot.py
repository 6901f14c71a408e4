"""The figure: bars of the ratios, curves of the costs over the number of connections, and what single requests took."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import matplotlib
from matplotlib.figure import Figure

from bench.plot_axes import BOUND, COMPILED, PURE, REFERENCE, bars, curves, distribution

#: The same figures give the same file. (The type of the keys differs between versions of matplotlib.)
STYLE: Final[Any] = {"svg.hashsalt": "bench", "font.size": 9}
COLUMNS: Final = 4

#: What bars are drawn of: measure, figure, title, and what the ratio is to if it is not always the same.
BARS: Final = (
    ("connect", "cpu", "CPU per new connection", None),
    ("connect-2", "cpu", "CPU per new connection, two workers", None),
    ("connect-2", "rate", "new connections a second, two workers", None),
    ("bulk", "rate 1", "bulk rate, 1 stream", "haproxy"),
    ("bulk", "rate 8", "bulk rate, 8 streams", "haproxy"),
    ("memory", "anon", "memory per idle connection", None),
    ("start", "wall", "time to start", None),
    ("fairness", "busy p99 beside", "p99 beside bulk, busy", None),
    ("fairness", "paced p99 beside", "p99 beside bulk, paced", None),
    ("gateway", "handshakes", "gateway: connections per CPU second", None),
    ("gateway", "rate --workers 2", "gateway: connections a second, two workers", None),
    ("redis", "fifo get", "FIFO, GET per CPU second", None),
    ("redis", "fifo get -P 16", "FIFO, GET with -P 16", None),
    ("redis", "funnel get", "Funnel, GET", None),
    ("redis", "async get", "Funnel async, GET", None),
    ("http", "curl", "HTTP requests per CPU second, short heads", None),
    ("http", "browser", "HTTP requests per CPU second, a browser's heads", None),
    ("tls", "full", "TLS: CPU per connection, full handshake", None),
    ("tls", "resumed", "TLS: CPU per connection, resumed session", None),
    ("tls", "rtt", "TLS: CPU per 100 bytes there and back", None),
    ("tls", "up", "TLS: CPU per MiB from the client", None),
    ("tls", "down", "TLS: CPU per MiB to the client", None),
    ("tls", "idle", "TLS: memory per idle connection", None),
)
#: Other files that are drawn if they are beside the first.
MORE: Final = ("gateway.json", "pool.json", "tls.json")

Rows = list[dict[str, Any]]


def draw(file: Path) -> Path:
    """Draw what a run wrote, beside its file, with what other benchmarks wrote there.

    :param file: the JSON.
    :returns: the SVG.
    """
    runs = [json.loads(each.read_text()) for each in (file, *map(file.with_name, MORE)) if each.exists()]
    # Older versions wrote other files.
    runs = [run for run in runs if "distributions" in run]
    drawing = file.with_suffix(".svg")
    with matplotlib.rc_context(STYLE):
        # White and opaque, for pages in dark mode too. The date is in the text and would make every file differ.
        _figure(runs).savefig(drawing, facecolor="white", metadata={"Date": None})
    return drawing


def _figure(runs: list[dict[str, Any]]) -> Figure:
    rows: Rows = [row for run in runs for row in run["rows"]]
    taken = [(at, by_peer) for run in runs for at, by_peer in by_load(run["distributions"]).items()]
    costs = [row for row in rows if row["measure"] == "request" and row["metric"].startswith("cpu ")]
    found = list(_bars(rows))
    panels = bool(costs) + len(taken) + len(found)
    lines = max(1, -(-panels // COLUMNS))
    figure = Figure(figsize=(4.3 * COLUMNS, 2.6 * lines + 0.5), facecolor="white")
    axes = iter(list(figure.subplots(lines, COLUMNS, squeeze=False).flat))
    if costs:
        curves(next(axes), costs)
    for at, by_peer in taken:
        distribution(next(axes), at, by_peer)
    for title, ratios in found:
        bars(next(axes), ratios, title)
    for axis in axes:
        axis.set_axis_off()
    figure.suptitle("proxymux beside other programs", x=0.01, ha="left", fontsize=12, fontweight="bold")
    _legend(figure)
    small_print = "\n".join(map(_small_print, runs))
    figure.text(0.01, 0.005, small_print, color="#555555", fontsize=8, linespacing=1.5)
    inches = figure.get_figheight()
    figure.tight_layout(rect=(0, (0.15 + 0.17 * len(runs)) / inches, 1, 1 - 0.1 / inches))
    return figure


def by_load(distributions: dict[str, dict[str, dict[str, int]]]) -> dict[str, dict[str, dict[int, int]]]:
    """Turn what single requests took, by peer and load, into the same by load and peer."""
    found: dict[str, dict[str, dict[int, int]]] = {}
    for peer, taken in distributions.items():
        for at, buckets in taken.items():
            found.setdefault(at, {})[peer] = {int(number): count for number, count in buckets.items()}
    return found


def _bars(rows: Rows) -> Iterator[tuple[str, Rows]]:
    for measure, metric, title, reference in BARS:
        same = [
            row for row in rows if (row["measure"], row["metric"]) == (measure, metric) and row["ratio"] is not None
        ]
        if chosen := [row for row in same if reference in (None, row["reference"])]:
            yield title, chosen


def _legend(figure: Figure) -> None:
    words = (("compiled", COMPILED), ("pure Python", PURE), ("compared with", REFERENCE), ("bound", BOUND))
    place = 0.3
    for word, colour in words:
        figure.text(place, 1 - 0.14 / figure.get_figheight(), f"■ {word}", color=colour, fontsize=9, va="top")
        place += 0.07


def _small_print(content: dict[str, Any]) -> str:
    options, machine = content["options"], content["machine"]
    rounds = max((row["rounds"] for row in content["rows"]), default=0)
    how = "one short round" if options.get("short") else f"medians of up to {rounds} interleaved rounds"
    what = ", ".join(dict.fromkeys(row["measure"] for row in content["rows"]))
    return f"{what}: ratios, {how}. {machine['words']}; {machine['date'][:10]}."
