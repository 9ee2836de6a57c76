"""Programs that a model has written, run and graded where they can do no harm; see `docs/sandbox.md`."""

from lbt_dspy.metrics.sandbox.grading import run_program, run_script, strongest
from lbt_dspy.metrics.sandbox.records import Limits, Outcome, Verdict

__all__ = ["Limits", "Outcome", "Verdict", "run_program", "run_script", "strongest"]
