"""Results to tables and plots. `results` is the content of results.json; see docs/results.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Results = Mapping[str, Any]
METRIC_NAMES = {"f1": "F1", "macro-f1": "macro-F1", "accuracy": "accuracy"}
BESIDE = 0.07
COLOURS = {"m3-self": "#4477aa", "m3-one": "#ee6677", "m3-several": "#228833"}


def metric_name(results: Results) -> str:
    """Return how the main metric is called in tables and pictures."""
    metrics = [entry["metric"] for entry in results["results"]]
    return METRIC_NAMES[next((metric for metric in metrics if metric != "accuracy"), "accuracy")]


def headings(results: Results) -> list[str]:
    """Return the headings of the comparison's columns."""
    first = ["row", f"{metric_name(results)} [95%]", "vs round-0", "vs random-search"]
    return [*first, "acc.", "cover", "teacher", "students", "cost"]


def percent(value: float) -> str:
    """Return a share as a percentage with one decimal."""
    return f"{100 * value:.1f}"


def interval(value: float, ci95: Sequence[float], *, signed: bool = False) -> str:
    """Return `value [low, high]` in percentage points."""
    value, low, high = (round(100 * share, 1) + 0.0 for share in (value, *ci95))  # + 0.0: no minus zero
    return f"{value:{'+' if signed else ''}.1f} [{low:.1f}, {high:.1f}]"


def dollars(cost: float | None) -> str:
    """Return a cost, `?` when unknown."""
    if cost is None:
        return "?"
    return f"${cost:,.2f}" if cost >= 1 else f"${cost:.4f}" if cost else "$0"


def comparison_cells(results: Results) -> list[list[str]]:
    """Return one list of cells per row of the comparison, without headings."""
    by_metric: dict[str, dict[str, Any]] = {}
    for entry in results["results"]:
        by_metric.setdefault(entry["name"], {})[entry["metric"]] = entry
    cells = []
    for name, metrics in by_metric.items():
        main, accuracy = metrics[next(iter(metrics))], metrics["accuracy"]
        against = {v["baseline"]: interval(v["diff"], v["ci95"], signed=True) for v in main["vs"]}
        cells.append(
            [
                name,
                interval(main["value"], main["ci95"]),
                against.get("round-0", ""),
                against.get("random-search", ""),
                percent(accuracy["value"]),
                percent(main["coverage"]),
                f"{main['calls']['teacher']:,}",
                f"{main['calls']['students']:,}",
                dollars(main["cost_usd"]),
            ]
        )
    return cells


def markdown_table(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are right-aligned."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def plot_f1_by_round(
    path: Path,
    curves: Mapping[str, Sequence[Mapping[str, Any]]],
    levels: Mapping[str, float],
    title: str,
    metric: str = "F1",
) -> None:
    """Draw the held-out F1 of the best set after each round.

    Args:
        path: The PNG to write.
        curves: Per method the entries of its rounds: `round`, `value`, `ci95`.
        levels: Baselines without rounds, drawn as horizontal lines.
        title: Heading of the picture.
        metric: What was measured, for the axis.
    """
    import matplotlib
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with matplotlib.rc_context({"font.size": 10}):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        axes = figure.add_subplot()
        for position, (name, entries) in enumerate(curves.items()):
            values = 100 * np.array([entry["value"] for entry in entries])
            bounds = 100 * np.array([entry["ci95"] for entry in entries]).T
            places = np.array([entry["round"] for entry in entries]) + (position - (len(curves) - 1) / 2) * BESIDE
            axes.errorbar(
                places, values, np.abs(bounds - values), color=COLOURS.get(name, "#777777"), label=name, marker="o",
                markersize=4, elinewidth=0.9, capsize=2,
            )  # fmt: skip
        for (name, level), style in zip(levels.items(), ((0, (6, 3)), (0, (1, 2)), "dashdot"), strict=False):
            axes.axhline(100 * level, color="#444444", linewidth=1, linestyle=style, label=name)
        axes.set_xlabel("round")
        axes.set_ylabel(f"held-out {metric} of the best set (%)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(title, fontsize=10, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside right center", frameon=False)
        figure.savefig(path, dpi=150)
