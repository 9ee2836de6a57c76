"""The race: our searches against DSPy's own optimisers and random search, at equal numbers of model calls.

`python benchmarks/race.py --data DIR` runs every method on every task and seed with the embedded *statistical* models,
with a ninth, a third and all of the calls, and writes race.json, race.md and race.png. DIR holds `fallacy` and `liar`.
A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbt_dspy.benchmarks.shared.parser import OneLineParser
from lbt_dspy.benchmarks.shared.words import add_words, parsed, word
from lbt_dspy.benchmarks.studies.script import exit_code_of
from lbt_dspy.errors import UserError

PACKAGES = ("lbt_dspy", "dspy", "optuna", "scikit-learn", "numpy")
SEEDS = 8


@dataclass(frozen=True, kw_only=True)
class RaceOptions:
    """What the race is run on."""

    data: str | None = field(default=os.environ.get("LBT_DATA_DIR"), metadata=word("holds fallacy and liar", "DIR"))
    tasks: str = field(default="shipped,edu,liar,three", metadata=word("which tasks", "A,B", shown="default: all four"))
    methods: str | None = field(default=None, metadata=word("which methods", "A,B", shown="default: all"))
    seeds: int = field(default=SEEDS, metadata=word("seeds 0..N-1", least=1))
    jobs: int = field(
        default=os.cpu_count() or 1, metadata=word("processes", least=1, shown="at least 1; default: one per core")
    )
    out: str = field(default="runs/race", metadata=word("where results go", "DIR"))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    p = OneLineParser(prog="benchmarks/race.py", allow_abbrev=False, description="Race our searches against DSPy's.")
    add_words(p, RaceOptions, {}, known=set())
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the race and return the exit code."""
    options = parsed(parser(), RaceOptions, argv)
    return exit_code_of(lambda: run(options), f"stopped; the same command goes on where it was: {options.out}")


def run(options: RaceOptions) -> None:
    """Make all runs that are not made yet, then write the results."""
    from lbt_dspy.benchmarks.studies.race.results import results_of, write
    from lbt_dspy.benchmarks.studies.race.runs import METHODS, TASKS, loaded
    from lbt_dspy.errors import check_at_least

    tasks, methods = _chosen("--tasks", options.tasks, TASKS), _chosen("--methods", options.methods, METHODS)
    check_at_least("--seeds", options.seeds, 1, "8 is the default")
    check_at_least("--jobs", options.jobs, 1, "one process")
    data = {task: loaded(task, options.data) for task in tasks}
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    jobs = [(t, options.data, m, s) for s in range(options.seeds) for t in tasks for m in methods]
    start = time.monotonic()
    rows = make_runs(jobs, out / "runs.jsonl", options.jobs)
    results = results_of(data, rows, methods, options.seeds)
    results["versions"] = {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in PACKAGES}}
    results["date"] = time.strftime("%Y-%m-%d")
    results["command"] = command_of(options)
    write(out, results)
    print((out / "race.md").read_text(encoding="utf-8"))
    print(f"{out}/: race.md, race.json, race.png ({time.monotonic() - start:.0f} s)")


def command_of(options: RaceOptions) -> str:
    """Return the command line that gives these results."""
    words = ["python benchmarks/race.py"] + (["--data DIR"] if options.data is not None else [])
    words += [f"--tasks {options.tasks}"] if options.tasks != RaceOptions.tasks else []
    words += [f"--methods {options.methods}"] if options.methods is not None else []
    words += [f"--seeds {options.seeds}"] if options.seeds != SEEDS else []
    return " ".join(words)


def make_runs(jobs: Sequence[tuple[str, str | None, str, int]], file: Path, processes: int) -> list[Mapping[str, Any]]:
    """Run jobs in processes; each finished one is on disk before the next is waited for.

    Args:
        jobs: (task, data folder, method, seed).
        file: JSON lines of all runs so far; those in it are not run again.
        processes: How many at a time.
    """
    from lbt_dspy.benchmarks.studies.race.runs import run_method

    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []
    done = {(row["task"], row["method"], row["seed"]) for row in rows}
    todo = [job for job in jobs if (job[0], job[2], job[3]) not in done]
    with ProcessPoolExecutor(processes) as pool, file.open("a", encoding="utf-8") as record:
        futures = {pool.submit(run_method, *job): job for job in todo}
        try:
            for number, future in enumerate(as_completed(futures), 1):
                task, _, method, seed = futures[future]
                fresh = [dataclasses.asdict(run) for run in future.result()]
                record.write("".join(json.dumps(row) + "\n" for row in fresh))
                record.flush()
                rows += fresh
                print(f"{number} of {len(todo)}: {task}, {method}, seed {seed}", file=sys.stderr)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    wanted = {(job[0], job[2], job[3]) for job in jobs}
    return [row for row in rows if (row["task"], row["method"], row["seed"]) in wanted]


def _chosen(flag: str, text: str | None, known: Sequence[str]) -> tuple[str, ...]:
    names = tuple(known) if text is None else tuple(part.strip() for part in text.split(","))
    wrong = next((name for name in names if name not in known), None)
    if wrong is not None:
        raise UserError(f"{flag} must be of {', '.join(known)} but got {wrong!r}")
    return names
