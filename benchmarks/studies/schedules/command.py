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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbt_dspy.benchmarks.shared.parser import OneLineParser
from lbt_dspy.benchmarks.shared.words import add_words, parsed, word
from lbt_dspy.errors import LbTError, UserError, check_at_least

PACKAGES = ("lbt_dspy", "numpy")
PROBLEMS = 2000


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions:
    """What is simulated."""

    problems: int = field(default=PROBLEMS, metadata=word("teaching problems a row", least=1))
    seed: int = field(default=0, metadata=word("of the simulated tables", least=0))
    json: str | None = field(
        default=None, metadata=word("write the results there, and FILE.md and FILE.png", "FILE.json")
    )


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    p = OneLineParser(
        prog="benchmarks/schedules.py", allow_abbrev=False, description="Measure what schedules save, and lose."
    )
    add_words(p, ScheduleOptions, {}, known=set())
    return p


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    options = parsed(parser(), ScheduleOptions, argv)
    try:
        check_at_least("--problems", options.problems, 1, f"{PROBLEMS} is the default")
        check_at_least("--seed", options.seed, 0, "0 is the default")
        if options.json is not None and (
            Path(options.json).suffix != ".json" or not Path(options.json).parent.is_dir()
        ):
            raise UserError(f"--json must be a file FILE.json in a folder that exists but got {options.json!r}")
        run(options)
        return 0
    except LbTError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def run(options: ScheduleOptions) -> None:
    """Make all measurements and write them."""
    from lbt_dspy.benchmarks.studies.schedules.report import show, write
    from lbt_dspy.benchmarks.studies.schedules.runs import equal_budgets, gates, savings

    start = time.monotonic()
    results: dict[str, Any] = {
        "command": command_of(options),
        "date": time.strftime("%Y-%m-%d"),
        "versions": {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in PACKAGES}},
        "seed": options.seed,
        "rows": list(savings(options.problems, options.seed)),
        "equal_budgets": list(equal_budgets(max(options.problems // 2, 1), options.seed)),
        "gates": list(gates(options.problems, options.seed)),
    }
    show(results)
    if options.json is not None:
        write(Path(options.json), results)
        print(f"{options.json}, .md and .png ({time.monotonic() - start:.0f} s)")


def command_of(options: ScheduleOptions) -> str:
    """Return the command line that gives these results."""
    words = ["python benchmarks/schedules.py"]
    words += [f"--problems {options.problems}"] if options.problems != PROBLEMS else []
    words += [f"--seed {options.seed}"] if options.seed else []
    return " ".join([*words, "--json benchmarks/results/schedules.json"])
