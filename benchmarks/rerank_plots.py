"""The pictures of a run of M1, from its results.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"sc": "#444444", "sum": "#228833", "max": "#ee6677", "avg": "#4477aa"}
RIGHT, WRONG = "#228833", "#cc3311"
BINS = 20


def plot_accuracy(path: Path, results: Mapping[str, Any]) -> None:
    """Draw the accuracy against the number of lessons: SC beside M1, and the rows without lessons as lines."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = _figure(f"{results['task']}, {results['results'][0]['n']} questions")
    curves, values = results["by_lessons"], {entry["name"]: entry for entry in results["results"]}
    for name, entry in values.items():
        colour = COLOURS.get(name, "#777777")
        if name in curves:
            lessons = range(1, len(curves[name]) + 1)
            axes.plot(lessons, [100 * v for v in curves[name]], color=colour, label=name, linewidth=1.6)
        elif name in COLOURS:
            low, high = (100 * bound for bound in entry["ci95"])
            middle = 100 * entry["value"]
            place = results["settings"]["rationales"] + list(COLOURS).index(name) * 0.25
            bars = [[middle - low], [high - middle]]
            axes.errorbar([place], [middle], bars, color=colour, label=name, marker="o", capsize=2)
        else:
            style = {"greedy": "dotted", "few-shot": "dashdot"}.get(name, "dashed")
            axes.axhline(100 * entry["value"], color="#999999", linewidth=1, linestyle=style, label=name)
    axes.set_xlabel("lessons")
    axes.set_ylabel("accuracy (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _save(figure, path)


def plot_scores(path: Path, results: Mapping[str, Any]) -> None:
    """Draw the LbT scores of examined lessons with right and with wrong answers."""
    schedule = results["settings"]["schedule"]
    stopped = "" if schedule == "full" else f"; {schedule} exams: only lessons in doubt have marks"
    figure, axes = _figure(f"{results['task']}, row {results['settings']['selection']}{stopped}")
    scores = results["lbt_scores"]
    for name, colour in (("right", RIGHT), ("wrong", WRONG)):
        if scores[name]:
            mean = sum(scores[name]) / len(scores[name])
            share = [1 / len(scores[name])] * len(scores[name])
            label = f"{name} answer: {len(scores[name]):,} lessons, mean {mean:.2f}"
            axes.hist(scores[name], bins=BINS, range=(0, 1), weights=share, color=colour, alpha=0.5, label=label)
    if not (scores["right"] or scores["wrong"]):
        axes.text(0.5, 0.5, "no lesson was examined", ha="center", transform=axes.transAxes)
    axes.set_xlabel("LbT score of a lesson")
    axes.set_ylabel("share of lessons")
    _save(figure, path)


def _figure(title: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    if figure.axes[0].get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)
