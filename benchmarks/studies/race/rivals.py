"""DSPy's own optimisers, each under the same number of model calls.

`few-shot` LabeledFewShot, `bootstrap-rs` BootstrapFewShotWithRandomSearch, `mipro` MIPROv2 (Opsahl-Ong et al., arXiv
2406.11695) searching demonstrations only, `gepa` GEPA (Agrawal et al., arXiv 2507.19457). All but the first select by
accuracy on a validation set. A run ends at the call that would exceed the budget, whatever the optimiser has planned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dspy

from lbt_dspy.benchmarks.studies.race.hushed import ThriftyAdapter, hushed
from lbt_dspy.errors import NoCandidateError, UserError, check_at_least, check_choice
from lbt_dspy.exam.grading import ExactMatch
from lbt_dspy.exam.sitting.whole_program import single_predictor
from lbt_dspy.lms.embedded import PREFIX
from lbt_dspy.sampling import stream
from lbt_dspy.teleprompters.within_calls import Checkpoint, Meter, bare, within_calls

RIVALS = ("few-shot", "bootstrap-rs", "mipro", "gepa")
BOOTSTRAPPED = 4
"""DSPy's default of `max_bootstrapped_demos`."""
MINIBATCH = 35
"""MIPROv2's default."""
FULL_EVERY = 5
"""MIPROv2's default: minibatch trials to one evaluation on the whole validation set."""
SMALLEST_FOR_MINIBATCHES = 51
"""MIPROv2's own rule in its automatic modes: smaller validation sets are evaluated whole."""
TRIALS_PER_SET = 1.5
"""MIPROv2's own rule for one variable: trials to each demonstration set among which it chooses."""
CALLS_TO_BOOTSTRAP = 5
"""Expected calls for one demonstration set: 2.5 demonstrations, every other attempt is right."""
FEWEST_SETS = 4
"""MIPROv2's sets are zero-shot, labelled, unshuffled bootstrap, then shuffled ones."""


@dataclass(frozen=True, kw_only=True)
class Race:
    """What a rival is given."""

    program: dspy.Module
    """A copy of its own, without LMs: the metered one is the context's."""
    metric: LabelMatch
    trainset: list[dspy.Example]
    """Shuffled by the seed, since two of the optimisers have fixed seeds of their own."""
    valset: list[dspy.Example]
    exemplars: int
    seed: int
    meter: Meter

    @property
    def threads(self) -> int | None:
        """One for a model in this process, so that runs repeat; else as many as DSPy is configured for."""
        return 1 if self.meter.in_process else None

    @property
    def search(self) -> dict[str, Any]:
        """Options that the demonstration searches share; an unreadable answer is wrong, and never ends a search."""
        return {
            "metric": self.metric,
            "max_bootstrapped_demos": min(BOOTSTRAPPED, self.exemplars),
            "max_labeled_demos": self.exemplars,
            "num_threads": self.threads,
            "max_errors": self.meter.budget + 1,
        }


class LabelMatch:
    """1 for the right label, else 0, as a metric that any optimiser of DSPy can call; GEPA is told the right label.

    Args:
        field: Name of the label's field.
    """

    def __init__(self, field: str) -> None:
        self.field = field
        self._grader = ExactMatch(field)

    def __call__(
        self,
        gold: dspy.Example,
        pred: Mapping[str, Any],
        trace: Any = None,
        pred_name: str | None = None,
        pred_trace: Any = None,
    ) -> float | dspy.Prediction:
        """Return the score, with feedback when it is asked for one predictor."""
        score = self._grader.grade(gold, pred).value
        if pred_name is None:
            return float(score or 0.0)
        verdict = "Right" if score else f"Wrong, the answer was {pred[self.field]!r}"
        return dspy.Prediction(score=score, feedback=f"{verdict}: the right {self.field} is {gold[self.field]!r}.")


class DemosOnlyMIPRO(dspy.MIPROv2):  # type: ignore[misc]
    """MIPROv2 that keeps the program's instructions, and makes as many trials as fit what is left of the budget.

    Args:
        meter: Knows what is left.
        **options: Of `dspy.MIPROv2`.
    """

    def __init__(self, meter: Meter, **options: Any) -> None:
        super().__init__(auto=None, **options)
        self._meter = meter

    def _propose_instructions(self, program: dspy.Module, *_: Any, **__: Any) -> dict[int, list[str]]:
        return {i: [predictor.signature.instructions] for i, predictor in enumerate(program.predictors())}

    def _optimize_prompt_parameters(
        self,
        program: dspy.Module,
        instruction_candidates: dict[int, list[str]],
        demo_candidates: dict[int, list[Any]],
        evaluate: dspy.Evaluate,
        valset: list[dspy.Example],
        num_trials: int,
        *rest: Any,
    ) -> dspy.Module:
        trials = trials_within(self._meter.left, len(valset))
        return super()._optimize_prompt_parameters(
            program, instruction_candidates, demo_candidates, evaluate, valset, trials, *rest
        )

    def _perform_full_evaluation(
        self, trial_num: int, trials: int, sampled: dict[str, Any], evaluated: dict[str, Any], *rest: Any
    ) -> tuple[float, dspy.Module, int]:
        """Go on without an evaluation when all that was sampled has had one, where MIPROv2 would raise."""
        if sampled.keys() <= evaluated.keys():
            _, _, _, total_calls, _, best_score, best_program, *_ = rest
            return best_score, best_program, total_calls
        done: tuple[float, dspy.Module, int] = super()._perform_full_evaluation(
            trial_num, trials, sampled, evaluated, *rest
        )
        return done


