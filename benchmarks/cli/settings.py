"""What a run was asked to do, of whichever method: of a new run, or of one that is gone on with."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from lbt_dspy.benchmarks.cli.parser import RECORDS
from lbt_dspy.benchmarks.m1.settings import METHOD as M1
from lbt_dspy.benchmarks.m1.settings import RerankSettings, rerank_settings
from lbt_dspy.benchmarks.m2.settings import METHOD as M2
from lbt_dspy.benchmarks.m2.settings import TuningSettings, tuning_settings
from lbt_dspy.benchmarks.m3.settings import METHOD as M3
from lbt_dspy.benchmarks.m3.settings import SearchSettings, search_settings
from lbt_dspy.benchmarks.shared.kept import load_record
from lbt_dspy.benchmarks.shared.run_options import RunOptions
from lbt_dspy.benchmarks.shared.words import as_kept, spelt, strange, words_of
from lbt_dspy.benchmarks.tasks.names import ANSWERED
from lbt_dspy.errors import UserError, nearest_hint
from lbt_dspy.teleprompters.exemplars.choices import HIDDEN

AnySettings = SearchSettings | RerankSettings | TuningSettings
NOT_ON_RESUME = ("out",)


def settings_of(args: argparse.Namespace) -> AnySettings:
    """Return the checked settings of a command line: of M1, M2 or M3.

    Raises:
        UserError: An option is missing, out of bounds, or does not go with another.
    """
    if args.resume is not None:
        return resumed(args)
    if args.method not in (None, *RECORDS):
        raise UserError(
            f"--method must be m1, m2 or m3 but got {args.method!r}{nearest_hint(args.method, list(RECORDS))}"
        )
    method = args.method or (M1 if args.task in ANSWERED else M3)
    if method == M3 and args.task in ANSWERED:
        raise UserError(f"--task {args.task} is for --method m1; leave --method out")
    _check_own(args, method)
    if method == M1:
        return rerank_settings(args)
    return tuning_settings(args) if method == M2 else search_settings(args)


def _check_own(args: argparse.Namespace, method: str) -> None:
    """Raise `UserError` for an option of another method."""
    wrong = strange(args, (RECORDS[method], RunOptions), ("task", "method"))
    if wrong is None:
        return
    name = "source" if wrong == "--from" else wrong.removeprefix("--").replace("-", "_")
    others = [other for other, record in RECORDS.items() if name in words_of(record)]
    raise UserError(
        f"{wrong} is an option of --method {others[0]}; see --help"
        if method == M3
        else f"{wrong} is not an option of --method {method}; see --help"
    )


def resumed(args: argparse.Namespace) -> AnySettings:
    """Return the settings of the run that is gone on with; what is given beside --resume must be the same."""
    saved: AnySettings = load_record(Path(args.resume), RECORDS)
    storage = getattr(saved, "storage", None)
    if storage is not None and args.storage is None:
        if HIDDEN in storage:
            raise UserError(f"--resume {args.resume} needs --storage again, since passwords are not kept: {storage}")
        args.storage = storage
    how = {f.name for f in dataclasses.fields(RunOptions)} - {"storage", "out"}
    record = next(kind for kind in RECORDS.values() if isinstance(saved, kind))
    for name, value in vars(args).items():
        if value is None or value is False or name in how or (name == "out" and Path(value) == Path(args.resume)):
            continue
        held = getattr(saved, name, None)
        kept = as_kept(name, value, record) if name in words_of(record) else value
        if kept != held:
            text = ",".join(map(str, held)) if isinstance(held, tuple) else held
            raise UserError(
                f"{spelt(name, record)} cannot be changed on --resume: the run in {args.resume} has {text!r}; begin a "
                "new one with --out"
            )
    return saved
