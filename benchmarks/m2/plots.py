"""The picture of a run of M2, from its results.json."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"before": "#000000", "dpo-correct": "#e69f00", "dpo-lbt": "#0072b2", "dpo-both": "#009e73"}


def plot_rounds(path: Path, results: Mapping[str, Any]) -> None:
    """Draw the accuracy before, and after each round; of a single round, all rows with their 95% intervals."""
    from matplotlib.figure import Figure

    s, several = results["settings"], results["settings"]["rounds"] > 1
    figure = Figure(figsize=(6.4, 4.2 if several else 2.6), layout="constrained")
    axes = figure.subplots()
    (_draw_curves if several else _draw_rows)(axes, results["results"])
    axes.spines[["top", "right"]].set_visible(False)
    if several:
        figure.legend(loc="outside lower left", ncols=3, frameon=False)
    seeds = f"{len(results['seeds'])} seed{'s' if len(results['seeds']) > 1 else ''}"
    title = f"classroom (synthetic world): {s['held_out_problems']} held-out problems, {seeds}"
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    figure.savefig(path, dpi=150)


def _draw_rows(axes: Axes, entries: Sequence[Mapping[str, Any]]) -> None:
    for place, entry in enumerate(reversed(entries)):
        value, (low, high) = 100 * entry["value"], (100 * bound for bound in entry["ci95"])
        bar = [[max(0, value - low)], [max(0, high - value)]]
        axes.errorbar([value], [place], xerr=bar, color=COLOURS.get(entry["name"]), marker="o", capsize=3)
    axes.set_yticks(range(len(entries)), [entry["name"] for entry in reversed(entries)])
    axes.set_xlabel("greedy accuracy of the teacher (%), 95% intervals")


def _draw_curves(axes: Axes, entries: Sequence[Mapping[str, Any]]) -> None:
    """Draw a line for each row, thin ones for its seeds; a run that ended early keeps its last accuracy."""
    from matplotlib.ticker import MaxNLocator

    for entry in entries:
        curves = entry.get("rounds", [])
        colour = COLOURS.get(entry["name"], "#666666")
        for curve in curves:
            axes.plot(range(len(curve)), [100 * v for v in curve], color=colour, linewidth=0.7, alpha=0.5)
        longest = max(map(len, curves), default=0)
        means = [100 * statistics.fmean(c[min(i, len(c) - 1)] for c in curves) for i in range(longest)]
        if means:
            axes.plot(range(longest), means, color=colour, linewidth=2, marker="o", label=entry["name"])
    axes.set_xlabel("rounds of lessons, exams and DPO")
    axes.set_ylabel("greedy accuracy of the teacher (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
