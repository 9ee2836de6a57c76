"""The pictures of a run of M1, from its results.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lbt_dspy.benchmarks.m1.results import task_and_source

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Results = Mapping[str, Any]
COLOURS = {
    "greedy": "#000000", "sc": "#666666", "max": "#cc79a7", "sum": "#0072b2", "avg": "#56b4e9", "few-shot": "#e69f00",
    "few-shot-sc": "#d55e00", "few-shot-worked": "#009e73", "sample": "#999999", "visible": "#666666",
    "visible-max": "#882255", "few-shot-visible": "#d55e00",
}  # fmt: skip
"""Of rows; the palette of Okabe and Ito, which colour-blind readers can tell apart."""
RIGHT, WRONG = "#0072b2", "#e69f00"
MOST_BARS = 27
OTHER = "0.6"
"""Colour of a schedule that is not among these."""
SCHEDULES = {"full": "#bbbbbb", "lossless": "#56b4e9", "confident": "#0072b2"}


def plot_accuracy(path: Path, results: Results) -> None:
    """Draw the accuracy against the number of lessons, and beside it all rows with their 95% intervals."""
    from matplotlib.ticker import MaxNLocator

    figure = _figure(results, "accuracy", (8.8, 4.2))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    curves = sorted(results["by_lessons"].items(), key=lambda curve: -curve[1][-1])
    for name, values in curves:
        left.plot(range(1, len(values) + 1), [100 * v for v in values], color=COLOURS[name], label=name, linewidth=1.8)
    left.set_title("with the first lessons alone", fontsize=10)
    left.set_xlabel("lessons")
    left.set_ylabel("accuracy (%)")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower left", ncols=len(curves), frameon=False)
    entries = sorted(reversed(results["results"]), key=lambda entry: entry["value"])
    for place, entry in enumerate(entries):
        value, (low, high) = 100 * entry["value"], (100 * bound for bound in entry["ci95"])
        bar = [[max(0, value - low)], [max(0, high - value)]]
        right.errorbar([value], [place], xerr=bar, color=COLOURS[entry["name"]], marker="o", markersize=5, capsize=3)
    right.set_yticks(range(len(entries)), [entry["name"] for entry in entries])
    right.set_title("with all of them; 95% intervals", fontsize=10)
    right.set_xlabel("accuracy (%)")
    _tidy(left, right)
    figure.savefig(path, dpi=150)


def plot_scores(path: Path, results: Results) -> None:
    """Draw the LbT scores of examined lessons with right and with wrong answers."""
    s, scores = results["settings"], results["lbt_scores"]
    schedule = next((e["schedule"] for e in results["results"] if e["name"] == s["selection"]), "full")
    stopped = "" if schedule == "full" else f" ({schedule} exams: only lessons in doubt have marks)"
    figure = _figure(results, f"lessons of the row {s['selection']}", (7.2, 4.0))
    axes = figure.subplots()
    bars = min(MOST_BARS, s["exam_problems"] * s["sittings"] * len(results["models"]["students"]))
    for shift, name, colour in ((-1, "right", RIGHT), (1, "wrong", WRONG)):
        counts = {float(score): n for score, n in scores[name].items()}
        if counts:
            heights, lessons = score_shares(counts, bars), sum(counts.values())
            mean = sum(score * n for score, n in counts.items()) / lessons
            label = f"{name} answer: {lessons:,} lessons, mean {mean:.2f}"
            places = [(k + 0.2 * shift) / bars for k in range(bars + 1)]
            axes.bar(places, [100 * h for h in heights], width=0.4 / bars, color=colour, label=label)
    if axes.has_data():
        figure.legend(loc="outside lower left", ncols=2, frameon=False)
    else:
        axes.text(0.5, 0.5, "no lesson was examined", ha="center", transform=axes.transAxes)
    if bars < 10:
        axes.set_xticks([k / bars for k in range(bars + 1)], ["0", *(f"{k}/{bars}" for k in range(1, bars)), "1"])
    axes.set_xlabel(f"LbT score of a lesson{stopped}")
    axes.set_ylabel("share of lessons (%)")
    _tidy(axes)
    figure.savefig(path, dpi=150)


def score_shares(counts: Mapping[float, int], steps: int) -> list[float]:
    """Return the share of scores nearest to each of 0, 1/steps, 2/steps, ... 1."""
    near = [0] * (steps + 1)
    for score, lessons in counts.items():
        near[round(score * steps)] += lessons
    return [lessons / sum(near) for lessons in near]


def plot_calls(path: Path, results: Results) -> None:
    """Draw the student calls of each examined row and schedule as a share of the full exam's."""
    figure = _figure(results, "student calls", (7.2, 3.6))
    axes = figure.subplots()
    bars = calls_shares(results)
    for place, (_, schedule, share, accuracy) in enumerate(reversed(bars)):
        axes.barh(place, 100 * share, color=SCHEDULES.get(schedule, OTHER), height=0.7)
        axes.text(100 * share + 1, place, f"{100 * share:.1f}%, accuracy {100 * accuracy:.1f}", va="center", fontsize=9)
    axes.set_yticks(range(len(bars)), [f"{name}, {schedule}" for name, schedule, *_ in reversed(bars)])
    axes.set_xlabel("student calls (% of the full exam's, identical lessons examined once)")
    axes.set_xlim(0, 140)
    axes.set_xticks(range(0, 101, 20))
    _tidy(axes)
    figure.savefig(path, dpi=150)


def calls_shares(results: Results) -> list[tuple[str, str, float, float]]:
    """Return row, schedule, share of the full exam's calls, and accuracy."""
    if results["schedules"]:
        return [(e["name"], e["schedule"], e["share"], e["value"] or 0.0) for e in results["schedules"]]
    return [
        (e["name"], e["schedule"], e["sittings"]["asked"] / e["sittings"]["full"], e["value"])
        for e in results["results"]
        if e["sittings"]["full"]
    ]


def _figure(results: Results, what: str, size: tuple[float, float]) -> Figure:
    from matplotlib.figure import Figure

    s, seeds = results["settings"], len(results["seeds"])
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(
        f"{task_and_source(results)}: {what}\n{s['questions']} questions, {s['rationales']} lessons each, "
        f"{seeds} seed{'s' if seeds > 1 else ''}",
        fontsize=10, x=0.01, ha="left",
    )  # fmt: skip
    return figure


def _tidy(*panels: Axes) -> None:
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
