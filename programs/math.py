"""The program of mathematical problems: a worked solution, then the final answer."""

from __future__ import annotations

import dspy

from lbt_dspy.signatures import SolveProblem


def math_program() -> dspy.ChainOfThought:
    """Return the program `question -> reasoning, answer`."""
    return dspy.ChainOfThought(SolveProblem)
