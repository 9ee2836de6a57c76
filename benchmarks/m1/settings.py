"""What a run of M1 was asked to do: its options on the command line, checked before any call."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lbt_dspy.errors import UserError, check_at_least, check_choice

METHOD = "m1"
ALL = "all"
"""The full exam, from whose journal the other schedules are replayed: what they would have paid for, and answered."""
CLASSROOM = "classroom"
CODE = "code"
TASKS = ("math", CLASSROOM, CODE)
EXAMS = ("variants", "nearest", "same-kind", "fixed")
SELECTIONS = ("sum", "max", "avg")
SCHEDULES = ("full", "lossless", "confident", ALL)
NUMBERS = (
    ("rationales", "lessons sampled for a question (24; code 8; m2 12)"),
    ("exam-problems", "problems of an exam (3)"),
    ("sittings", "sittings of each student on each exam problem after each lesson (3)"),
    ("gate", "stop sampling when the first N lessons agree (off)"),
    ("in-flight", "sittings asked at a time for one question (16; classroom 1)"),
    ("limit", "only the first N questions (all)"),
    ("debug-rounds", "code: give a program that fails a visible test back to its model, at most N times (0)"),
)
WORDS = (
    ("exam", "variants (of the question), nearest (in the bank), same-kind (subject, level; code: tag) or fixed"),
    (
        "mark",
        "of a sitting: grade (the student's answer is graded) or evidence (how much likelier a lesson makes the "
        "reference)",
    ),
    ("schedule", "lossless (stops when nothing can change the answer), confident, full, or all of them (classroom)"),
)
LEAST = {"gate": 2, "debug-rounds": 0}
OWN_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    CLASSROOM: {
        "teacher": "embedded/classroom-teacher", "students": ("embedded/classroom-student-a",), "schedule": ALL,
        "in_flight": 1, "delta": 0.01, "temperature": 1.0, "seeds": (0, 1, 2),
    },
    CODE: {"rationales": 8, "selection": "max", "exam": "same-kind"},
}  # fmt: skip
"""By task, where they are not those of `RerankSettings`."""
MARKS = ("grade", "evidence")
NAMES = (*(flag.replace("-", "_") for flag, _ in (*NUMBERS, *WORDS)), "delta", "temperature", "choices")


@dataclass(frozen=True, kw_only=True)
class RerankSettings:
    """All that decides the results of a run of M1; nothing that only decides how fast or where."""

    task: str
    method: str = METHOD
    teacher: str
    students: tuple[str, ...]
    config: str | None = None
    data: str | None = None
    rationales: int = 24
    selection: str = "sum"
    exam: str = "variants"
    exam_problems: int = 3
    sittings: int = 3
    mark: str = "grade"
    schedule: str = "lossless"
    delta: float = 0.05
    gate: int | None = None
    in_flight: int = 16
    choices: bool = False
    debug_rounds: int = 0
    temperature: float = 0.7
    limit: int | None = None
    seeds: tuple[int, ...] = (0,)


def add_rerank_flags(parser: argparse.ArgumentParser) -> None:
    """Add the options of M1 that M3 does not have."""
    group = parser.add_argument_group("the better answer (--method m1)")
    for flag, text in WORDS:
        group.add_argument(f"--{flag}", metavar="NAME", help=text)
    for flag, text in NUMBERS:
        group.add_argument(f"--{flag}", metavar="N", type=int, help=text)
    group.add_argument(
        "--choices", action="store_true", default=None,
        help="--schedule full: ask all sittings at a problem in one request (n), where the server does that",
    )  # fmt: skip
    group.add_argument(
        "--allow-weak-sandbox", action="store_true",
        help="code: where bubblewrap does not work, run programs where they can read your files",
    )  # fmt: skip
    group.add_argument("--delta", metavar="P", type=float, help="confident: its risk (0.05; classroom 0.01)")
    group.add_argument("--temperature", metavar="T", type=float, help="of lessons and sittings (0.7; classroom 1)")


def is_rerank(args: argparse.Namespace) -> bool:
    """Return whether a command line asks for M1."""
    return args.method == METHOD or (args.method is None and args.task in TASKS)


def rerank_settings(args: argparse.Namespace, others: tuple[str, ...]) -> RerankSettings:
    """Return the checked settings of a command line.

    Args:
        args: The command line.
        others: Options that M1 does not have.

    Raises:
        UserError: An option is missing, out of bounds, or not one of M1's.
    """
    from lbt_dspy.benchmarks.cli.settings import as_kept, model_names, seeds_of

    check_choice("--task of --method m1", args.task, TASKS)
    for name in others:
        if getattr(args, name) not in (None, False, []):
            raise UserError(f"--{name.replace('_', '-')} is not an option of --method m1; see --help")
    own = OWN_DEFAULTS.get(args.task, {})
    if args.teacher is None and "teacher" not in own:
        raise UserError(
            f"the task {args.task} needs language models: --teacher NAME, and --students NAME,NAME for the exams, such "
            "as openai/gpt-4o-mini, hosted_vllm/MODEL@http://host:port/v1 or a name of --config. Without a key or a "
            f"server run --task {CLASSROOM}: M1 with tiny language models of a synthetic world, offline"
        )
    teacher, students = model_names(_named_models(args, own))
    given = {name: getattr(args, name) for name in (*NAMES, "selection") if getattr(args, name) is not None}
    kept = {name: as_kept(name, getattr(args, name)) for name in ("config", "data") if getattr(args, name) is not None}
    seeds = seeds_of(args.seeds, own.get("seeds", RerankSettings.seeds))
    if args.mark == "evidence":
        given.setdefault("sittings", 1)
    models = {"teacher": teacher, "students": students or (teacher,), "seeds": seeds}
    settings = RerankSettings(**{"task": args.task, **own, **models, **kept, **given})
    _check(settings)
    return settings


def check_weak_sandbox(args: argparse.Namespace, task: str) -> None:
    """Raise `UserError` where a sandbox is spoken of and no program will run."""
    if args.allow_weak_sandbox and task != CODE:
        raise UserError(f"--allow-weak-sandbox is for --task {CODE}; leave it out")


def _named_models(args: argparse.Namespace, own: Mapping[str, Any]) -> argparse.Namespace:
    """Return the models of a command line, with the task's own ones where it names none."""
    students = ",".join(own.get("students", ())) or None
    return argparse.Namespace(
        config=args.config,
        teacher=own.get("teacher") if args.teacher is None else args.teacher,
        students=students if args.students is None else args.students,
    )


