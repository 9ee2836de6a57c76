r"""How long a grade takes in the sandbox, beside a fresh interpreter per program: the references of HumanEval.

Chen et al. 2021, Evaluating Large Language Models Trained on Code (MIT licence). One row, shortened:
{"task_id": "HumanEval/0", "prompt": "from typing import List\n\ndef has_close_elements(...", "entry_point":
"has_close_elements", "canonical_solution": "    for idx, elem in enumerate(numbers): ...", "test": "def check(..."}

    python benchmarks/sandbox_speed.py --data HumanEval.jsonl --out benchmarks/results/sandbox_speed.json
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lbt_dspy.benchmarks.studies.script import exit_code_of
from lbt_dspy.errors import UserError, check_at_least
from lbt_dspy.metrics.sandbox import run_program


def programs(path: Path) -> list[tuple[str, str]]:
    """Return (program, test) of each reference."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise UserError(f"--data {path} cannot be read ({error}); name HumanEval.jsonl") from None
    return [(row["prompt"] + row["canonical_solution"], f"{row['test']}\ncheck({row['entry_point']})") for row in rows]


def sandboxed(isolation: str) -> Callable[[str, str], bool]:
    """Return what grades a program in the sandbox."""
    return lambda program, test: run_program(program, [test], isolation=isolation).passed


def fresh(*flags: str) -> Callable[[str, str], bool]:
    """Return what runs a program and its test in an interpreter of their own, held by nothing."""
    command = [sys.executable, *flags, "-c"]
    return lambda program, test: not subprocess.run([*command, f"{program}\n{test}"], check=False).returncode


def measure(
    ways: dict[str, Callable[[str, str], bool]], found: list[tuple[str, str]], rounds: int
) -> dict[str, list[float]]:
    """Return the seconds for all programs, one after the other, in each round.

    The ways take turns set by set, not program by program: a cell that is made ready for the next grade must cost the
    sandbox its time, and nobody else.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            failed = [program for program, test in found if not way(program, test)]
            seconds[name].append(time.perf_counter() - start)
            if failed:
                raise UserError(f"{len(failed)} references fail in {name}, the first is {failed[0][:80]!r}")
    return seconds


def versions() -> dict[str, str]:
    """Return what the numbers depend on."""
    bwrap = shutil.which("bwrap")
    told = subprocess.run([bwrap, "--version"], capture_output=True, text=True, check=False).stdout if bwrap else "none"
    return {
        "lbt_dspy": importlib.metadata.version("lbt_dspy"),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "bubblewrap": told.split()[-1],
        "cores": str(len(os.sched_getaffinity(0))),
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="HumanEval.jsonl")
    parser.add_argument("--rounds", type=int, default=5, help="times that all programs are graded in each way")
    parser.add_argument("--out", type=Path, help="a file for the JSON")
    options = parser.parse_args(arguments)
    return exit_code_of(lambda: run(options.data, options.rounds, options.out))


def run(data: Path, rounds: int, out: Path | None) -> None:
    """Measure, print and write."""
    check_at_least("--rounds", rounds, 1, "5 is the default")
    found = programs(data)
    ways = {
        "bubblewrap": sandboxed("bubblewrap"),
        "weak": sandboxed("weak"),
        "fresh interpreter": fresh(),
        "fresh interpreter, -I -S": fresh("-I", "-S"),
    }
    load = os.getloadavg()[0]  # of other work: the sandbox gains from a second core that is free
    measure(ways, found[:3], 1)  # starts the sandboxes
    seconds = measure(ways, found, rounds)
    medians = {name: statistics.median(spent) for name, spent in seconds.items()}
    base = medians["fresh interpreter"]
    result = {
        "command": f"python benchmarks/sandbox_speed.py --data HumanEval.jsonl --rounds {rounds}",
        "date": datetime.date.today().isoformat(),
        "versions": versions(),
        "load_average": round(load, 2),
        "programs": len(found),
        "ms_per_program": {name: round(1000 * median / len(found), 2) for name, median in medians.items()},
        "ratio_to_fresh_interpreter": {name: round(median / base, 3) for name, median in medians.items()},
        "seconds_by_round": {name: [round(s, 3) for s in spent] for name, spent in seconds.items()},
    }
    text = json.dumps(result, indent=2)
    print(text)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
