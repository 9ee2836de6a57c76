"""Programs that write programs: a plan, then the code; and self-debug, which gives failures back to the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from lbt_dspy.errors import UserError, check_at_least
from lbt_dspy.signatures import WriteProgram, repairing

Check = Callable[[Mapping[str, Any], str], tuple[str, str] | None]
"""From what a program is called with, and what was written: the first test that fails and its error, if one does."""


def code_program() -> dspy.ChainOfThought:
    """Return the program `question -> reasoning, program`."""
    return dspy.ChainOfThought(WriteProgram)


class SelfDebug(dspy.Module):  # type: ignore[misc]
    """Writes a program and, while a visible test fails, gives it back with the test and its error.

    Chen et al., "Teaching Large Language Models to Self-Debug", ICLR 2024, arXiv 2304.05128. Whoever wrote the program
    mends it: `repair` is asked of the LM of `solver`, so an exam student debugs its own answers.

    It is called with the solver's inputs and with what `check` needs of a problem (such as its visible tests), and
    gives what the last attempt gave. A repair that cannot be read leaves the attempt before it.

    Args:
        solver: A module with one predictor, one of whose outputs is the program.
        check: Finds the first visible test that fails, e.g. `lbt_dspy.metrics.ProgramTests().first_failure`.
        rounds: Repairs at most, at least 1.
        answer: Name of the output field with the program.

    Raises:
        UserError: The solver is not one predictor with that output, `check` is no function, or the rounds are out of
            bounds.
    """

    def __init__(
        self, solver: dspy.Module | None = None, *, check: Check, rounds: int = 1, answer: str = "program"
    ) -> None:
        super().__init__()
        check_at_least("rounds", rounds, 1, "use the solver alone for none")
        if not callable(check):
            raise UserError(f"check must be a function but got {check!r}; e.g. ProgramTests().first_failure")
        self.solver = code_program() if solver is None else solver
        predictors = self.solver.predictors()
        if len(predictors) != 1 or answer not in predictors[0].signature.output_fields:
            raise UserError(
                f"the solver must have one predictor, with an output {answer!r}, but has {len(predictors)}: "
                f"{', '.join(str(p.signature.signature) for p in predictors) or '(none)'}"
            )
        self.repair = dspy.Predict(repairing(predictors[0].signature))
        self.check = check
        self.rounds = rounds
        self.answer = answer

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Write, test and mend."""
        writer = self.solver.predictors()[0]
        asked = {name: inputs[name] for name in writer.signature.input_fields if name in inputs}
        written = self.solver(**asked)
        for _ in range(self.rounds):
            failure = self.check(inputs, str(written[self.answer]))
            if failure is None:
                break
            test, error = failure
            try:
                written = self.repair(
                    **asked, failed_program=written[self.answer], failed_test=test, error=error, lm=writer.lm
                )
            except AdapterParseError:
                break
        return written