def trials_within(calls: int, examples: int) -> int:
    """Return how many trials MIPROv2 can make of so many calls, the evaluation of the bare program included.

    Args:
        calls: The calls.
        examples: Size of the validation set.
    """
    left = calls - examples
    if examples < SMALLEST_FOR_MINIBATCHES:
        return max(0, left // examples)
    blocks, rest = divmod(max(0, left), FULL_EVERY * MINIBATCH + examples)
    return blocks * FULL_EVERY + max(0, (rest - examples) // MINIBATCH)


def demo_sets_within(calls: int, examples: int) -> int:
    """Return among how many demonstration sets MIPROv2 can choose with so many calls, by its own rule."""
    small = examples < SMALLEST_FOR_MINIBATCHES
    trial = examples if small else MINIBATCH + examples / FULL_EVERY
    return max(FEWEST_SETS, int((calls - examples) / (TRIALS_PER_SET * trial + CALLS_TO_BOOTSTRAP)))


def why_not(name: str, lm: dspy.LM) -> str | None:
    """Return why a rival cannot run with an LM; `None` when it can."""
    if name == "gepa" and lm.model.startswith(PREFIX):
        return f"gepa rewrites instructions, and {lm.model} is a statistical model that neither reads nor writes them"
    return None


def run_rival(
    name: str,
    program: dspy.Module,
    lm: dspy.LM,
    *,
    trainset: Sequence[dspy.Example],
    valset: Sequence[dspy.Example],
    exemplars: int,
    calls: int,
    seed: int,
) -> list[Checkpoint]:
    """Run one of DSPy's optimisers within a number of model calls.

    Nothing is printed or logged meanwhile, in the whole process. With a model in this process, equal seeds give equal
    results. A request that fails for good, after retries that count as calls, is a wrong answer, as it is in DSPy.

    Args:
        name: One of `RIVALS`.
        program: Has one predictor, the last output of which is the label. It is not changed.
        lm: Answers, without its cache and at temperature 0 where it leaves that open; for `gepa` it also reflects, at
            temperature 1.
        trainset: Demonstrations come from these examples.
        valset: Candidates are evaluated on these.
        exemplars: Most demonstrations of a candidate, at least 1.
        calls: Most completions asked from the LM, at least 1; reflection, bootstrapping and retries count.
        seed: Seeds all draws.

    Returns:
        The best candidate after each evaluation on the whole validation set, in the order of calls; for `few-shot`,
        which makes no call, its only candidate; none at all when the calls do not suffice for one evaluation.

    Raises:
        UserError: There is no such rival, it cannot run with this LM, or an option is out of bounds.
    """
    check_choice("name", name, RIVALS)
    check_at_least("exemplars", exemplars, 1, "8 is usual")
    check_at_least("calls", calls, 1, "several times the validation set is useful")
    reason = why_not(name, lm)
    if reason is not None:
        raise UserError(reason)
    _, predictor, _ = single_predictor(program, None)
    trainset = [trainset[i] for i in stream(seed, "rival", name).permutation(len(trainset))]
    metric = LabelMatch(list(predictor.signature.output_fields)[-1])

    def search(meter: Meter) -> dspy.Module:
        race = Race(
            program=bare(program), metric=metric, trainset=trainset, valset=list(valset), exemplars=exemplars,
            seed=seed, meter=meter,
        )  # fmt: skip
        return RUNNERS[name](race)

    with hushed(), dspy.context(adapter=dspy.settings.adapter or ThriftyAdapter()):
        try:
            found = within_calls(search, lm, calls=calls, valset=valset, seed=seed)
        except NoCandidateError:
            return []
    if not found.calls:
        return [Checkpoint(calls=0, program=found.program, score=None)]
    return list(found.checkpoints)


def few_shot(race: Race) -> dspy.Module:
    """Draw exemplars at random."""
    return dspy.LabeledFewShot(k=race.exemplars).compile(race.program, trainset=race.trainset)


def bootstrap_rs(race: Race) -> dspy.Module:
    """Evaluate random sets; besides those asked for, DSPy evaluates zero-shot, labelled and unshuffled sets."""
    sets = race.meter.budget // len(race.valset)
    optimizer = dspy.BootstrapFewShotWithRandomSearch(num_candidate_programs=max(0, sets - 3), **race.search)
    return optimizer.compile(race.program, trainset=race.trainset, valset=race.valset)


def mipro(race: Race) -> dspy.Module:
    """Choose among bootstrapped sets by Bayesian optimisation."""
    sets = demo_sets_within(race.meter.budget, len(race.valset))
    optimizer = DemosOnlyMIPRO(race.meter, num_candidates=sets, seed=race.seed, **race.search)
    return optimizer.compile(
        race.program, trainset=race.trainset, valset=race.valset, num_trials=sets,
        minibatch=len(race.valset) >= SMALLEST_FOR_MINIBATCHES, minibatch_size=MINIBATCH,
        minibatch_full_eval_steps=FULL_EVERY,
    )  # fmt: skip


def gepa(race: Race) -> dspy.Module:
    """Rewrite the instructions by reflection on mistakes."""
    optimizer = dspy.GEPA(
        metric=race.metric, max_metric_calls=race.meter.budget, reflection_lm=race.meter.lm.copy(temperature=1.0),
        num_threads=race.threads, seed=race.seed,
    )  # fmt: skip
    return optimizer.compile(race.program, trainset=race.trainset, valset=race.valset)


RUNNERS: Mapping[str, Callable[[Race], dspy.Module]] = {
    "few-shot": few_shot,
    "bootstrap-rs": bootstrap_rs,
    "mipro": mipro,
    "gepa": gepa,
}
