"""Lessons: solutions of one teaching problem, sampled from a program, that exam students can learn from."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import dspy

from lbt_dspy.errors import NoAnswerError, UserError
from lbt_dspy.exam.sitting.whole_program import predictor_named
from lbt_dspy.ledger.programs import PaidProgram, Run, all_predictors, in_threads
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.sampling import ROLLOUTS, digest_int, rollout_seed


@dataclass(frozen=True, kw_only=True)
class SampledLesson:
    """One sampled solution of the teaching problem."""

    rollout: int
    prediction: dspy.Prediction
    """What the program answered."""
    demonstration: dspy.Example
    """What students read: what the lesson's predictor was asked and answered, as the program gave it in the end."""
    trace: tuple[tuple[str, dict[str, Any], dspy.Prediction], ...]
    """(predictor's name, inputs, outputs) of every predictor that took part."""

    @property
    def text(self) -> str:
        """All of its text; equal texts are the same lesson."""
        return repr(sorted(self.demonstration.items()))


class NoLesson(NamedTuple):
    """A sample without a lesson."""

    reason: str
    measured: bool
    """Whether the models answered, but nothing that could be read; else a call was lost, or the program failed."""


@dataclass(frozen=True, kw_only=True)
class LessonSampler:
    """Samples lessons from a program, each with a rollout number and a request seed of its own."""

    paid: PaidProgram
    predictor: str
    """Name of the predictor whose text is the lesson."""
    temperature: float | None
    """`None`: as predictor and LM have it."""
    seed: int

    def sample(self, inputs: Mapping[str, Any], rollouts: Sequence[int]) -> list[SampledLesson | NoLesson]:
        """Return a lesson per rollout or, where there is none, why.

        Raises:
            BudgetSpentError: The next call could exceed the budget.
        """
        done = in_threads(self.paid.ledger, [functools.partial(self._one, inputs, rollout) for rollout in rollouts])
        self.paid.tell_if_all_alike()
        return done

    def _one(self, inputs: Mapping[str, Any], rollout: int) -> SampledLesson | NoLesson:
        program, names, default = self.paid.copy(lambda name, lm: self._paid_lm(lm, rollout))
        settled = {"seed", "n", "rollout_id"} | ({"temperature"} if self.temperature is not None else set())
        for _, predictor in all_predictors(program):
            predictor.config = {k: v for k, v in predictor.config.items() if k not in settled}
        run = self.paid.run(program, default, inputs)
        if run.prediction is None:
            return NoLesson(run.reason or "no answer", run.measured)
        trace = tuple((names.get(id(p), ""), asked, answered) for p, asked, answered in run.trace)
        return self._lesson(run, rollout, trace)

    def _lesson(self, run: Run, rollout: int, trace: Any) -> SampledLesson | NoLesson:
        turns = [(asked, answered) for name, asked, answered in trace if name == self.predictor]
        if not turns:
            return NoLesson(f"the predictor {self.predictor!r} was not asked", False)
        asked, answered = turns[-1]
        final = {name: value for name, value in (run.prediction or {}).items() if name in answered}
        demonstration = dspy.Example({**asked, **answered, **final}).with_inputs(*asked)
        return SampledLesson(rollout=rollout, prediction=run.prediction, demonstration=demonstration, trace=trace)

    def _paid_lm(self, lm: dspy.LM | None, rollout: int) -> dspy.LM | None:
        if lm is None:
            return None
        engine = engine_of(lm)
        again = int(lm.kwargs.get("rollout_id") or 0)  # set by whoever calls the program anew for another answer
        config: dict[str, Any] = {}
        if engine.takes_seed:
            config["seed"] = rollout_seed(digest_int(self.seed, again) if again else self.seed, rollout)
        if engine.takes_temperature and self.temperature is not None:
            config["temperature"] = self.temperature
        return self.paid.paid(lm, "teacher", again * ROLLOUTS + rollout, config)


def lesson_predictor(
    program: dspy.Module, named: str | None, answer: str | None, labelled: Collection[str] = ()
) -> tuple[str, str]:
    """Return the name of the predictor whose text is the lesson, and the answer's field.

    Args:
        program: Any program.
        named: The predictor's name, where it was given.
        answer: The answer's field, where it is known; else the predictor's last output field.
        labelled: The fields that exam problems have: of several predictors the only one that ends in one of them gives
            the answer.

    Raises:
        UserError: There is no such predictor, or several could be meant.
    """
    predictors = dict(program.named_predictors())
    last = {name: list(predictor.signature.output_fields)[-1] for name, predictor in predictors.items()}
    fitting = list(predictors) if named is None else [predictor_named(predictors, named)]
    if len(fitting) > 1 and answer is not None:
        fitting = [name for name in fitting if answer in predictors[name].signature.output_fields]
    elif len(fitting) > 1:
        fitting = [name for name in fitting if last[name] in labelled] or fitting
    if len(fitting) != 1:
        known = ", ".join(predictors) or "(none)"
        raise UserError(
            f"the program has {len(predictors)} predictors ({known}) and the lesson could be the text of "
            f"{len(fitting)} of them; name one with predictor=, or its answer with answer_field="
        )
    return fitting[0], answer or last[fitting[0]]


def check_some(lessons: Sequence[SampledLesson | NoLesson]) -> list[SampledLesson]:
    """Return the lessons.

    Raises:
        NoAnswerError: There are none.
    """
    found = [lesson for lesson in lessons if isinstance(lesson, SampledLesson)]
    none = [lesson for lesson in lessons if isinstance(lesson, NoLesson)]
    if not found:
        raise NoAnswerError(
            f"the program came to no answer in any of {len(none)} samples; the first: {none[0].reason}",
            measured=all(lesson.measured for lesson in none),
        )
    return found
