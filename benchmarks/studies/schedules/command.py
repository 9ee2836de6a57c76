"""What the schedules of an exam save, on mark tables simulated after four rows of the paper (see tables.py).

`python benchmarks/schedules.py --json FILE` writes FILE and, beside it, the same as Markdown and as a picture. No model
is called; a run takes some minutes on one core.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import sys
import time
from pathlib import Path
from typing import Any

from lbt_dspy.benchmarks.shared.parser import OneLineParser
from lbt_dspy.errors import LbTError, UserError, check_at_least

PACKAGES = ("lbt_dspy", "numpy")
PROBLEMS = 2000


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    p = OneLineParser(
        prog="benchmarks/schedules.py", allow_abbrev=False, description="Measure what schedules save, and lose."
    )
    p.add_argument("--problems", metavar="N", type=int, default=PROBLEMS, help=f"teaching problems a row ({PROBLEMS})")
    p.add_argument("--seed", metavar="N", type=int, default=0, help="of the simulated tables (0)")
    p.add_argument("--json", metavar="FILE.json", help="write the results there, and FILE.md and FILE.png")
    return p


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    args = parser().parse_args(argv)
    try:
        check_at_least("--problems", args.problems, 1, f"{PROBLEMS} is the default")
        check_at_least("--seed", args.seed, 0, "0 is the default")
        if args.json is not None and (Path(args.json).suffix != ".json" or not Path(args.json).parent.is_dir()):
            raise UserError(f"--json must be a file FILE.json in a folder that exists but got {args.json!r}")
        run(args)
        return 0
    except LbTError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def run(args: argparse.Namespace) -> None:
    """Make all measurements and write them."""
    from lbt_dspy.benchmarks.studies.schedules.report import show, write
    from lbt_dspy.benchmarks.studies.schedules.runs import equal_budgets, gates, savings

    start = time.monotonic()
    results: dict[str, Any] = {
        "command": command_of(args),
        "date": time.strftime("%Y-%m-%d"),
        "versions": {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in PACKAGES}},
        "seed": args.seed,
        "rows": list(savings(args.problems, args.seed)),
        "equal_budgets": list(equal_budgets(max(args.problems // 2, 1), args.seed)),
        "gates": list(gates(args.problems, args.seed)),
    }
    show(results)
    if args.json is not None:
        write(Path(args.json), results)
        print(f"{args.json}, .md and .png ({time.monotonic() - start:.0f} s)")


def command_of(args: argparse.Namespace) -> str:
    """Return the command line that gives these results."""
    words = ["python benchmarks/schedules.py"]
    words += [f"--problems {args.problems}"] if args.problems != PROBLEMS else []
    words += [f"--seed {args.seed}"] if args.seed else []
    return " ".join([*words, "--json benchmarks/results/schedules.json"])
