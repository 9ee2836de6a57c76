"""`lbt compare`: two runs on the same held-out examples, row by row, as paired differences."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbt_dspy.benchmarks.shared.parser import OneLineParser, command_name
from lbt_dspy.benchmarks.shared.words import add_words, parsed, word
from lbt_dspy.benchmarks.tasks.tables import nearest, some
from lbt_dspy.errors import UserError

Results = Mapping[str, Any]
KEYS = {"task", "method", "models", "settings", "seeds", "results"}


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Which runs are compared."""

    a: str = field(metadata=word("the results.json of one run, or its folder", "A.JSON", positional=True))
    b: str = field(metadata=word("the results.json of the other", "B.JSON", positional=True))
    rows: str | None = field(
        default=None, metadata=word("only these rows", "ROW,ROW", shown="default: all that both have")
    )


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    p = OneLineParser(
        prog=f"{command_name()} compare",
        allow_abbrev=False,
        description="Compare two runs on the same held-out examples: for each row its value in both and the paired "
        "difference, with intervals.",
    )
    add_words(p, CompareOptions, {}, known=set())
    return p


def execute(words: Sequence[str]) -> int:
    """Print the comparison; return the exit code."""
    options = parsed(parser(), CompareOptions, words)
    a, b = read_results(options.a), read_results(options.b)
    check_comparable(a, b)
    rows = chosen_rows(a, b, options.rows)
    from rich import box
    from rich.table import Table

    from lbt_dspy.benchmarks.shared.console import console
    from lbt_dspy.benchmarks.shared.format import metric_name

    out = console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    name = metric_name(a)
    for i, heading in enumerate(("row", f"A: {name} [95%]", f"B: {name} [95%]", "B - A [95%]", "A: calls", "B: calls")):
        table.add_column(heading, justify="right" if i else "left", overflow="fold")
    for row in rows:
        table.add_row(row, *cells_of(a, b, row))
    out.print(f"A: {options.a}\nB: {options.b}")
    out.print(table)
    positive = a["settings"].get("positive")
    what = name if positive is None else f"{name} (of {positive!r})"
    n = a["results"][0]["n"]
    out.print(
        f"{what} in %, on the same {n} held-out examples; intervals: paired bootstrap over them, 2,000 resamples. "
        "Calls: those that a row needs by itself, of teacher and students."
    )
    for note in differences(a, b):
        out.print(note)
    return 0


def read_results(path: str) -> Results:
    """Return the content of a results.json.

    Raises:
        UserError: It is none, or one of a version that kept no held-out answers.
    """
    file = Path(path, "results.json") if Path(path).is_dir() else Path(path)
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); name the results.json of a run") from None
    except ValueError:
        results = None
    if not isinstance(results, dict) or not KEYS <= set(results):
        raise UserError(f"{path} is no results.json; name that of a run")
    if "held_out" not in results:
        raise UserError(
            f"{path} holds no held-out answers (an earlier version wrote it); run `lbt --resume` on its folder, which "
            "asks nothing again, or make the run anew"
        )
    return results


def check_comparable(a: Results, b: Results) -> None:
    """Raise `UserError` unless both runs measured the same thing on the same held-out examples."""
    from lbt_dspy.benchmarks.shared.held_out import references_of

    first, second = a["held_out"], b["held_out"]
    golds = references_of(first), references_of(second)
    if len(golds[0]) != len(golds[1]):
        how = f"A has {len(golds[0])} held-out examples and B has {len(golds[1])}"
    elif first["texts"] != second["texts"]:
        how = f"both have {len(golds[0])} held-out examples, but their texts or their order differ"
    elif set(first["labels"]) != set(second["labels"]):
        how = f"the labels are {some(first['labels'])} in A and {some(second['labels'])} in B"
    elif golds[0] != golds[1]:
        other = sum(x != y for x, y in zip(*golds, strict=True))
        how = f"{other} of the {len(golds[0])} held-out examples have another reference label"
    elif a["settings"].get("positive") != b["settings"].get("positive"):
        how = f"the positive label is {a['settings']['positive']!r} in A and {b['settings']['positive']!r} in B"
    else:
        return
    raise UserError(f"the two runs cannot be compared: {how}; give runs on the same data")


def chosen_rows(a: Results, b: Results, wish: str | None) -> list[str]:
    """Return the rows to compare, in the order of A.

    Raises:
        UserError: A wished row is not in both, or no row is.
    """
    common = [row for row in a["held_out"]["answers"] if row in b["held_out"]["answers"]]
    wished = common if wish is None else [row.strip() for row in wish.split(",")]
    for row in wished:
        if row not in common:
            raise UserError(f"--rows: {row!r} is not in both runs; {nearest(row, common)}both have: {some(common)}")
    if not common:
        raise UserError("the two runs have no row in common; compare runs of the same methods")
    return [row for row in common if row in wished]


def cells_of(a: Results, b: Results, row: str) -> list[str]:
    """Return value A, value B, the difference, and the calls of both."""
    from lbt_dspy.benchmarks.shared.format import interval
    from lbt_dspy.benchmarks.shared.held_out import references_of, runs_of
    from lbt_dspy.metrics.labels import Accuracy, default_metric
    from lbt_dspy.metrics.statistics import paired_bootstrap

    methods = {"A": runs_of(a["held_out"], row), "B": runs_of(b["held_out"], row)}
    labels = a["held_out"]["labels"]
    by_label = "positive" in a["settings"]
    metric = default_metric(labels, a["settings"]["positive"]) if by_label else Accuracy(labels)
    values, paired = paired_bootstrap(references_of(a["held_out"]), methods, metric)
    shown = [interval(v.value, (v.low, v.high)) for v in values.values()]
    change = paired["B", "A"]
    calls = [f"{_calls(results, row):,}" for results in (a, b)]
    return [*shown, interval(change.value, (change.low, change.high), signed=True), *calls]


def _calls(results: Results, row: str) -> int:
    entry = next(entry for entry in results["results"] if entry["name"] == row)
    return sum(entry["calls"].values())


def differences(a: Results, b: Results) -> list[str]:
    """Say in which settings two runs differ."""
    first, second = _settings(a), _settings(b)
    names = [name for name in first | second if first.get(name) != second.get(name)]
    shown = [f"{name} {_text(first.get(name))} | {_text(second.get(name))}" for name in names]
    notes = [f"Settings that differ, A | B: {'; '.join(shown)}." if shown else "The settings are the same."]
    if a["seeds"] != b["seeds"]:
        notes.append(
            f"The seeds differ: A {_text(a['seeds'])}, B {_text(b['seeds'])}; each value is a mean over its own."
        )
    return notes


def _settings(results: Results) -> dict[str, Any]:
    return {"task": results["task"], "method": results["method"], **results["models"], **results["settings"]}


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
