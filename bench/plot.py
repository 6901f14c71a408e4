"""The figure: bars of the ratios, and the curve of the costs over the number of connections."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: The same figures give the same file. (The type of the keys differs between versions of matplotlib.)
STYLE: Final[Any] = {"svg.hashsalt": "bench", "font.size": 9}

PROXYMUX: Final = "#1f6fb4"
TRANSPORT: Final = "#8cbbe0"
OTHER: Final = "#b5b5b5"
REFERENCE: Final = "#7a7a7a"
TARGET: Final = "#c03a2b"

#: Behind a number that a line runs through.
LEGIBLE: Final = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}

#: Measure, figure and title of each panel of bars.
BARS: Final = (
    ("request", "cpu", "CPU per request"),
    ("connect", "cpu", "CPU per new connection"),
    ("bulk", "rate 1", "bulk rate, 1 stream"),
    ("bulk", "rate 8", "bulk rate, 8 streams"),
    ("memory", "anon", "memory per idle connection"),
    ("latency", "p99", "p99 at half load"),
    ("fairness", "busy p99 beside", "p99 beside bulk, busy"),
    ("fairness", "paced p99 beside", "p99 beside bulk, paced"),
)


def draw(file: Path) -> Path:
    """Draw what a run wrote, beside its file.

    :param file: the JSON.
    :returns: the SVG.
    """
    drawing = file.with_suffix(".svg")
    with matplotlib.rc_context(STYLE):
        # White and opaque, for pages in dark mode too. The date is in the text and would make every file differ.
        _figure(json.loads(file.read_text())).savefig(drawing, facecolor="white", metadata={"Date": None})
    return drawing


def _figure(content: dict[str, Any]) -> Figure:
    rows: list[dict[str, Any]] = content["rows"]
    figure = Figure(figsize=(13, 8), facecolor="white")
    axes = list(figure.subplots(3, 3).flat)
    used = 0
    for measure, metric, title in BARS:
        if ratios := _ratios(rows, measure, metric):
            _bars(axes[used], ratios, title)
            used += 1
    if curves := [row for row in rows if row["measure"] == "scale"]:
        _scale(axes[used], curves)
        used += 1
    for axis in axes[used:]:
        axis.set_axis_off()
    figure.suptitle("proxymux beside other proxies", x=0.01, ha="left", fontsize=12, fontweight="bold")
    figure.text(0.01, 0.012, _small_print(content), color="#555555", fontsize=8)
    figure.tight_layout(rect=(0, 0.025, 1, 0.98))
    return figure


def _small_print(content: dict[str, Any]) -> str:
    machine, options = content["machine"], content["options"]
    rounds = max((row["rounds"] for row in content["rows"]), default=0)
    how = (
        "one short round" if options["short"] else f"medians of {rounds} interleaved rounds of {options['seconds']:g} s"
    )
    where = f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}"
    return f"Ratios, {how}; red: target. {where}, {machine['date'][:10]}."


def _ratios(rows: list[dict[str, Any]], measure: str, metric: str) -> list[dict[str, Any]]:
    found = [row for row in rows if (row["measure"], row["metric"]) == (measure, metric)]
    return [row for row in found if row["ratio"] is not None]


def _colour(peer: str, reference: str) -> str:
    special = {"proxymux": PROXYMUX, "proxymux-transport": TRANSPORT, reference: REFERENCE}
    return special.get(peer, OTHER)


def _bars(axis: Axes, rows: list[dict[str, Any]], title: str) -> None:
    reference = rows[0]["reference"]
    ratios = [row["ratio"] for row in rows]
    places = range(len(rows))
    axis.barh(places, ratios, color=[_colour(row["peer"], reference) for row in rows], height=0.65)
    axis.set_yticks(places, [row["peer"] for row in rows])
    axis.invert_yaxis()
    target = next((row["target"] for row in rows if row["target"]), None)
    limit = float(target.split()[1]) if target else 1.0
    for place, ratio in zip(places, ratios, strict=True):
        axis.text(ratio + 0.015 * max(ratios), place, f"{ratio:.2f}", va="center", fontsize=8, bbox=LEGIBLE)
    if target:
        axis.axvline(limit, color=TARGET, linewidth=1.2)
    axis.set_xlim(0, max(*ratios, limit) * 1.18)
    axis.set_title(f"{title}\n" + (f"target {target}" if target else ""), fontsize=9, loc="left")
    axis.set_xlabel("alone = 1" if reference.startswith("own") else f"{reference} = 1", fontsize=8)
    _tidy(axis)


def _scale(axis: Axes, rows: list[dict[str, Any]]) -> None:
    for peer in dict.fromkeys(row["peer"] for row in rows):
        points = [(int(row["metric"].split()[1]), row["median"]) for row in rows if row["peer"] == peer]
        axis.plot(*zip(*points, strict=True), marker="o", markersize=4, color=_colour(peer, "haproxy"), label=peer)
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.set_xticks([10, 100, 1000, 5000], ["10", "100", "1,000", "5,000"])
    axis.minorticks_off()
    axis.set_title("CPU per request\nby number of busy connections", fontsize=9, loc="left")
    axis.set_ylabel("µs", fontsize=8)
    axis.legend(frameon=False, fontsize=8, loc="lower right")
    _tidy(axis)


def _tidy(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
