"""What a run of M1 was asked to do: its options, checked before any call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from lbt_dspy.benchmarks.shared.models import models_of
from lbt_dspy.benchmarks.shared.words import HINT, CommandLine, check_words, word, words_of
from lbt_dspy.benchmarks.tasks.names import ANSWERED, CLASSROOM, CLASSROOM_STUDENT, CLASSROOM_TEACHER, CODE
from lbt_dspy.errors import UserError, check_choice
from lbt_dspy.exam.names import MarkName, ScheduleName, SelectionName

METHOD = "m1"
ALL = "all"
"""The full exam, from whose journal the other schedules are replayed: what they would have paid for, and answered."""
EXAMS = ("variants", "nearest", "same-kind", "fixed")
SELECTIONS = tuple(name for name in get_args(SelectionName) if name != "maj")
SCHEDULES = (*get_args(ScheduleName), ALL)
MARKS = get_args(MarkName)
OWN_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    CLASSROOM: {
        "teacher": CLASSROOM_TEACHER, "students": (CLASSROOM_STUDENT,), "schedule": ALL, "in_flight": 1, "delta": 0.01,
        "temperature": 1.0, "seeds": (0, 1, 2),
    },
    CODE: {"rationales": 8, "selection": "max", "exam": "same-kind"},
}  # fmt: skip
"""By task, where they are not those of `RerankSettings`."""


@dataclass(frozen=True, kw_only=True)
class RerankSettings:
    """All that decides the results of a run of M1; nothing that only decides how fast or where."""

    task: str
    method: str = METHOD
    teacher: str = field(metadata=word("the model whose answers are judged", "NAME"))
    students: tuple[str, ...] = field(metadata=word("the models that sit the exams", "NAME,NAME"))
    config: str | None = field(
        default=None, metadata=word("a LiteLLM YAML whose model names may be used", "FILE", place=True)
    )
    data: str | None = field(
        default=None, metadata=word("folder or file with the task's problems, or hf", "DIR", place=True)
    )
    rationales: int = field(default=24, metadata=word("lessons sampled for a question", least=1))
    selection: str = field(
        default="sum", metadata=word("which row lbt_scores.png shows (the table has all)", "NAME", choices=SELECTIONS)
    )
    exam: str = field(
        default="variants",
        metadata=word(
            "variants: of the question; nearest: in the bank; same-kind: subject and level, of programs the tag; fixed",
            "NAME",
            choices=EXAMS,
        ),
    )
    exam_problems: int = field(default=3, metadata=word("problems of an exam", least=1))
    sittings: int = field(
        default=3, metadata=word("sittings of each student on each exam problem after each lesson", least=1)
    )
    mark: str = field(
        default="grade",
        metadata=word(
            "of a sitting. grade: the student's answer is graded; evidence: how much likelier a lesson makes the "
            "reference",
            "NAME",
            choices=MARKS,
        ),
    )
    schedule: str = field(
        default="lossless",
        metadata=word(
            "lossless: stops when nothing can change the answer; confident: when that is unlikely; full: never; all: "
            "full, and the others replayed",
            "NAME",
            choices=SCHEDULES,
        ),
    )
    delta: float = field(default=0.05, metadata=word("confident: its risk, below 0.5", "P", least=0))
    gate: int | None = field(
        default=None, metadata=word("stop sampling when the first N lessons agree", least=2, shown="default: off")
    )
    in_flight: int = field(default=16, metadata=word("sittings asked at a time for one question", least=1))
    choices: bool = field(
        default=False,
        metadata=word(
            "--schedule full: ask all sittings at a problem in one request (n), where the server does that", ""
        ),
    )
    debug_rounds: int = field(
        default=0,
        metadata=word("code: give a program that fails a visible test back to its model, at most N times", least=0),
    )
    temperature: float = field(default=0.7, metadata=word("of lessons and sittings", "T", least=0))
    limit: int | None = field(default=None, metadata=word("only the first N questions", least=1, shown="default: all"))
    seeds: tuple[int, ...] = field(default=(0,), metadata=word("one run per seed", "0,1,2"))

    def own_defaults(self) -> Mapping[str, Any]:
        """Return the defaults of the task, where they are not those of the fields."""
        return OWN_DEFAULTS.get(self.task, {})


NOT_REPORTED = ("teacher", "students", "config", "data", "seeds")
REPORTED = tuple(name for name in words_of(RerankSettings) if name not in NOT_REPORTED)
"""Options that results.json repeats."""


def rerank_settings(line: CommandLine) -> RerankSettings:
    """Return the checked settings of a command line.

    Raises:
        UserError: An option is missing or out of bounds.
    """
    check_choice("--task of --method m1", line.task, ANSWERED)
    own, options = OWN_DEFAULTS.get(str(line.task), {}), line.given(RerankSettings)
    if "teacher" not in options and "teacher" not in own:
        raise UserError(
            f"the task {line.task} needs language models: --teacher NAME, and --students NAME,NAME for the exams, such "
            "as openai/gpt-4o-mini, hosted_vllm/MODEL@http://host:port/v1 or a name of --config. Without a key or a "
            f"server run --task {CLASSROOM}: M1 with tiny language models of a synthetic world, offline"
        )
    models = models_of(options, own)
    if options.get("mark") == "evidence":
        options.setdefault("sittings", 1)
    settings = RerankSettings(
        **{
            **own, **options, "task": str(line.task), "teacher": models["teacher"],
            "students": models["students"] or (models["teacher"],),
        }
    )  # fmt: skip
    _check(settings)
    return settings


def check_weak_sandbox(allowed: bool, task: str) -> None:
    """Raise `UserError` where a sandbox is spoken of and no program will run."""
    if allowed and task != CODE:
        raise UserError(f"--allow-weak-sandbox is for --task {CODE}; leave it out")


def _check(settings: RerankSettings) -> None:
    check_choice("--selection of --method m1", settings.selection, SELECTIONS)
    check_choice("--exam", settings.exam, tuple(name for name in EXAMS if settings.task != CODE or name != "variants"))
    check_words(settings)
    if settings.task == CLASSROOM and settings.data is not None:
        raise UserError(f"the task {CLASSROOM} makes its own problems; leave --data {settings.data} out")
    if settings.task != CODE and settings.debug_rounds:
        raise UserError(f"--debug-rounds {settings.debug_rounds} is for --task {CODE}; leave it out")
    if settings.task == CODE and settings.mark == "evidence":
        raise UserError(f"--mark evidence is not for --task {CODE}, whose marks are visible tests; leave it out")
    if not settings.temperature >= 0:
        raise UserError(f"--temperature must be at least 0 but got {settings.temperature}; {HINT}")
    if settings.gate is not None and settings.gate > settings.rationales:
        raise UserError(
            f"--gate must be at most --rationales, {settings.rationales}, but got {settings.gate}: so many lessons are "
            "never sampled"
        )
    _check_exam(settings)
    default = settings.own_defaults().get("delta", RerankSettings.delta)
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
