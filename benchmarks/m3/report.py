"""What a report says of the searches: F1 by round, which exemplars teach, whose mistakes led to them."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lbt_dspy.benchmarks.m3.runs import Comparison, Runner, row_runs
from lbt_dspy.benchmarks.shared.format import interval, markdown_table
from lbt_dspy.metrics.statistics import paired_bootstrap

BEST, WORST = 8, 3
LONGEST = 110
STUDY_PLOTS = ("history", "importance")


def by_round(runner: Runner, comparison: Comparison) -> list[dict[str, Any]]:
    """Return the metric of each round's best set on the held-out examples, with intervals, for results.json."""
    golds = [str(example[runner.data.task.output]) for example in runner.data.test]
    methods = {key: row_runs(row, runner.data) for key, row in comparison.by_round.items()}
    names = {key: f"{key[0]} {key[1]}" for key in methods}
    values, differences = paired_bootstrap(golds, {names[k]: runs for k, runs in methods.items()}, runner.metric)
    entries = []
    for name, number in methods:
        value = values[names[name, number]]
        entry: dict[str, Any] = {
            "name": name, "round": number, "value": value.value, "ci95": [value.low, value.high],
        }  # fmt: skip
        if number:
            diff = differences[names[name, number], names[name, 0]]
            entry["vs_round_0"] = {"diff": diff.value, "ci95": [diff.low, diff.high]}
        entries.append(entry)
    return entries


def sections(results: Mapping[str, Any], comparison: Comparison, metric: str, label_field: str) -> list[str]:
    """Return the Markdown of the searches: rounds of all of them, and the search that gave program.json."""
    if comparison.best is None:
        return []
    _, source = comparison.best
    search = next(s for s in comparison.searches if f"{s['name']}, seed {s['seed']}" == source)
    parts = [f"## {metric} by round", rounds_table(results["by_round"]), f"## The search of program.json ({source})"]
    parts.append(f"Round 0: {search['rounds'][0]['beam'][0]['origin']}. {churn_line(search)}")
    if search["study"]:
        parts.append(study_line(search["study"]))
    if search["led_by"]:
        led = ", ".join(f"{student} {n}" for student, n in search["led_by"].items())
        parts.append(
            f"Whose mistakes led to its exemplars (of {len(search['exemplars'])}; one that several failed counts for "
            f"each): {led}."
        )
    kinds = sum((Counter(r["kinds"]) for r in search["rounds"]), Counter[str]())
    if kinds:
        by_kind = ", ".join(f"{kind} {n}" for kind, n in kinds.most_common())
        parts.append(f"Kinds of mistake, by the teacher's reflections: {by_kind}.")
    if search["values"]:
        parts += [
            "### Which exemplars teach",
            values_note(search["values"], len(search["exemplars"])),
            values_table(search["values"], label_field),
        ]
    return parts


def rounds_table(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return one line per row and round."""
    cells = []
    for entry in entries:
        diff = entry.get("vs_round_0")
        against = "" if diff is None else interval(diff["diff"], diff["ci95"], signed=True)
        cells.append([f"{entry['name']}, round {entry['round']}", interval(entry["value"], entry["ci95"]), against])
    return markdown_table(("best set of", "held-out [95%]", "vs round 0"), cells)


def study_line(record: Mapping[str, Any]) -> str:
    """Say how many trials there were, and what made the best one."""
    counts = ", ".join(f"{n} {state}" for state, n in sorted(record["trials"].items()))
    if record["best"] is None:
        return f"Trials: {counts}."
    choices = ", ".join(f"{name} {value}" for name, value in record["best"].items() if name not in ("trial", "score"))
    best = record["best"]
    return f"Trials: {counts}. Best: trial {best['trial']} with {100 * best['score']:.1f} ({choices})."


def churn_line(search: Mapping[str, Any]) -> str:
    """Say how many exemplars of the best set were new in each round."""
    return f"Exemplars new in the best set, by round: {', '.join(str(r['churn']) for r in search['rounds'])}."


def values_note(values: Sequence[Mapping[str, Any]], size: int) -> str:
    """Explain the table of values."""
    clear = sum(value["ci95"][0] > 0 for value in values)
    exams = sum(value["exams"] for value in values) // max(1, size)
    return (
        f"What an exemplar adds to the score of a set, in points, beside an average one of the pool, with its 95% "
        f"credible interval: a Bayesian linear model of the scores of {exams:,} sets. It is an order to look in and no "
        f"proof: {clear} of the {len(values)} intervals lie above 0. The {BEST} best and the {WORST} worst:"
    )


def values_table(values: Sequence[Mapping[str, Any]], label_field: str) -> str:
    """Return the best and the worst exemplars."""
    shown = [*values[:BEST], *values[max(BEST, len(values) - WORST) :]]
    cells = []
    for value in shown:
        texts = [text for name, text in value["exemplar"].items() if name != label_field]
        label = value["exemplar"][label_field]
        text = " / ".join(" ".join(text.split()) for text in texts)
        text = text if len(text) <= LONGEST else text[:LONGEST] + "..."
        cells.append(
            [text.replace("|", "\\|"), label, interval(value["value"], value["ci95"], signed=True),
             str(value["exams"]), value["origin"]]
        )  # fmt: skip
    return markdown_table(("exemplar", "label", "value [95%]", "exams", "from"), cells)


def plot_study(folder: Path, study: Any) -> list[str]:
    """Draw Optuna's own pictures of a study into a run folder; return the names of the files.

    Importance needs several completed trials with different scores; where it cannot be told, it is left out.
    """
    import matplotlib
    import optuna

    matplotlib.use("Agg")
    from matplotlib import pyplot

    plots: dict[str, Any] = {
        "history": optuna.visualization.matplotlib.plot_optimization_history,
        "importance": optuna.visualization.matplotlib.plot_param_importances,
    }
    written = []
    for name in STUDY_PLOTS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                axes = plots[name](study)
        except (ValueError, RuntimeError):  # too few completed trials to tell
            continue
        axes.figure.savefig(folder / f"study_{name}.png", dpi=120, bbox_inches="tight")
        pyplot.close(axes.figure)
        written.append(f"study_{name}.png")
    return written
