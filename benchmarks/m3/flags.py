"""The options of the exemplar search on the command line."""

from __future__ import annotations

import argparse
from typing import Any

from lbt_dspy.teleprompters.exemplars.choices import check_options

PLACES = ("config", "data", "train", "test")
"""Options that name a file or folder; a run folder keeps where it is."""
NUMBERS = (
    ("exemplars", "exemplars in a set (8)"),
    ("rounds", "rounds of criticism (5); m2: of training (1)"),
    ("selection-examples", "training examples on which sets are scored (400, or all there are)"),
    ("evaluations", "most evaluations, one set on one selection example (as many as beam needs)"),
    ("minibatch", "training examples that the students answer in a round (64)"),
    ("reflections", "groups of failure cases per criticised set and round (4)"),
    ("reflection-mix", "reflections that are combined for one revision (1)"),
    ("beam", "sets kept after a round (4); utility scores twice as many at its end"),
    ("paraphrases", "beam: how often the teacher says each new set in other words (0)"),
    ("pool", "utility: exemplars among which it chooses (120)"),
    ("draw", "utility: selection examples in one exam (an eighth of them)"),
)
WORDS = (
    ("search", "utility (credits each exemplar), beam (the paper's loop) or tpe (an Optuna study)"),
    ("init", "train (random exemplars) or generate (the teacher writes them from the question)"),
    ("evaluator", "beam: full, or halving, rejects, ucb: score within --evaluations"),
    (
        "selection",
        "M3: who is scored, teacher or students; M1: sum, max or avg, for lbt_scores.png (the table has all)",
    ),
    ("scoring", "auto, metric or likelihood; auto uses label probabilities in exams where models give them"),
)
NAMES = (*(flag.replace("-", "_") for flag, _ in (*NUMBERS, *WORDS)), "typed_feedback")


def add_search_flags(parser: argparse.ArgumentParser) -> None:
    """Add the options of the search."""
    group = parser.add_argument_group("search")
    for flag, text in WORDS:
        group.add_argument(f"--{flag}", metavar="NAME", help=text)
    for flag, text in NUMBERS:
        group.add_argument(f"--{flag}", metavar="N", type=int, help=text)
    group.add_argument(
        "--typed-feedback", action="store_true", default=None, help="ask for the kind of each mistake, and count kinds"
    )
    group.add_argument(
        "--storage", metavar="URL", help="tpe: a file or database that several runs share (default: in the run folder)"
    )
    group.add_argument("--seeds", metavar="0,1,2", help="one run per seed (0,1,2)")


def search_settings(args: argparse.Namespace, defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the given options of the search by name, checked.

    Args:
        args: The command line.
        defaults: Of all options.

    Raises:
        UserError: A value is out of bounds, or the chosen search would not look at it.
    """
    given = {name: getattr(args, name) for name in NAMES if getattr(args, name) is not None}
    values = {**{name: defaults[name] for name in NAMES}, **given, "storage": args.storage}
    check_options(values, {**defaults, "storage": None}, spelt, "see --help for the default")
    return given


def spelt(name: str) -> str:
    """Return an option as it is written on the command line."""
    return f"--{name.replace('_', '-')}"
