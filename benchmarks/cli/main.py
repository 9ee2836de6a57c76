"""The command line: `python benchmarks/run.py --task fallacy`, installed as `lbt`."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from lbt_dspy.benchmarks.cli.settings import AnySettings
    from lbt_dspy.benchmarks.shared.console import Job
    from lbt_dspy.ledger.ledger import Ledger
    from lbt_dspy.ledger.progress import Progress

COMMANDS = {"predict": "lbt_dspy.benchmarks.cli.predict", "compare": "lbt_dspy.benchmarks.cli.compare"}
JOBS = {"m1": "rerank_job", "m2": "tuning_job", "m3": "search_job"}
RETRIES = 4
DEFAULT_WORKERS = 8
OWN_WORKERS = {"classroom": 32}
"""By task: models of the classroom answer the requests of all threads together."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    from lbt_dspy.benchmarks.cli.settings import parser
    from lbt_dspy.errors import LbTError

    words = sys.argv[1:] if argv is None else argv
    command = importlib.import_module(COMMANDS[words[0]]) if words and words[0] in COMMANDS else None
    args = parser().parse_args(words) if command is None else command.parser().parse_args(words[1:])
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        return execute(args) if command is None else int(command.execute(args))
    except LbTError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def execute(args: argparse.Namespace) -> int:
    """Check everything before any call, then make the run."""
    from lbt_dspy.benchmarks.cli.settings import settings_of

    settings = settings_of(args)
    from lbt_dspy.benchmarks.m1.settings import check_weak_sandbox
    from lbt_dspy.benchmarks.shared.console import check_json_path
    from lbt_dspy.errors import check_at_least, check_choice
    from lbt_dspy.ledger.budget import Budget
    from lbt_dspy.ledger.journal import Journal
    from lbt_dspy.ledger.ledger import Ledger
    from lbt_dspy.ledger.progress import Progress
    from lbt_dspy.lms.config import CLIENTS

    workers = OWN_WORKERS.get(settings.task, DEFAULT_WORKERS) if args.workers is None else args.workers
    check_at_least("--workers", workers, 1, "1 asks one call after the other")
    check_choice("--client", args.client, CLIENTS)
    budget = Budget(args.max_calls, args.max_cost)
    check_json_path(args.json)
    check_weak_sandbox(args, settings.task)
    job = job_of(settings, args)
    if args.max_cost is not None:
        check_prices(job.lms)
    if args.dry_run:
        job.print_plan(RETRIES)
        return 0
    folder = run_folder(settings, args)
    path: Path = getattr(job, "journal", None) or folder / "journal.sqlite"
    with contextlib.ExitStack() as held, Progress(quiet=args.quiet) as progress:
        for place in {folder.resolve(), path.parent.resolve()}:
            held.enter_context(alone_in(place))
        journal = Journal(path)
        ledger = Ledger(journal, budget, workers=workers, retries=RETRIES, watcher=progress)
        progress.total = job.begin(ledger, progress.tell, folder)
        return make_run(job, ledger, folder, args.json, progress)


def job_of(settings: AnySettings, args: argparse.Namespace) -> Job:
    """Return the job of a method, its data and models checked."""
    name = "export_job" if getattr(settings, "exports_m1", False) else JOBS[settings.method]
    module = importlib.import_module(f"lbt_dspy.benchmarks.{name}")
    return module.Job(settings, args)  # type: ignore[no-any-return]


def make_run(job: Job, ledger: Ledger, folder: Path, json_path: str | None, progress: Progress) -> int:
    """Make the run and write its folder; however it ends, what was paid for is kept."""
    from lbt_dspy.benchmarks.shared.console import console
    from lbt_dspy.errors import BudgetSpentError, ModelUnreachableError

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
    except ModelUnreachableError as error:
        raise ModelUnreachableError(f"{error}: {again}") from None
    except KeyboardInterrupt:
        print(f"stopped; what was answered is kept. Go on with: {again}", file=sys.stderr)
        ledger.abandon()
        return 1
    finally:
        ledger.finish()
        ledger.journal.add_session(time.monotonic() - start)
        ledger.close()


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a lock on a run folder, which ends with this process at the latest.

    Raises:
        UserError: Another process is at work in it: both would pay for the same calls.
    """
    import filelock

    from lbt_dspy.errors import UserError

    lock = filelock.FileLock(folder / ".lock", blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise UserError(f"{folder} is in use by another process; wait for its end, or name another folder") from None
    try:
        yield
    finally:
        lock.release()


def check_prices(lms: Sequence[object]) -> None:
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


def run_folder(settings: AnySettings, args: argparse.Namespace) -> Path:
    """Return the folder of this run: a new one with its settings in it, or the resumed one."""
    from lbt_dspy.benchmarks.cli.kept_settings import save_settings
    from lbt_dspy.errors import UserError

    if args.resume is not None:
        return Path(args.resume)
    default = Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{settings.task}"
    folder = default if args.out is None else Path(args.out)
    if args.out is not None and folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"--out {folder} is not empty; name a new folder, or go on with --resume {folder}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_settings(settings, folder)
    except OSError as error:
        raise UserError(f"--out {folder} cannot be written ({error.strerror}); name another folder") from None
    return folder
