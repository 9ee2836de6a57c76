"""What a run was asked to do, of whichever method: of a new run, or of one that is gone on with."""

from __future__ import annotations

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
from lbt_dspy.benchmarks.shared.words import CommandLine, as_kept, listing, spelt, words_of
from lbt_dspy.benchmarks.tasks.names import ANSWERED
from lbt_dspy.errors import UserError, nearest_hint
from lbt_dspy.teleprompters.exemplars.choices import HIDDEN

AnySettings = SearchSettings | RerankSettings | TuningSettings


def settings_of(line: CommandLine) -> AnySettings:
    """Return the checked settings of a command line: of M1, M2 or M3.

    Raises:
        UserError: An option is missing, out of bounds, or does not go with another.
    """
    if "resume" in line.said:
        return resumed(line)
    named = line.said.get("method")
    if named not in (None, *RECORDS):
        raise UserError(f"--method must be m1, m2 or m3 but got {named!r}{nearest_hint(named, list(RECORDS))}")
    method = named or (M1 if line.task in ANSWERED else M3)
    if method == M3 and line.task in ANSWERED:
        raise UserError(f"--task {line.task} is for --method m1; leave --method out")
    _check_own(line, method)
    if method == M1:
        return rerank_settings(line)
    return tuning_settings(line) if method == M2 else search_settings(line)


def _check_own(line: CommandLine, method: str) -> None:
    """Raise `UserError` for an option of another method."""
    name = line.strange((RECORDS[method], RunOptions), ("task", "method"))
    if name is None:
        return
    other = next(other for other, record in RECORDS.items() if name in words_of(record))
    flag = spelt(name, RECORDS[other])
    raise UserError(
        f"{flag} is an option of --method {other}; see --help"
        if method == M3
        else f"{flag} is not an option of --method {method}; see --help"
    )


def resumed(line: CommandLine) -> AnySettings:
    """Return the settings of the run that is gone on with; what is given beside --resume must be the same."""
    folder = line.said["resume"]
    saved: AnySettings = load_record(Path(folder), RECORDS)
    record = type(saved)
    storage = getattr(saved, "storage", None)
    if storage is not None and HIDDEN in storage and "storage" not in line.said:
        raise UserError(f"--resume {folder} needs --storage again, since passwords are not kept: {storage}")
    how = {f.name for f in dataclasses.fields(RunOptions)} - {"storage", "out"}
    for name, value in line.said.items():
        if name in how or (name == "out" and Path(value) == Path(folder)):
            continue
        held = getattr(saved, name, None)
        if (as_kept(name, value, record) if name in words_of(record) else value) != held:
            text = listing(held) if isinstance(held, tuple) else held
            raise UserError(
                f"{spelt(name, record)} cannot be changed on --resume: the run in {folder} has {text!r}; begin a new "
                "one with --out"
            )
    return saved
