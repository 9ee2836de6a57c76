"""What the race says: a table per task, and held-out F1 against model calls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lbt_dspy.benchmarks.shared.format import METRIC_NAMES, interval, markdown_table
from lbt_dspy.benchmarks.shared.held_out import runs_of_lines
from lbt_dspy.benchmarks.studies.race.rivals import why_not
from lbt_dspy.benchmarks.studies.race.runs import SHARES, TEACHER
from lbt_dspy.benchmarks.tasks.classification.data import LabelledData
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.metrics.labels import default_metric
from lbt_dspy.metrics.statistics import Estimate, LabelledRuns, paired_bootstrap

BASELINE = "random-search"
DEFAULT = "lbt-utility"
THIRD, ALL = SHARES[1], SHARES[2]
COLOURS = {
    "random-search": "#777777", "few-shot": "#bbbbbb", "bootstrap-rs": "#ccbb44", "mipro": "#aa3377",
    "lbt-beam": "#66ccee", "lbt-tpe": "#4477aa", "lbt-utility": "#228833",
}  # fmt: skip


def results_of(
    data: Mapping[str, LabelledData], rows: Sequence[Mapping[str, Any]], methods: Sequence[str], seeds: int
) -> dict[str, Any]:
    """Return the content of race.json but for versions."""
    return {
        "seeds": list(range(seeds)),
        "models": "statistical (embedded/teacher; students embedded/words, embedded/bayes, embedded/chars)",
        "shares": list(SHARES),
        "tasks": [_task_results(name, data[name], rows, methods) for name in data],
        "left_out": {"gepa": why_not("gepa", embedded_lm(TEACHER))},
    }


def _task_results(
    name: str, data: LabelledData, rows: Sequence[Mapping[str, Any]], methods: Sequence[str]
) -> dict[str, Any]:
    """Return estimates by method and share, and differences to random search and to the best."""
    metric = default_metric(data.task.labels, data.task.positive, data.task.output)
    golds = [str(example[data.task.output]) for example in data.test]
    runs: dict[str, LabelledRuns] = {}
    calls: dict[str, float] = {}
    for method in methods:
        for share in SHARES:
            mine = sorted(
                (r for r in rows if r["task"] == name and r["method"] == method and abs(r["share"] - share) < 1e-9),
                key=lambda r: r["seed"],
            )
            if mine:
                key = _key(method, share)
                runs[key] = runs_of_lines([r["answers"] for r in mine], data.task.labels)
                calls[key] = sum(r["calls"] for r in mine) / len(mine)
    values, differences = paired_bootstrap(golds, runs, metric)
    at_all = [m for m in methods if _key(m, ALL) in values]
    best = max(at_all, key=lambda m: values[_key(m, ALL)].value)
    entries = []
    for method in methods:
        for share in SHARES:
            key = _key(method, share)
            if key in values:
                entry = {"method": method, "share": share, "calls": calls[key], **_estimate(values[key]),
                         "by_seed": list(values[key].by_run)}  # fmt: skip
                entry["vs"] = {
                    other: _estimate(differences[key, _key(other, ALL)])
                    for other in {BASELINE, best}
                    if (key, _key(other, ALL)) in differences
                }
                entries.append(entry)
    counts = {label: golds.count(label) for label in data.task.labels}
    return {
        "task": name, "metric": METRIC_NAMES[metric.name], "train": len(data.train), "held_out": len(golds),
        "labels": counts, "best": best, "rows": entries,
    }  # fmt: skip


def _key(method: str, share: float) -> str:
    return f"{method} {share:.3f}"


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "ci95": [estimate.low, estimate.high]}


def write(folder: Path, results: Mapping[str, Any]) -> None:
    """Write race.json, race.md and race.png."""
    (folder / "race.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (folder / "race.md").write_text(report(results), encoding="utf-8")
    plot(folder / "race.png", results)


def report(results: Mapping[str, Any]) -> str:
    """Return the tables as Markdown."""
    parts = [
        f"# The race: {len(results['seeds'])} seed{'s' * (len(results['seeds']) > 1)}, {results['models']}",
        "Held-out F1 (macro-F1 for more than two classes) in %, mean over seeds; 95% intervals: paired bootstrap over "
        "held-out examples. All methods get the same number of model calls; columns: with a ninth, a third and all of "
        f"them. {DEFAULT} is `LbTExemplars` as it comes.",
    ]
    for task in results["tasks"]:
        parts += [f"## {_title(task)}", _table(task)]
        parts.append(f"First: {task['best']}. Calls at most: {max(r['calls'] for r in task['rows']):,.0f}.")
    parts += [f"Left out: {reason}." for reason in results["left_out"].values()]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    parts += ["![F1 against calls](race.png)", f"{results['date']}, `{results['command']}`. Versions: {versions}."]
    return "\n\n".join(parts) + "\n"


def _title(task: Mapping[str, Any]) -> str:
    labels = ", ".join(f"{n} {label}" for label, n in task["labels"].items())
    return (
        f"{task['task']}: {task['train']} training, {task['held_out']} held-out examples ({labels}), {task['metric']}"
    )


def _table(task: Mapping[str, Any]) -> str:
    cells = []
    for method in dict.fromkeys(row["method"] for row in task["rows"]):
        by_share = {row["share"]: row for row in task["rows"] if row["method"] == method}
        last, third = by_share.get(ALL), by_share.get(THIRD)
        values = [f"{100 * by_share[s]['value']:.1f}" if s in by_share else "" for s in SHARES[:-1]]
        cells.append(
            [method, *values, interval(last["value"], last["ci95"]) if last else "", _against(last, BASELINE),
             _against(third, BASELINE), _against(last, task["best"])]
        )  # fmt: skip
    heads = ("method", "a ninth", "a third", "all [95%]", f"vs {BASELINE}", f"a third vs all of {BASELINE}", "vs first")
    return markdown_table(heads, cells)


def _against(row: Mapping[str, Any] | None, other: str) -> str:
    if row is None or other not in row["vs"]:
        return ""
    return interval(row["vs"][other]["value"], row["vs"][other]["ci95"], signed=True)


def plot(path: Path, results: Mapping[str, Any]) -> None:
    """Draw held-out F1 against calls, one panel per task."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    tasks = results["tasks"]
    ticks = (1000, 3000, 10000, 30000)
    with matplotlib.rc_context({"font.size": 9}):
        figure = Figure(figsize=(3.1 * len(tasks) + 1.2, 3.4), layout="constrained")
        panels = figure.subplots(1, len(tasks), squeeze=False)[0]
        for axes, task in zip(panels, tasks, strict=True):
            for method in dict.fromkeys(row["method"] for row in task["rows"]):
                rows = [row for row in task["rows"] if row["method"] == method]
                values = [100 * row["value"] for row in rows]
                colour = COLOURS.get(method, "black")
                if rows[-1]["calls"] == 0:
                    axes.axhline(values[-1], color=colour, label=method, linewidth=1.2, linestyle=(0, (4, 2)))
                    continue
                low = [max(0.0, v - 100 * r["ci95"][0]) for v, r in zip(values, rows, strict=True)]
                high = [max(0.0, 100 * r["ci95"][1] - v) for v, r in zip(values, rows, strict=True)]
                bold = method == DEFAULT
                axes.errorbar(
                    [row["calls"] for row in rows], values, (low, high) if bold else None, color=colour, label=method,
                    marker="o", markersize=4, linewidth=2.2 if bold else 1.2, elinewidth=0.8, capsize=2,
                )  # fmt: skip
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(FixedLocator(ticks))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_title(f"{task['task']} ({task['metric']})", fontsize=9, loc="left")
            axes.set_xlabel("model calls")
            axes.spines[["top", "right"]].set_visible(False)
        panels[0].set_ylabel("held-out (%)")
        figure.suptitle(
            f"Statistical models (embedded), mean over seeds; bars: 95% interval of {DEFAULT}",
            fontsize=9,
            x=0.01,
            ha="left",
        )
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", frameon=False)
        figure.savefig(path, dpi=150)
