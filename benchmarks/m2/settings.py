"""What a run of M2 was asked to do: its options, checked before any call."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbt_dspy.benchmarks.m1.settings import EXAMS, OWN_DEFAULTS, RerankSettings, rerank_settings
from lbt_dspy.benchmarks.m1.settings import METHOD as M1
from lbt_dspy.benchmarks.shared.kept import load_record
from lbt_dspy.benchmarks.shared.words import CommandLine, check_words, spelt, word
from lbt_dspy.benchmarks.tasks.names import CLASSROOM, CLASSROOM_STUDENT, CLASSROOM_TEACHER, CODE, MATH
from lbt_dspy.errors import UserError, check_choice

METHOD = "m2"
TRAINED = ("problems", "held_out", "beta", "nll_weight", "learning_rate", "epochs", "batch_size", "rounds")
"""Options that mean nothing where nothing is trained."""
CLASSROOM_DEFAULTS: Mapping[str, Any] = {
    "teacher": CLASSROOM_TEACHER, "students": (CLASSROOM_STUDENT,), "seeds": (0, 1, 2),
}  # fmt: skip
SHARED = (
    "task", "teacher", "students", "config", "data", "rationales", "exam", "exam_problems", "sittings", "debug_rounds",
    "limit", "temperature", "seeds",
)  # fmt: skip
"""What an export has of the run of M1 that samples its lessons."""
OF_PAIRS = ("source", "weight", "gap", "per_problem")


@dataclass(frozen=True, kw_only=True)
class TuningSettings:
    """All that decides the results of a run of M2; nothing that only decides how fast or where."""

    task: str
    method: str = METHOD
    teacher: str = field(metadata=word("the model that writes lessons", "NAME"))
    students: tuple[str, ...] = field(metadata=word("the models that sit the exams", "NAME,NAME"))
    config: str | None = field(
        default=None, metadata=word("a LiteLLM YAML whose model names may be used", "FILE", place=True)
    )
    data: str | None = field(
        default=None, metadata=word("folder or file with the task's problems, or hf", "DIR", place=True)
    )
    export_only: bool = field(default=False, metadata=word("write the preference pairs, and train nothing", ""))
    source: str | None = field(
        default=None,
        metadata=word(
            "--export-only: make the pairs of the lessons of a run of M1; what its exams left open is asked",
            "DIR",
            flag="from",
            place=True,
        ),
    )
    """The folder of a run of M1 whose lessons and marks are used; `None`: lessons are sampled."""
    problems: int = field(default=500, metadata=word("training problems", least=1))
    held_out: int = field(
        default=630, metadata=word("problems on which the teacher is measured before and after", least=1)
    )
    rationales: int = field(default=12, metadata=word("lessons sampled for a problem", least=1))
    exam: str = field(
        default="variants", metadata=word("variants in the classroom, else as in M1", "NAME", choices=EXAMS)
    )
    exam_problems: int = field(default=3, metadata=word("problems of an exam", least=1))
    sittings: int = field(
        default=3, metadata=word("sittings of each student on each exam problem after each lesson", least=1)
    )
    debug_rounds: int = field(
        default=0,
        metadata=word("code: give a program that fails a visible test back to its model, at most N times", least=0),
    )
    limit: int | None = field(
        default=None, metadata=word("math, code: only the first N problems", least=1, shown="default: all")
    )
    weight: float = field(
        default=0.5,
        metadata=word("of correctness in the score of exported pairs, at most 1; 0: LbT score alone", "X", least=0),
    )
    gap: float = field(
        default=0.6,
        metadata=word(
            "how far apart the scores of a pair must be", "X", shown="0 to below 1; default 0.6, exported 0.3"
        ),
    )
    per_problem: int = field(default=8, metadata=word("preference pairs of a problem, at most", least=1))
    beta: float = field(default=0.1, metadata=word("of DPO, above 0", "X"))
    nll_weight: float = field(
        default=50.0, metadata=word("of the likelihood of chosen texts beside DPO's loss", "X", least=0)
    )
    learning_rate: float = field(default=5e-4, metadata=word("at the first step, above 0", "X"))
    epochs: float = field(default=3.0, metadata=word("passes over the pairs, above 0", "X"))
    batch_size: int = field(default=16, metadata=word("pairs of a training step", least=1))
    rounds: int = field(default=1, metadata=word("rounds of lessons and training", least=1))
    temperature: float = field(default=1.0, metadata=word("of lessons and sittings, above 0", "T"))
    seeds: tuple[int, ...] = field(default=(0,), metadata=word("one run per seed", "0,1,2"))

    @property
    def exports_m1(self) -> bool:
        """Whether the lessons are those that M1 samples: nothing is trained."""
        return self.task != CLASSROOM or self.source is not None

    def own_defaults(self) -> Mapping[str, Any]:
        """Return the defaults of the task, where they are not those of the fields."""
        return CLASSROOM_DEFAULTS


REPORTED = (
    "problems", "held_out", "per_problem", "batch_size", "gap", "weight", "beta", "nll_weight", "learning_rate",
    "epochs", "export_only", "source", "rationales", "exam", "exam_problems", "sittings", "rounds", "temperature",
)  # fmt: skip
"""Options that results.json repeats."""


def tuning_settings(line: CommandLine) -> TuningSettings:
    """Return the checked settings of a command line.

    Raises:
        UserError: An option is missing or out of bounds.
    """
    options = line.given(TuningSettings)
    if "source" in options:
        return _of_source(line, options)
    check_choice("--task of --method m2", line.task, (CLASSROOM, MATH, CODE))
    if line.task != CLASSROOM:
        _check_export(options, f"--task {line.task} of --method m2 exports pairs")
        return _exporting(rerank_settings(line), options)
    if "data" in options:
        raise UserError(f"the task {CLASSROOM} makes its own problems; leave --data {options['data']} out")
    if "teacher" in options:
        raise UserError(f"--teacher is {CLASSROOM_TEACHER} in the classroom, which is what is trained")
    settings = TuningSettings(**{**CLASSROOM_DEFAULTS, **options, "task": CLASSROOM})
    check_tuning(settings)
    return settings


def _of_source(line: CommandLine, options: Mapping[str, Any]) -> TuningSettings:
    """Return the settings of pairs from a run of M1, which decides all but how lessons become pairs."""
    source = line.said["source"]
    _check_export(options, "--from makes pairs of a run of M1")
    strange = [name for name in options if name not in (*OF_PAIRS, "export_only")] + (["task"] if line.task else [])
    if strange:
        raise UserError(f"{spelt(strange[0])} is that of the run in --from {source}; leave it out")
    return _exporting(_run_of_m1(source), options)


def _run_of_m1(folder: str) -> RerankSettings:
    held = load_record(Path(folder), {M1: RerankSettings})
    if not isinstance(held, RerankSettings):
        raise UserError(f"--from {folder} is no run of M1; name the folder of one")
    return held


def _exporting(m1: RerankSettings, options: Mapping[str, Any]) -> TuningSettings:
    """Return the settings of an export of lessons that M1 samples and examines."""
    shared = {name: getattr(m1, name) for name in SHARED}
    own = {name: options[name] for name in OF_PAIRS if name in options}
    settings = TuningSettings(**{**shared, "gap": 0.3, **own, "export_only": True})
    check_tuning(settings)
    return settings


def _check_export(options: Mapping[str, Any], what: str) -> None:
    if "export_only" not in options:
        raise UserError(
            f"{what}: give --export-only, and train with them elsewhere (TRL, OpenAI) or with LbTDPO, see docs/m2.md"
        )
    wrong = next((name for name in TRAINED if name in options), None)
    if wrong is not None:
        raise UserError(f"{spelt(wrong)} is for training; leave it out with --export-only")


def rerank_settings_of(settings: TuningSettings) -> RerankSettings:
    """Return the settings of M1 under which the lessons of an export are sampled and examined."""
    if settings.source is not None:
        return _run_of_m1(settings.source)
    own = OWN_DEFAULTS.get(settings.task, {})
    return RerankSettings(**{**own, **{name: getattr(settings, name) for name in SHARED}})


def check_tuning(settings: TuningSettings) -> None:
    """Raise `UserError` unless all options are within their bounds."""
    from lbt_dspy.teleprompters.dpo.options import DPOSettings
    from lbt_dspy.teleprompters.dpo.preferences import preference_pairs

    check_words(settings)
    if settings.task == CLASSROOM and settings.limit is not None:
        raise UserError(f"--limit {settings.limit} is for --task math and code; take --problems and --held-out")
    if settings.task == CLASSROOM and settings.exam != "variants":
        raise UserError(f"--exam must be variants in the classroom but got {settings.exam!r}; leave it out")
    if not settings.temperature > 0:
        raise UserError(f"--temperature must be above 0 but got {settings.temperature}: lessons must differ")
    preference_pairs((), weight=settings.weight, gap=settings.gap, per_problem=settings.per_problem)
    trained = {f.name for f in dataclasses.fields(DPOSettings)} & {f.name for f in dataclasses.fields(TuningSettings)}
    DPOSettings(**{name: getattr(settings, name) for name in trained})
