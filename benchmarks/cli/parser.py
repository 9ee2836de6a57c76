"""The parser of the command line, and its help: one screen, or what applies to a task or method."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from lbt_dspy.benchmarks.m1.settings import METHOD as M1
from lbt_dspy.benchmarks.m1.settings import OWN_DEFAULTS, RerankSettings
from lbt_dspy.benchmarks.m2.settings import CLASSROOM_DEFAULTS, TuningSettings
from lbt_dspy.benchmarks.m2.settings import METHOD as M2
from lbt_dspy.benchmarks.m3.settings import METHOD as M3
from lbt_dspy.benchmarks.m3.settings import SearchSettings
from lbt_dspy.benchmarks.shared.parser import OneLineParser, command_name
from lbt_dspy.benchmarks.shared.run_options import RunOptions
from lbt_dspy.benchmarks.shared.words import add_words, words_of
from lbt_dspy.benchmarks.tasks.names import ANSWERED, LABELLED

RECORDS: Mapping[str, type[Any]] = {M1: RerankSettings, M2: TuningSettings, M3: SearchSettings}
TITLES = {
    M1: "the better answer (M1)",
    M2: "the tuned teacher (M2)",
    M3: "exemplars of a classifier (M3)",
}
ABOUT = """\
Better answers by teaching: a lesson is as good as what students do after it.

tasks and methods:
  --task fallacy | liar           M3: a classifier learns in-context exemplars
                                  from its students' mistakes
  --train FILE --test FILE --question TEXT
                                  M3 on labelled texts of your own
  --task math | code | classroom  M1: of many sampled answers the one whose
                                  solutions teach students best
  --task classroom --method m2    M2: the teacher is trained on its lessons that
                                  taught best
All are compared with fair baselines. Without models named M3 runs statistical
ones in process, the classroom tiny language models: no key, no download."""
MORE = """\
more:
  lbt --task math --help     what applies to a task, with defaults and ranges,
                             or to a method: --method m3 --help
  lbt predict --help         apply a compiled program to a file
  lbt compare --help         compare two runs
  lbt doctor --help          is all there that a run needs? one call per model
Exit codes: 0 done, 2 a mistake in the call, 3 budget spent (resumable), 1 else."""
NARROW, WIDE = 80, 110
"""Columns of the help, at least and at most."""


def parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser of the command line; it knows all options, whatever its help shows.

    Args:
        words: The command line: the help shows what applies to its task and method.
    """
    task, method = value_of("--task", words), value_of("--method", words)
    shown = method_of(task, method, own="--train" in words)
    name = command_name()
    p = OneLineParser(
        prog=name,
        allow_abbrev=False,
        usage=f"{name} --task NAME [options]" if shown is None else f"{name} [options]",
        description=ABOUT if shown is None else f"The options of {TITLES[shown]}; {name} --help has the tasks.",
        epilog=MORE,
        formatter_class=_Screen,
    )
    known: set[str] = set()
    p.add_argument("--task", metavar="NAME", help=f"one of {', '.join((*LABELLED, *ANSWERED))}")
    p.add_argument("--method", metavar="NAME", help="m1, m2 or m3 (default: what the task is for)")
    if shown is None:
        _models(p.add_argument_group("models"), known)
    for kind, record in sorted(RECORDS.items(), key=lambda item: item[0] != shown):
        own = OWN_DEFAULTS.get(task or "", {}) if kind == M1 else CLASSROOM_DEFAULTS if kind == M2 else {}
        hidden = () if kind == shown else tuple(words_of(record))
        add_words(p.add_argument_group(TITLES[kind]), record, own, known=known, hidden=hidden)
    hidden = () if shown == M1 else ("allow_weak_sandbox",)
    add_words(p.add_argument_group("run"), RunOptions, {}, known=known, hidden=hidden)
    return p


class _Screen(argparse.RawDescriptionHelpFormatter):
    """Wide enough for a line an option."""

    def __init__(self, prog: str) -> None:
        columns = shutil.get_terminal_size((NARROW, 0)).columns
        super().__init__(prog, max_help_position=26, width=max(NARROW, min(columns, WIDE)))


def _models(group: argparse._ArgumentGroup, known: set[str]) -> None:
    """Add what all methods say of their models."""
    for flag, metavar, said in (
        ("--teacher", "NAME", "writes lessons or exemplars; such as openai/gpt-4o-mini"),
        ("--students", "NAME,NAME", "sit the exams; hosted_vllm/MODEL@http://HOST:PORT/v1"),
        ("--config", "FILE", "a LiteLLM YAML whose model names may be used"),
    ):
        group.add_argument(flag, metavar=metavar, help=said)
        known.add(flag)


def value_of(flag: str, words: Sequence[str]) -> str | None:
    """Return the value of a flag in a command line that was not parsed yet."""
    for place, word in enumerate(words):
        if word == flag:
            return next(iter(words[place + 1 :]), None)
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    return None


def method_of(task: str | None, method: str | None, *, own: bool) -> str | None:
    """Return the method that a command line asks for; `None`: it does not say."""
    if method in RECORDS:
        return method
    return M1 if task in ANSWERED else M3 if task in LABELLED or own else None