def _check(settings: RerankSettings) -> None:
    check_choice("--selection of --method m1", settings.selection, SELECTIONS)
    check_choice("--exam", settings.exam, tuple(name for name in EXAMS if settings.task != CODE or name != "variants"))
    check_choice("--schedule", settings.schedule, SCHEDULES)
    check_choice("--mark", settings.mark, MARKS)
    if settings.task == CLASSROOM and settings.data is not None:
        raise UserError(f"the task {CLASSROOM} makes its own problems; leave --data {settings.data} out")
    for flag, _ in NUMBERS:
        value: Any = getattr(settings, flag.replace("-", "_"))
        if value is not None:
            check_at_least(f"--{flag}", value, LEAST.get(flag, 1), "see --help for the default")
    if settings.task != CODE and settings.debug_rounds:
        raise UserError(f"--debug-rounds {settings.debug_rounds} is for --task {CODE}; leave it out")
    if settings.task == CODE and settings.mark == "evidence":
        raise UserError(f"--mark evidence is not for --task {CODE}, whose marks are visible tests; leave it out")
    if not settings.temperature >= 0:
        raise UserError(f"--temperature must be at least 0 but got {settings.temperature}; see --help for the default")
    if settings.gate is not None and settings.gate > settings.rationales:
        raise UserError(
            f"--gate must be at most --rationales, {settings.rationales}, but got {settings.gate}: so many lessons are "
            "never sampled"
        )
    _check_exam(settings)
    default = OWN_DEFAULTS.get(settings.task, {}).get("delta", RerankSettings.delta)
    if settings.schedule not in ("confident", ALL) and settings.delta != default:
        raise UserError(f"--delta {settings.delta} is for --schedule confident; leave it out, or choose that schedule")


def _check_exam(settings: RerankSettings) -> None:
    if settings.choices and settings.schedule != "full":
        raise UserError(f"--choices is for --schedule full but got {settings.schedule}; leave it out")
    if settings.mark == "evidence" and settings.sittings != 1:
        raise UserError(
            f"--sittings must be 1 with --mark evidence but got {settings.sittings}; leave it out, nothing is sampled"
        )
    if settings.schedule == "confident" and settings.selection == "max":
        raise UserError("--schedule confident is for --selection sum or avg but got max; take --schedule lossless")
    if not 0 <= settings.delta < 0.5:
        raise UserError(f"--delta must be at least 0 and less than 0.5 but got {settings.delta}; 0 is lossless")
