"""How a run is made: what decides how fast, where and within which budget, and no result."""

from __future__ import annotations

from dataclasses import dataclass, field

from lbt_dspy.benchmarks.shared.words import CommandLine, word
from lbt_dspy.benchmarks.tasks.names import CLASSROOM
from lbt_dspy.errors import check_at_least, check_choice
from lbt_dspy.lms.config import CLIENTS

DEFAULT_WORKERS = 8
OWN_WORKERS = {CLASSROOM: 32}
"""By task: models of the classroom answer the requests of all threads together."""
CLIENT_HELP = "who sends requests: lean, litellm, auto"


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a run is made."""

    out: str | None = field(default=None, metadata=word("the run folder", "DIR", shown="default: runs/<time>-<task>"))
    resume: str | None = field(
        default=None, metadata=word("go on with a stopped run; nothing is paid for twice", "DIR")
    )
    json: str | None = field(default=None, metadata=word("write results.json there too; - is standard output", "FILE"))
    max_calls: int | None = field(default=None, metadata=word("stop before call N + 1 of this folder (exit code 3)"))
    max_cost: float | None = field(default=None, metadata=word("stop before more could be spent (exit code 3)", "USD"))
    dry_run: bool = field(default=False, metadata=word("print the largest possible number of calls; make none", ""))
    workers: int = field(
        default=DEFAULT_WORKERS,
        metadata=word("requests in flight", shown="at least 1; 8, classroom 32"),
    )
    client: str = field(default="auto", metadata=word(CLIENT_HELP, "NAME", choices=CLIENTS, shown="default auto"))
    quiet: bool = field(default=False, metadata=word("no progress; the table only", ""))
    allow_weak_sandbox: bool = field(
        default=False,
        metadata=word("code: where bubblewrap does not work, run programs where they can read your files", ""),
    )
    storage: str | None = None
    """Of `tpe`, as it was given: with its password."""


def run_options(line: CommandLine, task: str, storage: str | None) -> RunOptions:
    """Return the checked options of a command line.

    Args:
        line: What it says.
        task: Decides the number of workers, where it is not given.
        storage: Of the settings, where the line names none.

    Raises:
        UserError: One is out of bounds.
    """
    options = RunOptions(
        **{
            "workers": OWN_WORKERS.get(task, DEFAULT_WORKERS), **line.typed(RunOptions),
            "storage": line.said.get("storage", storage),
        }
    )  # fmt: skip
    check_at_least("--workers", options.workers, 1, "1 asks one call after the other")
    check_choice("--client", options.client, CLIENTS)
    return options
