"""`lbt doctor`: is all there that a run would need? One call per model, asked for first."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from lbt_dspy.benchmarks.shared.parser import OneLineParser, command_name
from lbt_dspy.benchmarks.shared.run_options import CLIENT_HELP
from lbt_dspy.benchmarks.shared.words import add_words, parsed, word
from lbt_dspy.benchmarks.tasks.names import ANSWERED, LABELLED
from lbt_dspy.errors import UserError, check_choice
from lbt_dspy.lms.config import CLIENTS

METHODS = ("m1", "m2", "m3")
TASKS = (*LABELLED, *ANSWERED)


@dataclass(frozen=True, kw_only=True)
class DoctorOptions:
    """Which models are asked, and for what run."""

    teacher: str | None = field(default=None, metadata=word("the teacher's model", "NAME"))
    students: str | None = field(default=None, metadata=word("the students' models", "NAME,NAME"))
    config: str | None = field(default=None, metadata=word("a LiteLLM YAML whose model names may be used", "FILE"))
    task: str | None = field(
        default=None, metadata=word("of the run: what it needs must be there", "NAME", choices=TASKS)
    )
    method: str | None = field(default=None, metadata=word("of the run", "NAME", choices=METHODS))
    client: str = field(default="auto", metadata=word(CLIENT_HELP, "NAME", choices=CLIENTS, shown="default auto"))
    yes: bool = field(default=False, metadata=word("make the calls without asking", ""))


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    p = OneLineParser(
        prog=f"{command_name()} doctor",
        allow_abbrev=False,
        description="Look whether all is there that a run would need: asks each model once (the price is said before) "
        "and shows whether it answers, how fast, readably, with label log-probabilities, a known price and usage; "
        "which sandbox works here, which extras are installed.",
        epilog="Exit codes: 0 all that the run needs is there, 2 a mistake in the call, 1 something is missing.",
    )
    add_words(p, DoctorOptions, {}, known=set())
    return p


def execute(words: Sequence[str]) -> int:
    """Look at everything; return the exit code."""
    options = parsed(parser(), DoctorOptions, words)
    check_choice("--client", options.client, CLIENTS)
    for flag, value, known in (("--task", options.task, TASKS), ("--method", options.method, METHODS)):
        if value is not None:
            check_choice(flag, value, known)
    from lbt_dspy.benchmarks.cli.checkup import check_models, extras, machine, plan, table
    from lbt_dspy.benchmarks.shared.console import console
    from lbt_dspy.lms.roles import LMRoles

    students = (options.students or "").split(",")
    names = list(dict.fromkeys(name.strip() for name in (options.teacher or "", *students) if name.strip()))
    lms = LMRoles(options.config, client=options.client).lms(names)
    out = console()
    asked = plan(lms)
    if asked is not None:
        out.print(asked)
        agreed(options.yes)
    found = check_models(lms)
    if found:
        out.print(table(found))
    for checkup in found:
        for note in checkup.notes:
            out.print(f"{checkup.name}: {note}")
    checks = [*machine(options.task), *extras(options.method)]
    for check in checks:
        out.print(check.line)
    missing = [c.name for c in found if not c.well] + [
        check.name for check in checks if check.needed and not check.there
    ]
    if missing:
        print(f"error: a run would miss: {', '.join(missing)}", file=sys.stderr)
    return 1 if missing else 0


def agreed(yes: bool) -> None:
    """Ask whether the calls are to be made.

    Raises:
        UserError: They are not, or nobody is there to be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError("lbt doctor asks before it makes calls, and nobody is there to answer; give --yes")
    if input("Make these calls? [y/N] ").strip().casefold() not in ("y", "yes"):
        raise UserError("no call was made; give --yes, or answer y")
