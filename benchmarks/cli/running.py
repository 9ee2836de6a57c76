"""Makes a run of any method: everything is checked before any call, and whatever was paid for is kept."""

from __future__ import annotations

import contextlib
import gc
import importlib
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lbt_dspy.benchmarks.cli.run_folder import alone_in, run_folder
from lbt_dspy.benchmarks.cli.settings import AnySettings
from lbt_dspy.benchmarks.m1.settings import check_weak_sandbox
from lbt_dspy.benchmarks.shared.console import Job, asked_at, check_json_path, console, roles_of
from lbt_dspy.benchmarks.shared.run_options import RunOptions
from lbt_dspy.errors import BudgetSpentError, JournalError, ModelUnreachableError, StorageLostError, UserError
from lbt_dspy.ledger.budget import Budget
from lbt_dspy.ledger.journal import Journal
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.ledger.progress import Progress
from lbt_dspy.lms.user_lm import engine_of

RETRIES = 4


def execute(settings: AnySettings, options: RunOptions) -> int:
    """Check everything before any call, then make the run; return the exit code."""
    budget = Budget(options.max_calls, options.max_cost)
    check_json_path(options.json)
    check_weak_sandbox(options.allow_weak_sandbox, settings.task)
    job = job_of(settings, options)
    if options.max_cost is not None:
        check_prices(job.lms)
    if options.dry_run:
        job.print_plan(RETRIES)
        return 0
    where = asked_at(roles_of(job.lms, len(settings.students)))
    if where is not None and not options.quiet:
        print(where, file=sys.stderr)
    folder = run_folder(settings, options)
    path: Path = getattr(job, "journal", None) or folder / "journal.sqlite"
    with contextlib.ExitStack() as held, Progress(quiet=options.quiet) as progress:
        for place in {folder.resolve(), path.parent.resolve()}:
            held.enter_context(alone_in(place))
        journal = Journal(path)
        ledger = Ledger(journal, budget, workers=options.workers, retries=RETRIES, watcher=progress)
        progress.total = job.begin(ledger, progress.tell, folder)
        return make_run(job, ledger, folder, options.json, progress)


def job_of(settings: AnySettings, options: RunOptions) -> Job:
    """Return the job of a method, its data and models checked."""
    name = "m2.export" if getattr(settings, "exports_m1", False) else f"{settings.method}.job"
    module = importlib.import_module(f"lbt_dspy.benchmarks.{name}")
    return module.Job(settings, options)  # type: ignore[no-any-return]


def make_run(job: Job, ledger: Ledger, folder: Path, json_path: str | None, progress: Progress) -> int:
    """Make the run and write its folder; however it ends, what was paid for is kept."""
    gc.freeze()  # what was imported lives as long as the process: it need not be looked at again and again
    start = time.monotonic()
    again = f"lbt --resume {shlex.quote(str(folder))}"
    try:
        job.run()
        progress.stop()
        job.write(folder, json_path, ledger.journal.seconds() + time.monotonic() - start)
        return 0
    except BudgetSpentError:
        ledger.finish()
        progress.stop()
        job.print_part(errors=json_path == "-")
        console(errors=json_path == "-").print(
            f"Stopped by the budget. Go on with: {again} and a larger --max-calls or --max-cost (they count all that "
            "was spent in this folder; without them there is no limit)."
        )
        raise
    except (ModelUnreachableError, JournalError, StorageLostError) as error:
        raise type(error)(f"{error}: {again}") from None
    except KeyboardInterrupt:
        print(f"stopped; what was answered is kept. Go on with: {again}", file=sys.stderr)
        ledger.abandon()
        return 1
    finally:
        ledger.finish()
        with contextlib.suppress(JournalError):  # said already, or nothing but the time is lost
            ledger.journal.add_session(time.monotonic() - start)
        ledger.close()


def check_prices(lms: Sequence[object]) -> None:
    """Raise `UserError` when `--max-cost` cannot be kept because a price is unknown."""
    for lm in lms:
        engine = engine_of(lm)
        if not engine.priced:
            raise UserError(
                f"--max-cost needs the price of {engine.name} by token, which is unknown; give input_cost_per_token "
                "and output_cost_per_token under its model_info in the --config YAML (0 for a model of your own)"
            )
