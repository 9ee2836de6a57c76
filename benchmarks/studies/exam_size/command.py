"""An exam of the paper's size on one machine: 181 problems, 256 lessons, 9 sittings a lesson, 417,024 sittings.

`python benchmarks/exam_size.py --json FILE.json` holds it with a *simulated* student in process, then once more on the
finished journal, each in a fresh process: memory, size of the journal, sittings a second, and whether all marks are the
same. No model is called. See docs/throughput.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lbt_dspy.benchmarks.shared.format import markdown_table
from lbt_dspy.benchmarks.shared.parser import OneLineParser
from lbt_dspy.benchmarks.shared.words import add_words, parsed, word
from lbt_dspy.benchmarks.studies.script import exit_code_of
from lbt_dspy.benchmarks.studies.throughput.command import check_json_file
from lbt_dspy.benchmarks.studies.throughput.names import EXAM_PROBLEMS
from lbt_dspy.benchmarks.studies.throughput.report import Table, show
from lbt_dspy.benchmarks.studies.throughput.runs import own_process
from lbt_dspy.errors import LbTError, UserError, check_at_least

if TYPE_CHECKING:
    from lbt_dspy.benchmarks.studies.exam_size.runs import Run

PACKAGES = ("lbt_dspy", "dspy")
PROBLEMS, LESSONS, SITTINGS = 181, 256, 9
STUDENT = "simulated: a hash of the prompt picks one of a few hundred texts; no language model"


@dataclass(frozen=True, kw_only=True)
class SizeOptions:
    """How large the exam is."""

    problems: int = field(default=PROBLEMS, metadata=word("teaching problems", least=1))
    lessons: int = field(default=LESSONS, metadata=word("of each problem", least=1))
    sittings: int = field(default=SITTINGS, metadata=word(f"of each lesson, {EXAM_PROBLEMS} exam problems in turn"))
    json: str | None = field(default=None, metadata=word("write the results there, and FILE.md", "FILE.json"))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    p = OneLineParser(
        prog="benchmarks/exam_size.py", allow_abbrev=False, description="Hold an exam of the paper's size, twice."
    )
    add_words(p, SizeOptions, {}, known=set())
    return p


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    options = parsed(parser(), SizeOptions, argv)
    return exit_code_of(lambda: run(options))


def run(options: SizeOptions) -> None:
    """Hold the exam, and again on its journal; print and write what was seen."""
    check_at_least("--problems", options.problems, 1, f"{PROBLEMS} is the default")
    check_at_least("--lessons", options.lessons, 1, f"{LESSONS} is the default")
    if options.sittings < EXAM_PROBLEMS or options.sittings % EXAM_PROBLEMS:
        raise UserError(
            f"--sittings must be a multiple of the {EXAM_PROBLEMS} exam problems but got {options.sittings}; "
            f"{SITTINGS} is the default"
        )
    check_json_file(options.json)
    with tempfile.TemporaryDirectory() as folder:
        runs = {name: fresh_run(Path(folder) / "journal.sqlite", options) for name in ("first", "resume")}
    results: dict[str, Any] = {
        "command": command_of(options),
        "date": time.strftime("%Y-%m-%d"),
        "versions": {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in PACKAGES}},
        "cores": os.cpu_count(),
        "student": STUDENT,
        "problems": options.problems,
        "lessons": options.lessons,
        "sittings": options.sittings,
        "rows": [row_of(name, each) for name, each in runs.items()],
    }
    show([table(results)])
    if options.json is not None:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        Path(options.json).with_suffix(".md").write_text(report(results), encoding="utf-8")
    check_same(runs["first"], runs["resume"])


def fresh_run(journal: Path, options: SizeOptions) -> Run:
    """Hold the exam in a process of its own."""
    from lbt_dspy.benchmarks.studies.exam_size.runs import measure

    with own_process() as process:
        return process.submit(measure, str(journal), options.problems, options.lessons, options.sittings).result()


def check_same(first: Run, resume: Run) -> None:
    """Raise `LbTError` unless the resumed run asked nothing and gave the same marks."""
    if resume.calls or resume.marks_digest != first.marks_digest:
        raise LbTError(
            f"the resumed run must make no call and give the same marks but made {resume.calls} calls, and its marks "
            f"are {resume.marks_digest}, not {first.marks_digest}"
        )


def row_of(name: str, run: Run) -> dict[str, Any]:
    """Return the row of one run."""
    return {
        "run": name,
        "sittings": run.sittings,
        "calls": run.calls,
        "sittings_per_s": run.sittings / run.seconds,
        "seconds": run.seconds,
        "rss_before_mb": run.rss_before_mb,
        "rss_peak_mb": run.rss_peak_mb,
        "rss_added_mb": run.rss_peak_mb - run.rss_before_mb,
        "journal_bytes": run.journal_bytes,
        "distinct_texts": run.texts,
        "distinct_text_bytes": run.text_bytes,
        "journal_bytes_per_sitting": run.journal_bytes / run.sittings,
        "journal_bytes_per_sitting_beside_texts": (run.journal_bytes - run.text_bytes) / run.sittings,
        "marks_digest": run.marks_digest,
    }


def table(results: dict[str, Any]) -> Table:
    """Return the results as a table."""
    headings = (
        "run", "sittings", "calls", "sittings/s", "RSS before, MB", "peak, MB", "added, MB", "journal, bytes a sitting",
        "beside distinct texts", "digest of the marks",
    )  # fmt: skip
    cells = [
        [
            r["run"], f"{r['sittings']:,}", f"{r['calls']:,}", f"{r['sittings_per_s']:,.0f}",
            f"{r['rss_before_mb']:.0f}", f"{r['rss_peak_mb']:.0f}", f"{r['rss_added_mb']:.0f}",
            f"{r['journal_bytes_per_sitting']:.0f}", f"{r['journal_bytes_per_sitting_beside_texts']:.0f}",
            r["marks_digest"][:8],
        ]
        for r in results["rows"]
    ]  # fmt: skip
    return Table("An exam of the paper's size, with a simulated student", headings, cells)


def report(results: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    shown = table(results)
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    setup = f"`{results['command']}`, {results['date']}, {results['cores']} cores, {versions}."
    return f"# {shown.title}\n\n{setup}\n\n{markdown_table(shown.headings, shown.cells)}\n"


def command_of(options: SizeOptions) -> str:
    """Return the command line that gives these results."""
    words = ["python benchmarks/exam_size.py"]
    for name in ("problems", "lessons", "sittings"):
        value = getattr(options, name)
        words += [f"--{name} {value}"] if value != getattr(SizeOptions, name) else []
    return " ".join([*words, "--json benchmarks/results/exam_size.json"])
