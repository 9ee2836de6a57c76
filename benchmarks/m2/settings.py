"""What a run of M2 was asked to do: its options on the command line, checked before any call."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lbt_dspy.benchmarks.m1.settings import CLASSROOM, OWN_DEFAULTS, RerankSettings
from lbt_dspy.errors import UserError, check_at_least, check_choice

METHOD = "m2"
NUMBERS = (
    ("problems", "training problems (500)"),
    ("held-out", "problems on which the teacher is measured before and after (630)"),
    ("per-problem", "preference pairs of a problem, at most (8)"),
    ("batch-size", "pairs of a training step (16)"),
)
SHARES = (
    ("gap", "how far apart the scores of a pair must be (0.6; exported 0.3)"),
    ("weight", "of correctness in the score of exported pairs (0.5; 0: LbT score alone)"),
    ("beta", "of DPO (0.1)"),
    ("nll-weight", "of the likelihood of chosen texts beside DPO's loss (50)"),
    ("learning-rate", "at the first step (5e-4)"),
    ("epochs", "passes over the pairs (3)"),
)
NAMES = (*(flag.replace("-", "_") for flag, _ in (*NUMBERS, *SHARES)), "export_only", "source")
SHARED = ("rationales", "sittings", "exam", "exam_problems", "temperature", "limit", "rounds", "debug_rounds")
"""Options of other methods that M2 has too."""
TRAINED = ("problems", "held_out", "beta", "nll_weight", "learning_rate", "epochs", "batch_size", "rounds")
"""Options that mean nothing where nothing is trained."""
CLASSROOM_DEFAULTS: Mapping[str, Any] = {
    "teacher": "embedded/classroom-teacher", "students": ("embedded/classroom-student-a",), "seeds": (0, 1, 2),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TuningSettings:
    """All that decides the results of a run of M2; nothing that only decides how fast or where."""

    task: str
    method: str = METHOD
    teacher: str
    students: tuple[str, ...]
    config: str | None = None
    data: str | None = None
    export_only: bool = False
    source: str | None = None
    """The folder of a run of M1 whose lessons and marks are used; `None`: lessons are sampled."""
    problems: int = 500
    held_out: int = 630
    rationales: int = 12
    exam: str = "variants"
    exam_problems: int = 3
    sittings: int = 3
    debug_rounds: int = 0
    limit: int | None = None
    weight: float = 0.5
    gap: float = 0.6
    per_problem: int = 8
    beta: float = 0.1
    nll_weight: float = 50.0
    learning_rate: float = 5e-4
    epochs: float = 3.0
    batch_size: int = 16
    rounds: int = 1
    temperature: float = 1.0
    seeds: tuple[int, ...] = (0,)

    @property
    def exports_m1(self) -> bool:
        """Whether the lessons are those that M1 samples: nothing is trained."""
        return self.task != CLASSROOM or self.source is not None


def add_tuning_flags(parser: argparse.ArgumentParser) -> None:
    """Add the options of M2 that the other methods do not have."""
    group = parser.add_argument_group("the tuned teacher (--method m2)")
    for flag, text in NUMBERS:
        group.add_argument(f"--{flag}", metavar="N", type=int, help=text)
    for flag, text in SHARES:
        group.add_argument(f"--{flag}", metavar="X", type=float, help=text)
    group.add_argument(
        "--export-only", action="store_true", default=None, help="write the preference pairs, and train nothing"
    )
    group.add_argument(
        "--from", metavar="DIR", dest="source",
        help="--export-only: make the pairs of the lessons of a run of M1; what its exams left open is asked",
    )  # fmt: skip


def tuning_settings(args: argparse.Namespace, others: tuple[str, ...]) -> TuningSettings:
    """Return the checked settings of a command line.

    Args:
        args: The command line.
        others: Options that M2 does not have.

    Raises:
        UserError: An option is missing, out of bounds, or not one of M2's.
    """
    from lbt_dspy.benchmarks.cli.settings import as_kept, seeds_of

    for name in others:
        if getattr(args, name) not in (None, False, []):
            raise UserError(f"--{name.replace('_', '-')} is not an option of --method m2; see --help")
    given = {name: getattr(args, name) for name in (*NAMES, *SHARED) if getattr(args, name) is not None}
    if args.source is not None:
        return _of_source(args, given)
    check_choice("--task of --method m2", args.task, (CLASSROOM, "math", "code"))
    if args.task != CLASSROOM:
        _check_export(given, f"--task {args.task} of --method m2 exports pairs")
        return _exporting(rerank_of(args, given), given)
    if args.data is not None:
        raise UserError(f"the task {CLASSROOM} makes its own problems; leave --data {args.data} out")
    named = {name: getattr(args, name) for name in ("teacher", "students") if getattr(args, name) is not None}
    if set(named) - {"students"}:
        raise UserError(f"--teacher is {CLASSROOM_DEFAULTS['teacher']} in the classroom, which is what is trained")
    if "students" in named:
        named["students"] = tuple(name.strip() for name in named["students"].split(","))
    kept = {"config": as_kept("config", args.config)} if args.config is not None else {}
    seeds = seeds_of(args.seeds, CLASSROOM_DEFAULTS["seeds"])
    settings = TuningSettings(**{"task": CLASSROOM, **CLASSROOM_DEFAULTS, **named, **kept, **given, "seeds": seeds})
    check_tuning(settings)
    return settings


def rerank_of(args: argparse.Namespace, given: Mapping[str, Any]) -> RerankSettings:
    """Return the settings of the run of M1 whose lessons would be these."""
    from lbt_dspy.benchmarks.m1.settings import rerank_settings

    return rerank_settings(args, others=())


def _of_source(args: argparse.Namespace, given: Mapping[str, Any]) -> TuningSettings:
    """Return the settings of pairs from a run of M1, which decides all but how lessons become pairs."""
    from pathlib import Path

    from lbt_dspy.benchmarks.cli.kept_settings import load_settings

    _check_export(given, "--from makes pairs of a run of M1")
    mine = ("source", "export_only", "weight", "gap", "per_problem")
    strange = [name for name in (*given, "teacher", "students", "data", "task") if name not in mine]
    for name in strange:
        if getattr(args, name, None) is not None:
            raise UserError(f"--{name.replace('_', '-')} is that of the run in --from {args.source}; leave it out")
    held = load_settings(Path(args.source))
    if not isinstance(held, RerankSettings):
        raise UserError(f"--from {args.source} is no run of M1; name the folder of one")
    return _exporting(held, {**given, "source": str(Path(args.source).absolute())})


def _exporting(m1: RerankSettings, given: Mapping[str, Any]) -> TuningSettings:
    """Return the settings of an export of lessons that M1 samples and examines."""
    shared = {
        name: getattr(m1, name)
        for name in (
            "task", "teacher", "students", "config", "data", "rationales", "exam", "exam_problems", "sittings",
            "debug_rounds", "limit", "temperature", "seeds",
        )
    }  # fmt: skip
    own = {name: given[name] for name in ("source", "weight", "gap", "per_problem") if name in given}
    settings = TuningSettings(**{**shared, "gap": 0.3, **own, "export_only": True})
    check_tuning(settings)
    return settings


def _check_export(given: Mapping[str, Any], what: str) -> None:
    if not given.get("export_only"):
        raise UserError(
            f"{what}: give --export-only, and train with them elsewhere (TRL, OpenAI) or with LbTDPO, see docs/m2.md"
        )
    wrong = next((name for name in TRAINED if name in given), None)
    if wrong is not None:
        raise UserError(f"--{wrong.replace('_', '-')} is for training; leave it out with --export-only")


def rerank_settings_of(settings: TuningSettings) -> RerankSettings:
    """Return the settings of M1 under which the lessons of an export are sampled and examined."""
    from pathlib import Path

    from lbt_dspy.benchmarks.cli.kept_settings import load_settings

    if settings.source is not None:
        held = load_settings(Path(settings.source))
        if isinstance(held, RerankSettings):
            return held
    own = OWN_DEFAULTS.get(settings.task, {})
    names = ("teacher", "students", "config", "data", "rationales", "exam", "exam_problems", "sittings")
    more = ("debug_rounds", "limit", "temperature", "seeds")
    return RerankSettings(
        **{**own, "task": settings.task, **{name: getattr(settings, name) for name in (*names, *more)}}
    )


def check_tuning(settings: TuningSettings) -> None:
    """Raise `UserError` unless all options are within their bounds."""
    from lbt_dspy.teleprompters.dpo.options import DPOSettings
    from lbt_dspy.teleprompters.dpo.preferences import preference_pairs

    whole = (
        *("problems", "held_out", "rationales", "exam_problems", "sittings", "per_problem", "batch_size", "rounds"),
        *(["limit"] if settings.limit is not None else []),
    )
    for name in whole:
        check_at_least(f"--{name.replace('_', '-')}", getattr(settings, name), 1, "see --help for the default")
    if settings.task == CLASSROOM and settings.limit is not None:
        raise UserError(f"--limit {settings.limit} is for --task math and code; take --problems and --held-out")
    if settings.task == CLASSROOM and settings.exam != "variants":
        raise UserError(f"--exam must be variants in the classroom but got {settings.exam!r}; leave it out")
    if not settings.temperature > 0:
        raise UserError(f"--temperature must be above 0 but got {settings.temperature}: lessons must differ")
    preference_pairs((), weight=settings.weight, gap=settings.gap, per_problem=settings.per_problem)
    DPOSettings(
        beta=settings.beta, nll_weight=settings.nll_weight, learning_rate=settings.learning_rate,
        epochs=settings.epochs, batch_size=settings.batch_size,
    )  # fmt: skip
