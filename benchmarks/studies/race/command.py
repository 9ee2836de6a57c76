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
from pathlib import Path
from typing import Any

from lbt_dspy.benchmarks.shared.parser import OneLineParser
from lbt_dspy.benchmarks.studies.script import exit_code_of
from lbt_dspy.errors import UserError

PACKAGES = ("lbt_dspy", "dspy", "optuna", "scikit-learn", "numpy")
SEEDS = 8


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    p = OneLineParser(prog="benchmarks/race.py", allow_abbrev=False, description="Race our searches against DSPy's.")
    p.add_argument("--data", metavar="DIR", default=os.environ.get("LBT_DATA_DIR"), help="holds fallacy and liar")
    p.add_argument("--tasks", metavar="A,B", default="shipped,edu,liar,three", help="which tasks (all four)")
    p.add_argument("--methods", metavar="A,B", help="which methods (all)")
    p.add_argument("--seeds", metavar="N", type=int, default=SEEDS, help="seeds 0..N-1 (8)")
    p.add_argument("--jobs", metavar="N", type=int, default=os.cpu_count(), help="processes (one per core)")
    p.add_argument("--out", metavar="DIR", default="runs/race", help="where results go (runs/race)")
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the race and return the exit code."""
    args = parser().parse_args(argv)
    return exit_code_of(lambda: run(args), f"stopped; the same command goes on where it was: {args.out}")


def run(args: argparse.Namespace) -> None:
    """Make all runs that are not made yet, then write the results."""
    from lbt_dspy.benchmarks.studies.race.results import results_of, write
    from lbt_dspy.benchmarks.studies.race.runs import METHODS, TASKS, loaded
    from lbt_dspy.errors import check_at_least

    tasks, methods = _chosen("--tasks", args.tasks, TASKS), _chosen("--methods", args.methods, METHODS)
    check_at_least("--seeds", args.seeds, 1, "8 is the default")
    check_at_least("--jobs", args.jobs, 1, "one process")
    data = {task: loaded(task, args.data) for task in tasks}
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    jobs = [(t, args.data, m, s) for s in range(args.seeds) for t in tasks for m in methods]
    start = time.monotonic()
    rows = make_runs(jobs, out / "runs.jsonl", args.jobs)
    results = results_of(data, rows, methods, args.seeds)
    results["versions"] = {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in PACKAGES}}
    results["date"] = time.strftime("%Y-%m-%d")
    results["command"] = command_of(args)
    write(out, results)
    print((out / "race.md").read_text(encoding="utf-8"))
    print(f"{out}/: race.md, race.json, race.png ({time.monotonic() - start:.0f} s)")


def command_of(args: argparse.Namespace) -> str:
    """Return the command line that gives these results."""
    words = ["python benchmarks/race.py"] + (["--data DIR"] if args.data is not None else [])
    words += [f"--tasks {args.tasks}"] if args.tasks != parser().get_default("tasks") else []
    words += [f"--methods {args.methods}"] if args.methods is not None else []
    words += [f"--seeds {args.seeds}"] if args.seeds != SEEDS else []
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
