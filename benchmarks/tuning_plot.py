"""The picture of a run of M2, from its results.json."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COLOURS = {"before": "#000000", "dpo-correct": "#e69f00", "dpo-lbt": "#0072b2", "dpo-both": "#009e73"}


def plot_rounds(path: Path, results: Mapping[str, Any]) -> None:
    """Draw the accuracy before, and after each round: a line for each row, thin ones for its seeds."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    s = results["settings"]
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for entry in results["results"]:
        curves = entry.get("rounds", [])
        colour = COLOURS.get(entry["name"], "#666666")
        for curve in curves:
            axes.plot(range(len(curve)), [100 * v for v in curve], color=colour, linewidth=0.7, alpha=0.5)
        longest = max(map(len, curves), default=0)
        means = [statistics.fmean(c[min(i, len(c) - 1)] for c in curves) for i in range(longest)]
        if means:
            percents = [100 * v for v in means]
            axes.plot(range(longest), percents, color=colour, linewidth=2, marker="o", label=entry["name"])
    axes.set_xlabel("rounds of lessons, exams and DPO")
    axes.set_ylabel("greedy accuracy of the teacher (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower left", ncols=3, frameon=False)
    seeds = f"{len(results['seeds'])} seed{'s' if len(results['seeds']) > 1 else ''}"
    title = f"classroom (synthetic world): {s['held_out_problems']} held-out problems, {seeds}"
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    figure.savefig(path, dpi=150)
