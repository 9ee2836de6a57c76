"""A program over many rows: every different input is asked once, within a budget, and nothing that was paid is lost."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

import dspy

from lbt_dspy.errors import LbTError, UserError
from lbt_dspy.exam.examiner import Examiner
from lbt_dspy.exam.sitting.whole_program import predictor_named
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.budget import Budget
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.ledger.own import OwnLedger, PaidBy
from lbt_dspy.types import Exam, ExamProblem, Mark


class Predicted(NamedTuple):
    """What a program said of one row."""

    fields: Mapping[str, Any] | None = None
    """Its output fields; `None`: what came back could not be read, or nothing came."""
    measured: bool = False
    """Whether there was a reply; a call that failed for good, or was never made, is not measured."""
    reason: str | None = None
    """Why there are no fields."""


class AnyAnswer:
    """Marks every answer that could be read: here nothing is compared."""

    field = reference = ""

    def grade(self, expected: dspy.Example, output: Mapping[str, Any]) -> Mark:
        """Return mark 1."""
        return Mark(value=1.0)

    def key(self, output: Mapping[str, Any]) -> Hashable | None:
        """Return no key."""
        return None


@dataclass(frozen=True, eq=False)
class Predictor(PaidBy):
    """Answers rows with a program, paying through a ledger: journalled, within its budget, each different input once.

    Use it where `dspy.Evaluate` or `dspy.Parallel` would do, and calls cost something: what was answered before a crash
    is not asked again, and no call is made beyond the budget.

    Args:
        program: Any DSPy program with at least one predictor; its demonstrations stay. It is not changed.
        lm: Of the predictor `predictor`; `None`: its own, else the configured one.
        predictor: Which predictor asks `lm`; `None`: the first. The others keep their LMs.
        adapter: Any DSPy adapter; `None`: the configured one, or `ChatAdapter`.
        config: Sampling settings that the LM leaves open; `None`: temperature 0.
        seed: Seeds the requests.

    Raises:
        UserError: The program has no predictor, none of that name, or there is no LM.

    Example:
        >>> import dspy
        >>> from lbt_dspy import Budget, Predictor
        >>> from lbt_dspy.testing import scripted_lm
        >>> lm = scripted_lm(lambda inputs, lessons, seed: {"answer": inputs["question"].upper()})
        >>> rows = [dspy.Example(question=q).with_inputs("question") for q in ("a", "b", "a")]
        >>> predictor = Predictor(dspy.Predict("question -> answer"), lm, budget=Budget(max_calls=2))
        >>> predictor.calls(rows), [found.fields["answer"] for found in predictor.predict(rows)]
        (2, ['A', 'B', 'A'])
    """

    program: dspy.Module
    lm: dspy.LM | None = None
    _: KW_ONLY
    predictor: str | None = None
    adapter: dspy.Adapter | None = None
    config: Mapping[str, Any] | None = None
    seed: int = 0
    _till: OwnLedger = field(init=False, repr=False)

    def __post_init__(self) -> None:
        PaidBy.__post_init__(self)
        predictors = dict(self.program.named_predictors())
        if not predictors:
            raise UserError("the program has no predictor that could be asked; give it a dspy.Predict")
        name = next(iter(predictors)) if self.predictor is None else predictor_named(predictors, self.predictor)
        lm = self.lm or predictors[name].lm or dspy.settings.lm
        if lm is None:
            raise UserError("the program has no LM; give one with lm=, program.set_lm(...) or dspy.configure(lm=...)")
        vars(self).update(lm=lm, predictor=name, _till=OwnLedger(self.ledger, self.budget))

    def calls(self, rows: Sequence[dspy.Example]) -> int:
        """Return how many calls the rows need if none fails, none was made before and each predictor is asked once."""
        return len(_distinct(rows)) * len(self.program.predictors())

    def predict(
        self, rows: Sequence[dspy.Example], *, role: str = "teacher", account: Account | None = None
    ) -> list[Predicted]:
        """Return an answer per row, in their order.

        Args:
            rows: Their inputs are asked; `with_inputs(...)` must have been called.
            role: Under which role the calls are counted.
            account: Where they are counted; `None`: nowhere but in the ledger.

        Raises:
            BudgetSpentError: The next call could exceed the budget; `known` gives what was answered until then.
            UserError: A row lacks an input of the program.
        """
        return self._answer(rows, self._till.ledger, role, account)

    def known(self, rows: Sequence[dspy.Example]) -> list[Predicted]:
        """Return what was already answered of the rows, after `predict` was stopped; no call is made."""
        ledger = self._till.ledger
        ledger.finish()
        replay = Ledger(ledger.journal, Budget(max_calls=0), workers=1)
        found: list[Predicted] = []
        for row in rows:
            try:
                found += self._answer([row], replay, "teacher", None)
            except LbTError:  # no call may be made, so what needs one is not known
                found.append(Predicted(reason="not asked"))
        return found

    def _answer(
        self, rows: Sequence[dspy.Example], ledger: Ledger, role: str, account: Account | None
    ) -> list[Predicted]:
        examiner = Examiner(
            self.program, grader=AnyAnswer(), predictor=self.predictor, adapter=self.adapter, ledger=ledger,
            config={"temperature": 0.0} if self.config is None else self.config, seed=self.seed,
        )  # fmt: skip
        asked = _distinct(rows)
        problems = [ExamProblem(example=row) for row in asked.values()]
        examiner.check(problems)
        exam = Exam(material=tuple(examiner.examined.demos), problems=problems)
        ((report,),) = examiner.examine([exam], [self.lm], role=role, account=account)
        sittings = [row[0] for row in report.sittings]
        answers = {
            key: Predicted(s.fields, s.mark.value is not None, s.mark.reason)
            for key, s in zip(asked, sittings, strict=True)
        }
        return [answers[_key(row)] for row in rows]


def _key(row: dspy.Example) -> str:
    return repr(sorted(row.inputs().items()))


def _distinct(rows: Sequence[dspy.Example]) -> dict[str, dspy.Example]:
    """Return the first row of each different input, in the order of the rows."""
    first: dict[str, dspy.Example] = {}
    for row in rows:
        first.setdefault(_key(row), row)
    return first
