"""Programs against each other on the same examples: values and differences with paired intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dspy

from lbt_dspy.errors import UserError
from lbt_dspy.exam.predictors import Predicted, Predictor
from lbt_dspy.intervals import Estimate, paired_means
from lbt_dspy.ledger.account import Account
from lbt_dspy.metrics.labels import LabelMetric
from lbt_dspy.metrics.statistics import LabelledRuns, paired_bootstrap

DspyMetric = Callable[[dspy.Example, dspy.Prediction], Any]


@dataclass(frozen=True, kw_only=True)
class ProgramComparison:
    """How programs did on the same examples."""

    values: Mapping[str, Estimate]
    """Of each program, by its name, with 95% intervals over the examples."""
    differences: Mapping[tuple[str, str], Estimate]
    """`differences[a, b]`: a minus b, resampled as a difference."""
    coverage: Mapping[str, float]
    """Share of the examples that was measured, in [0, 1]; the others count for nothing in that program's value."""
    calls: Mapping[str, int]
    """Calls that each program needs by itself; what another had asked before was not asked again."""
    n: int
    """Examples."""


def compare_programs(
    programs: Mapping[str, dspy.Module],
    examples: Sequence[dspy.Example],
    metric: LabelMetric | DspyMetric,
    *,
    seed: int = 0,
    **options: Any,
) -> ProgramComparison:
    """Ask programs the same examples, and say by how much one is better.

    Args:
        programs: At least two, by their names in the result.
        examples: Held-out examples with their references, at least one.
        metric: One of the label metrics of `lbt_dspy.metrics`, or a metric of DSPy, `(example, prediction) -> float`;
            an answer that cannot be read has 0.
        seed: Seeds requests and resampling.
        **options: Of `Predictor`: `lm`, `ledger`, `budget`, `adapter`, `config`, `predictor`.

    Raises:
        UserError: There are fewer than two programs, no examples, or one without inputs or reference.
        BudgetSpentError: The next call could exceed the budget; what was answered stays in the journal.

    Example:
        >>> import dspy
        >>> from lbt_dspy.metrics import compare_programs
        >>> from lbt_dspy.testing import scripted_lm
        >>> def answer(inputs, lessons, seed):  # right for all numbers when it was shown how, else for small ones
        ...     number = int(inputs["number"])
        ...     return {"double": 2 * number if lessons or number < 5 else 0}
        >>> plain, shown = (dspy.Predict("number: int -> double: int") for _ in range(2))
        >>> shown.demos = [dspy.Example(number=7, double=14)]
        >>> examples = [dspy.Example(number=n, double=2 * n).with_inputs("number") for n in range(10)]
        >>> found = compare_programs(
        ...     {"plain": plain, "shown": shown}, examples, lambda e, p: e.double == p.double, lm=scripted_lm(answer)
        ... )
        >>> found.values["shown"].value, found.differences["shown", "plain"].value
        (1.0, 0.5)
    """
    if len(programs) < 2:
        raise UserError(f"compare_programs needs at least 2 programs but got {len(programs)}; dspy.Evaluate takes one")
    if not examples:
        raise UserError("compare_programs needs at least 1 example but got 0; give held-out examples")
    check_references(examples, metric)
    askers = {name: Predictor(program, seed=seed, **options) for name, program in programs.items()}
    accounts = {name: Account() for name in programs}
    found = {name: asker.predict(examples, account=accounts[name]) for name, asker in askers.items()}
    if isinstance(metric, LabelMetric):
        golds = [str(example[metric.field]) for example in examples]
        labelled = {name: _labels(answers, metric.field) for name, answers in found.items()}
        values, differences = paired_bootstrap(golds, labelled, metric, seed=seed)
    else:
        runs = {name: [_marks(examples, answers, metric)] for name, answers in found.items()}
        values, differences = paired_means(runs, seed=seed)
    return ProgramComparison(
        values=values, differences=differences, n=len(examples),
        coverage={name: sum(a.measured for a in answers) / len(examples) for name, answers in found.items()},
        calls={name: sum(account.calls.values()) for name, account in accounts.items()},
    )  # fmt: skip


def check_references(examples: Sequence[dspy.Example], metric: object) -> None:
    """Raise `UserError` for an example without the label that a label metric compares with."""
    if isinstance(metric, LabelMetric):
        for i, example in enumerate(examples, 1):
            if str(example.get(metric.field)) not in metric.labels:
                raise UserError(
                    f"example {i} has {metric.field} {example.get(metric.field)!r}, which is none of the metric's "
                    f"labels: {', '.join(metric.labels)}"
                )


def _marks(examples: Sequence[dspy.Example], answers: Sequence[Predicted], metric: DspyMetric) -> list[float | None]:
    def mark(example: dspy.Example, answer: Predicted) -> float | None:
        if not answer.measured:
            return None
        return 0.0 if answer.fields is None else float(metric(example, dspy.Prediction(**answer.fields)))

    return [mark(example, answer) for example, answer in zip(examples, answers, strict=True)]


def _labels(answers: Sequence[Predicted], field: str) -> LabelledRuns:
    return LabelledRuns(
        answers=[[None if a.fields is None else str(a.fields[field]) for a in answers]],
        measured=[[a.measured for a in answers]],
    )
