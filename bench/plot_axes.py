"""The kinds of panels in the figure."""

from __future__ import annotations

from typing import Any, Final

from matplotlib.axes import Axes

from bench.load import slower

COMPILED: Final = "#1f6fb4"
PURE: Final = "#8cbbe0"
OTHER: Final = "#b5b5b5"
REFERENCE: Final = "#7a7a7a"
BOUND: Final = "#c03a2b"

#: Behind a number that a line runs through.
LEGIBLE: Final = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
#: Parts of the requests that take longer, for the axis of a distribution.
TAILS: Final = {0.5: "50 %", 0.1: "90", 0.01: "99", 0.001: "99.9", 0.0001: "99.99"}


def bars(axis: Axes, rows: list[dict[str, Any]], title: str) -> None:
    """Draw the ratios of one figure.

    :param rows: of its peers, all to one reference.
    """
    reference = rows[0]["reference"]
    ratios = [row["ratio"] for row in rows]
    places = range(len(rows))
    axis.barh(places, ratios, color=[_colour(row["peer"], reference) for row in rows], height=0.65)
    axis.set_yticks(places, [row["peer"] for row in rows])
    axis.invert_yaxis()
    for place, row in zip(places, rows, strict=True):
        axis.text(
            row["ratio"] + 0.015 * max(ratios), place, f"{row['ratio']:.2f}", va="center", fontsize=8, bbox=LEGIBLE
        )
        if row["bound"]:
            axis.plot([row["bound"]] * 2, [place - 0.45, place + 0.45], color=BOUND, linewidth=1.6)
    bounds = [row["bound"] for row in rows if row["bound"]]
    axis.set_xlim(0, max(*ratios, *bounds, 1.0) * 1.18)
    axis.set_title(f"{title}\n{'more' if rows[0]['more'] else 'less'} is better", fontsize=9, loc="left")
    axis.set_xlabel("alone = 1" if reference.startswith("own") else f"{reference} = 1", fontsize=8)
    _tidy(axis)


def curves(axis: Axes, rows: list[dict[str, Any]]) -> None:
    """Draw CPU time of requests over the number of connections, which the name of each figure ends with."""
    for peer in dict.fromkeys(row["peer"] for row in rows):
        points = [(int(row["metric"].split()[1]), row["median"]) for row in rows if row["peer"] == peer]
        axis.plot(*zip(*points, strict=True), marker="o", markersize=4, color=_colour(peer, "haproxy"), label=peer)
    counts = sorted({int(row["metric"].split()[1]) for row in rows})
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.set_xticks(counts, [f"{count:,}" for count in counts], rotation=30)
    axis.minorticks_off()
    axis.set_title("CPU per request\nby number of busy connections", fontsize=9, loc="left")
    axis.set_ylabel("µs", fontsize=8)
    axis.legend(frameon=False, fontsize=8, loc="lower right")
    _tidy(axis)


def distribution(axis: Axes, at: str, by_peer: dict[str, dict[int, int]]) -> None:
    """Draw which part of the requests took longer than what, on an axis that makes room for the slow ones.

    :param at: the load, for the title.
    :param by_peer: for each, how many requests are in which bucket.
    """
    for peer, buckets in by_peer.items():
        axis.plot(*zip(*slower(buckets), strict=True), color=_colour(peer, "haproxy"), label=peer, linewidth=1.3)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlim(1, min(TAILS))
    axis.set_xticks(list(TAILS), list(TAILS.values()))
    axis.minorticks_off()
    requests = max(sum(buckets.values()) for buckets in by_peer.values())
    axis.set_title(f"latency at {at} load\n{requests:,} requests each", fontsize=9, loc="left")
    axis.set_xlabel("percentile", fontsize=8)
    axis.set_ylabel("µs", fontsize=8)
    axis.legend(frameon=False, fontsize=8, loc="lower right")
    _tidy(axis)


def _colour(peer: str, reference: str) -> str:
    if peer.startswith("proxymux-compiled"):
        return COMPILED
    return PURE if peer.startswith("proxymux") else REFERENCE if peer == reference else OTHER


def _tidy(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
