"""A tuned model: served, examined before and after, and put into the program."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dspy

from lbt_dspy.dspy_private import set_compiled
from lbt_dspy.errors import NoAnswerError, UserError
from lbt_dspy.exam.grading import graded, reference_of
from lbt_dspy.exam.shapes import check_examples
from lbt_dspy.intervals import Estimate, paired_means
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.ledger.programs import all_predictors, in_threads
from lbt_dspy.lms.embedded import CLASSROOM
from lbt_dspy.lms.engine import lm_of
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.lms.vllm_server import vllm_command
from lbt_dspy.teleprompters.dpo.options import DPOOptions, DPOSettings, Serve, Training, check_base
from lbt_dspy.teleprompters.dpo.preference_files import LESSONS, json_lines, write_whole
from lbt_dspy.teleprompters.dpo.preferences import PreferenceData
from lbt_dspy.teleprompters.dpo.scored_lessons import scored_lessons
from lbt_dspy.teleprompters.rerank.program import RerankedProgram

logger = logging.getLogger(__name__)
VLLM = "hosted_vllm/"
PROBLEMS_AT_ONCE = 32


@dataclass(frozen=True, kw_only=True)
class Compared:
    """The teacher before and after a training, on the same problems, each answered once at temperature 0."""

    before: Estimate
    after: Estimate
    difference: Estimate
    """After minus before, paired; 95% intervals."""
    marks: tuple[tuple[float | None, ...], tuple[float | None, ...]]
    """Of each problem, before and after; `None`: not measured."""

    @property
    def better(self) -> bool:
        """Whether the mean mark rose."""
        return self.difference.value > 0

    def sentence(self) -> str:
        """Return what came of it in words."""
        d = self.difference
        told = f"{self.before.value:.1%} before, {self.after.value:.1%} after: {100 * d.value:+.1f} points"
        sure = "" if d.low > 0 or d.high < 0 else ", which may be chance"
        return f"{told} [{100 * d.low:.1f}, {100 * d.high:.1f}] on {len(self.marks[0])} problems{sure}"


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round of lessons, pairs and training."""

    card: dict[str, Any]
    """Of the pairs; see `PreferenceData.card`."""
    training: Training | None = None
    """`None`: the pairs were only exported."""
    checkpoint: Path | None = None
    compared: Compared | None = None
    """`None`: there was no valset, or the checkpoint is not served."""
    kept: bool = False
    """Whether the tuned model is the teacher from here on."""


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What `LbTDPO.optimize` gives."""

    program: dspy.Module
    """A copy of the program; its LM is the tuned one where that is better."""
    rounds: tuple[Round, ...]


Train = Callable[[Sequence[Mapping[str, Any]], str | Path, Path, DPOSettings], Training]


def tune(
    options: DPOOptions,
    train: Train,
    program: dspy.Module,
    ledger: Ledger,
    trainset: Sequence[dspy.Example],
    valset: Sequence[dspy.Example],
    account: Account,
) -> Tuned:
    """Lessons, exams, pairs, training, and the same again with the tuned teacher; see `LbTDPO`."""
    teacher = options.reranker(ledger).compile(program)
    check_examples("trainset", trainset)
    check_examples("valset", valset)
    for example in trainset:
        teacher.check(teacher.inputs_of(example))
    own = dict(program.named_predictors())[teacher.lesson_predictor_name].lm
    lm = own or dspy.settings.lm
    if lm is None:
        raise UserError("the program has no LM; set one with dspy.configure(lm=...) or program.set_lm(...)")
    base = None if options.export_only else options.base_model or base_of(lm)
    if base is not None:
        check_base(base)
    check_references(teacher, valset)
    before = marks_of(teacher, valset, account) if base is not None else ()
    rounds: list[Round] = []
    while len(rounds) < options.rounds:
        place = Path(options.folder) / f"round-{len(rounds) + 1}"
        data = preferences(options, teacher, trainset, place, account)
        if base is None:
            rounds.append(Round(card=data.card()))
            break
        training = train(data.rows(), base, place, options.settings)
        checkpoint = place / "checkpoint"
        tuned = served(checkpoint, lm, options.serve)
        if tuned is None:
            logger.warning("the tuned model is not served here; serve it with: %s", vllm_command(checkpoint))
            rounds.append(Round(card=data.card(), training=training, checkpoint=checkpoint))
            break
        candidate = with_lm(program, own, tuned)
        teacher = options.reranker(ledger).compile(candidate)
        after = marks_of(teacher, valset, account)
        found = compared(before, after) if valset else None
        kept = found is None or found.better
        rounds.append(Round(card=data.card(), training=training, checkpoint=checkpoint, compared=found, kept=kept))
        if not kept:
            break
        program, own, lm, base, before = candidate, tuned, tuned, checkpoint, after
    for number, one in enumerate(rounds, 1):
        if one.compared is not None:
            tell = logger.info if one.kept else logger.warning
            tell("round %d: %s; %s", number, one.compared.sentence(), "kept" if one.kept else "the old model stays")
    return Tuned(program=program.deepcopy(), rounds=tuple(rounds))


def check_references(program: RerankedProgram, valset: Sequence[dspy.Example]) -> None:
    """Raise `UserError` unless all problems of a valset have what the grader compares answers with."""
    reference = reference_of(program.grader)
    lacking = next((example for example in valset if reference is not None and reference not in example), None)
    if lacking is not None:
        start = str(next(iter(lacking.inputs().values()), ""))[:60]
        raise UserError(f"the problem {start!r} of valset has no {reference!r}, its reference answer; give it one")


def preferences(
    options: DPOOptions, teacher: RerankedProgram, trainset: Sequence[dspy.Example], folder: Path, account: Account
) -> PreferenceData:
    """Return the pairs of a teacher's lessons, written into a folder; the lessons are, also when no pair comes of them.

    Raises:
        UserError: There is no pair.
    """
    found = scored_lessons(teacher, trainset, account=account)
    write_whole(folder / LESSONS, json_lines(asdict(lesson) for lesson in found.lessons))
    data = PreferenceData.of(
        found.lessons, weight=options.weight, gap=options.gap, per_problem=options.per_problem, seed=options.seed
    )
    data.save(folder)
    return data


def base_of(lm: dspy.LM) -> str | Path:
    """Return the model that an LM runs: of the classroom its folder, of vLLM the name that it was started with.

    Raises:
        UserError: It cannot be known.
    """
    from lbt_dspy.lms.embedded.classroom import ClassroomEngine

    engine = engine_of(lm)
    if isinstance(engine, ClassroomEngine):
        return engine.place
    if lm.model.startswith(VLLM):
        return str(lm.model.removeprefix(VLLM))
    raise UserError(
        f"{engine.name} cannot be trained by name; give base_model=, a folder with a model or its name on the Hugging "
        "Face hub"
    )


def served(checkpoint: Path, lm: dspy.LM, serve: Serve | None) -> dspy.LM | None:
    """Return the LM of a checkpoint: as `serve` gives it, in process where the teacher runs so, else `None`."""
    if serve is not None:
        return serve(checkpoint)
    if engine_of(lm).name in CLASSROOM:
        from lbt_dspy.lms.embedded.classroom import ClassroomEngine

        return lm_of(ClassroomEngine(engine_of(lm).name, checkpoint=checkpoint), **lm.kwargs)
    return None


def with_lm(program: dspy.Module, old: dspy.LM | None, new: dspy.LM) -> dspy.Module:
    """Return a copy of the program in which one LM stands in the place of another (`None`: of the configured one)."""
    copy = program.deepcopy()
    for (_, predictor), (_, original) in zip(all_predictors(copy), all_predictors(program), strict=True):
        if original.lm is old:
            predictor.lm = new
    set_compiled(copy, True)
    return copy


def marks_of(
    program: RerankedProgram, valset: Sequence[dspy.Example], account: Account | None = None
) -> tuple[float | None, ...]:
    """Return the mark of the program's greedy answer to each problem; `None` where a call was lost.

    Raises:
        BudgetSpentError: The next call could exceed the budget.
    """
    account = Account() if account is None else account
    work = [functools.partial(_mark, program, example, account) for example in valset]
    return tuple(in_threads(program.ledger, work, most=PROBLEMS_AT_ONCE))


def _mark(program: RerankedProgram, example: dspy.Example, account: Account) -> float | None:
    try:
        found = program.rerank(
            dict(example.inputs()), account=account, selection="maj", rationales=1, gate=None, temperature=0.0
        )
    except NoAnswerError as error:
        return 0.0 if error.measured else None
    return graded(program.grader, example, dict(found.prediction.items())).value


def compared(before: Sequence[float | None], after: Sequence[float | None]) -> Compared:
    """Return the marks of two teachers on the same problems, with paired intervals."""
    values, differences = paired_means({"before": [before], "after": [after]})
    return Compared(
        before=values["before"], after=values["after"], difference=differences["after", "before"],
        marks=(tuple(before), tuple(after)),
    )  # fmt: skip
