"""The command line: `python benchmarks/run.py --task fallacy`, installed as `lbt`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from lbt_dspy.benchmarks.settings import Settings

RETRIES = 4
DEFAULT_WORKERS = 8


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    from lbt_dspy.benchmarks.settings import parser, settings_of
    from lbt_dspy.errors import LbTError

    args = parser().parse_args(argv)
    try:
        return execute(settings_of(args), args)
    except LbTError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def execute(settings: Settings, args: argparse.Namespace) -> int:
    """Check everything, then run, report and write the run folder."""
    from lbt_dspy.errors import check_at_least

    workers = DEFAULT_WORKERS if args.workers is None else args.workers
    check_at_least("--workers", workers, 1, "1 asks one call after the other")
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    from lbt_dspy.benchmarks.compare import Comparison, Runner
    from lbt_dspy.benchmarks.labelled_data import load_data
    from lbt_dspy.benchmarks.outcome import results_of
    from lbt_dspy.benchmarks.output import (
        check_json_path,
        console,
        partial_table,
        print_plan,
        write_run,
    )  # fmt: skip
    from lbt_dspy.benchmarks.plan import largest_plan
    from lbt_dspy.budget import Budget
    from lbt_dspy.errors import BudgetSpentError
    from lbt_dspy.journal import Journal
    from lbt_dspy.lms.ledger import Ledger
    from lbt_dspy.lms.roles import LMRoles
    from lbt_dspy.progress import Progress

    budget = Budget(args.max_calls, args.max_cost)
    check_json_path(args.json)
    data = load_data(settings.task, settings.data, settings.filter)
    check_sizes(settings, data.train)
    teacher, *students = LMRoles(settings.config).lms([settings.teacher, *settings.students])
    if args.max_cost is not None:
        check_prices([teacher, *students])
    progress = Progress(quiet=args.quiet)
    if args.dry_run:
        with_memory = Ledger(workers=1)
        print_plan(Runner(settings, data, teacher, students, with_memory, str), RETRIES)
        with_memory.close()
        return 0
    folder = run_folder(settings, args)
    ledger = Ledger(Journal(folder / "journal.sqlite"), budget, workers=workers, retries=RETRIES, watcher=progress)

    def tell(what: str) -> None:
        progress.label = what

    runner = Runner(settings, data, teacher, students, ledger, tell)
    progress.total = sum(largest_plan(runner).values())
    comparison, start = Comparison(), time.monotonic()
    try:
        with progress:
            runner.run(comparison)
        results = results_of(runner, comparison, time.monotonic() - start)
        write_run(folder, args.json, results, runner, comparison)
    except BudgetSpentError:
        ledger.finish()
        partial_table(runner, comparison)
        console().print(f"Stopped by the budget. Go on with: --resume {folder}")
        raise
    except KeyboardInterrupt:
        print(f"stopped; what was answered is kept. Go on with: --resume {folder}", file=sys.stderr)
        ledger.abandon()
        return 1
    finally:
        ledger.close()
    return 0


def check_sizes(settings: Settings, train: tuple[object, ...]) -> None:
    """Raise `UserError` when there are fewer training examples than exemplars."""
    from lbt_dspy.errors import UserError

    if settings.exemplars > len(train):
        raise UserError(
            f"--exemplars must be at most the {len(train)} training examples but got {settings.exemplars}; "
            "ask for fewer or give more data"
        )


def check_prices(lms: list[object]) -> None:
    """Raise `UserError` when `--max-cost` cannot be kept because a price is unknown."""
    from lbt_dspy.errors import UserError
    from lbt_dspy.lms.user_lm import engine_of

    for lm in lms:
        engine = engine_of(lm)
        if not engine.priced:
            raise UserError(
                f"--max-cost needs the price of {engine.name}, which is unknown; give input_cost_per_token and "
                "output_cost_per_token under its model_info in the --config YAML (0 for a model of your own)"
            )


def run_folder(settings: Settings, args: argparse.Namespace) -> Path:
    """Return the folder of this run: a new one with its settings in it, or the resumed one."""
    from lbt_dspy.errors import UserError

    if args.resume is not None:
        return Path(args.resume)
    default = Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{settings.task}"
    folder = default if args.out is None else Path(args.out)
    if args.out is not None and folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"--out {folder} is not empty; name a new folder, or go on with --resume {folder}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        settings.save(folder)
    except OSError as error:
        raise UserError(f"--out {folder} cannot be written ({error.strerror}); name another folder") from None
    return folder


if __name__ == "__main__":
    sys.exit(main())
