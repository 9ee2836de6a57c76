"""What the commands of all methods share: the job, the console, the table of a dry run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lbt_dspy.benchmarks.shared.format import dollars
from lbt_dspy.errors import UserError

if TYPE_CHECKING:
    import dspy
    from rich.console import Console

    from lbt_dspy.ledger.journal import Journal
    from lbt_dspy.ledger.ledger import Ledger

WIDE = 140
Costs = tuple[float | None, float | None]
"""Of one call, about and at most, in US dollars; `None`: unknown."""


class Job(Protocol):
    """A run of one method: made from settings and command line, which checks data and models before any call."""

    @property
    def lms(self) -> Sequence[dspy.LM]:
        """All models that may be called."""

    def print_plan(self, retries: int) -> None:
        """Print the largest number of calls."""

    def begin(self, ledger: Ledger, tell: Callable[[str], None], folder: Path) -> int:
        """Set the run up; return the most calls it can make."""

    def run(self) -> None:
        """Make all calls."""

    def write(self, folder: Path, json_path: str | None, seconds: float) -> None:
        """Write the run folder and print the table."""

    def print_part(self, *, errors: bool) -> None:
        """Print what is known when the run stops early."""


def silent(said: str) -> None:
    """Tell nobody."""


def console(*, errors: bool = False) -> Console:
    """Return the console of the results; where no terminal sets a width, tables are not folded."""
    from rich.console import Console

    terminal = (sys.stderr if errors else sys.stdout).isatty()
    return Console(width=None if terminal else WIDE, highlight=False, soft_wrap=True, stderr=errors)


def sent_line(journal: Journal) -> str:
    """Return what a run that stopped early has spent."""
    spent, unpriced = journal.spent(), journal.unpriced()
    cost = dollars(None if unpriced and not spent else spent)
    some = " for those with a known price" if unpriced and spent else ""
    return f"requests sent: {journal.sent():,}; cost: {cost}{some}"


def asked_at(roles: Sequence[tuple[str, dspy.LM]]) -> str | None:
    """Say in one line where the models of a run are asked; `None`: all are in this process.

    Args:
        roles: Each model with its role.
    """
    from lbt_dspy.lms.user_lm import engine_of

    engines = [(role, engine_of(lm)) for role, lm in roles]
    said = [f"{role} {e.name} at {' and '.join(e.addresses)}" for role, e in engines if e.addresses]
    return f"Asked: {'; '.join(dict.fromkeys(said))}" if said else None


def roles_of(lms: Sequence[dspy.LM], students: int) -> list[tuple[str, dspy.LM]]:
    """Return the models of a job with their roles: the teacher, so many students, and others of the user's program."""
    return [("teacher" if i == 0 else "student" if i <= students else "program", lm) for i, lm in enumerate(lms)]


def check_json_path(path: str | None) -> None:
    """Raise `UserError` when `--json` cannot be written."""
    if path not in (None, "-") and (Path(str(path)).is_dir() or not Path(str(path)).absolute().parent.is_dir()):
        raise UserError(f"--json {path} cannot be written: it must be a file in a folder that exists, or -")


def print_calls(
    plan: Mapping[tuple[str, str], int],
    lms: Mapping[str, dspy.LM],
    costs: Callable[[str, dspy.LM], Costs],
    retries: int,
) -> Console:
    """Print the calls of a plan by (role, LM name), what they cost, and where the models are asked.

    Returns:
        The console, for further lines.
    """
    from rich import box
    from rich.table import Table

    from lbt_dspy.lms.user_lm import engine_of

    out = console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, heading in enumerate(("role", "model", "calls if none fails", "cost, about", "most calls", "most cost")):
        table.add_column(heading, justify="left" if i < 2 else "right", overflow="fold")
    totals: list[float | None] = [0.0, 0.0, 0.0, 0.0]
    for role, name in sorted(plan, key=_teacher_first):
        calls = plan[role, name]
        most = calls if engine_of(lms[name]).in_process else calls * (retries + 1)
        likely, worst = costs(role, lms[name])
        row = [calls, None if likely is None else likely * calls, most, None if worst is None else worst * most]
        table.add_row(role, name, *_plan_cells(row))
        totals = [None if t is None or v is None else t + v for t, v in zip(totals, row, strict=True)]
    table.add_row("all", "", *_plan_cells(totals))
    out.print("Dry run: no call was made.")
    out.print(table)
    where = asked_at([(role, lms[name]) for role, name in sorted(plan, key=_teacher_first)])
    if where is not None:
        out.print(where)
    return out


def _teacher_first(key: tuple[str, str]) -> tuple[bool, tuple[str, str]]:
    return key[0] != "teacher", key


def _plan_cells(row: Sequence[float | None]) -> list[str]:
    calls, likely, most, worst = row
    return [f"{calls or 0:,.0f}", dollars(likely), f"{most or 0:,.0f}", dollars(worst)]


def give_json(text: str, json_path: str | None, folder: Path) -> bool:
    """Write results.json where `--json` wants it too; return whether that is standard output, which then has all."""
    if json_path == "-":
        sys.stdout.write(text)
        print(f"the run's folder: {folder}", file=sys.stderr)
    elif json_path is not None:
        Path(json_path).write_text(text, encoding="utf-8")
    return json_path == "-"


def print_table(out: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, all of whose columns but the first are numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(headings):
        table.add_column(name, justify="right" if i else "left", overflow="fold")
    for cells in rows:
        table.add_row(*cells)
    out.print(table)
