"""`python benchmarks/math_task.py prepare`: make the folder of mathematical problems that `--data` names."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lbt_dspy.benchmarks.shared.parser import OneLineParser
from lbt_dspy.benchmarks.tasks.math.snapshots import prepare
from lbt_dspy.benchmarks.tasks.math.task import LAYOUTS
from lbt_dspy.errors import LbTError


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    p = OneLineParser(
        prog="benchmarks/math_task.py",
        allow_abbrev=False,
        description="Mathematical problems as a task of M1, arXiv 2406.14629.",
    )
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    make = commands.add_parser(
        "prepare",
        allow_abbrev=False,
        help=f"make {' and '.join(LAYOUTS[0])} of MATH500 and snapshots of MATH()",
    )
    make.add_argument("--math500", metavar="FILE|DIR", required=True, help="test.jsonl of MATH500, or its folder")
    make.add_argument("--snapshots", metavar="DIR", required=True, nargs="+", help="Oct-2023, Nov-2023, ... of fneval")
    make.add_argument("--out", metavar="DIR", required=True, help="where the two files are written")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    args = parser().parse_args(argv)
    try:
        print(prepare(Path(args.math500), [Path(name) for name in args.snapshots], Path(args.out)))
    except LbTError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0
