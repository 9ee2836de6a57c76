"""`lbt predict`: apply a compiled program to the rows of a file."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lbt_dspy.benchmarks.shared.parser import OneLineParser, command_name
from lbt_dspy.benchmarks.shared.run_options import CLIENT_HELP, DEFAULT_WORKERS
from lbt_dspy.benchmarks.shared.words import add_words, parsed, word
from lbt_dspy.benchmarks.tasks.tables import ENDINGS, check_columns, columns_of, ending_of, read_file, writer_for
from lbt_dspy.errors import UserError, check_at_least, check_choice
from lbt_dspy.lms.config import CLIENTS

COLUMN = "prediction"


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """What is answered, by which model, and where it is written."""

    program_file: str = field(metadata=word("the program.json of a run", "PROGRAM.JSON", positional=True))
    file: str = field(metadata=word("CSV, JSONL or Parquet file with the run's text columns", "FILE", positional=True))
    out: str | None = field(
        default=None,
        metadata=word("where to write, by its ending", "FILE", shown="default: CSV on standard output"),
    )
    teacher: str | None = field(
        default=None, metadata=word("the model that answers", "NAME", shown="default: the run's")
    )
    config: str | None = field(default=None, metadata=word("a LiteLLM YAML whose model names may be used", "FILE"))
    program: str | None = field(default=None, metadata=word("your program, when the run had one", "MODULE:NAME"))
    max_calls: int | None = field(default=None, metadata=word("stop before call N + 1 (exit code 3)"))
    max_cost: float | None = field(default=None, metadata=word("stop before more could be spent (exit code 3)", "USD"))
    workers: int = field(default=DEFAULT_WORKERS, metadata=word("requests in flight", least=1))
    client: str = field(default="auto", metadata=word(CLIENT_HELP, "NAME", choices=CLIENTS, shown="default auto"))
    quiet: bool = field(default=False, metadata=word("no progress", ""))


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    p = OneLineParser(
        prog=f"{command_name()} predict",
        allow_abbrev=False,
        description="Apply a compiled program to a CSV, JSONL or Parquet file: writes its rows with one more column, "
        f"{COLUMN}, which is empty where there was no readable answer. Equal texts are asked once. Where the file has "
        "labels, F1 and accuracy are printed too.",
        epilog="Exit codes: 0 done, 2 a mistake in the call, 3 budget spent (what is known is written), 1 all else.",
    )
    add_words(p, PredictOptions, {}, known=set())
    return p


def execute(words: Sequence[str]) -> int:
    """Check everything before any call, then predict; return the exit code."""
    options = parsed(parser(), PredictOptions, words)
    check_at_least("--workers", options.workers, 1, "1 asks one call after the other")
    check_choice("--client", options.client, CLIENTS)
    _check_out(options.out)
    from lbt_dspy.benchmarks.cli.predictions import Report, RowPredictor, compiled_program
    from lbt_dspy.benchmarks.cli.running import RETRIES, check_prices
    from lbt_dspy.benchmarks.shared.console import asked_at, roles_of
    from lbt_dspy.benchmarks.shared.program_record import read_program
    from lbt_dspy.errors import BudgetSpentError
    from lbt_dspy.ledger.budget import Budget
    from lbt_dspy.ledger.ledger import Ledger
    from lbt_dspy.ledger.progress import Progress
    from lbt_dspy.lms.roles import LMRoles

    budget = Budget(options.max_calls, options.max_cost)
    record, state = read_program(Path(options.program_file))
    trained = compiled_program(record, state, options.program_file, options.program)
    source = Path(options.file)
    rows = read_file(source, "FILE")
    check_columns(rows, record.task.text_fields, "the program's text field", source.name)
    column = free_name(columns_of(rows))
    write = writer_for(".csv" if options.out is None else ending_of(options.out), rows)
    teacher = LMRoles(options.config, client=options.client).lms([options.teacher or record.teacher])[0]
    trained.set_teacher(teacher)
    if options.max_cost is not None:
        check_prices([teacher, *trained.others()])
    predictor = RowPredictor(trained, record.task, teacher, rows, source.name)
    where = asked_at(roles_of([teacher, *trained.others()], 0))
    if where is not None and not options.quiet:
        print(where, file=sys.stderr)
    stopped: BaseException | None = None
    with Progress(predictor.calls, quiet=options.quiet) as progress:
        ledger = Ledger(budget=budget, workers=options.workers, retries=RETRIES, watcher=progress)
        with contextlib.closing(ledger):
            try:
                answers = predictor.ask(ledger)
            except (BudgetSpentError, KeyboardInterrupt) as error:
                answers, stopped = predictor.known(ledger), error
            progress.stop()
            _write(write([{**row, column: a.label} for row, a in zip(rows, answers, strict=True)]), options.out)
            print(Report(record.task, rows, answers, ledger).text(), file=sys.stderr)
    if stopped is not None:
        raise stopped
    return 0


def free_name(columns: list[str]) -> str:
    """Return a name for the new column that no column has."""
    tries = (COLUMN, *(f"{COLUMN}_{number}" for number in range(2, len(columns) + 3)))
    return next(name for name in tries if name not in columns)


def _check_out(out: str | None) -> None:
    if out is None:
        return
    if ending_of(out) not in ENDINGS:
        raise UserError(f"--out {out} has an unknown ending; it must be one of {', '.join(ENDINGS)}")
    if Path(out).is_dir() or not Path(out).absolute().parent.is_dir():
        raise UserError(f"--out {out} cannot be written: it must be a file in a folder that exists")


def _write(content: bytes, out: str | None) -> None:
    if out is None:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
        return
    try:
        Path(out).write_bytes(content)
    except OSError as error:
        raise UserError(f"--out {out} cannot be written ({error.strerror}); name another file") from None
