"""What an exam maker is.

Ning et al. (NeurIPS 2024, arXiv 2406.14629) use functional variants of the teaching problem, its nearest neighbours,
and problems of the same kind. Whatever the maker, the teaching problem and copies of it are never in its exam.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import dspy

from lbt_dspy.errors import UserError
from lbt_dspy.types import ExamProblem


class ExamMaker(Protocol):
    """Makes exams; thread-safe."""

    about: tuple[str, ...]
    """Fields of a teaching problem, beyond its inputs, that choose the exam; a program is called with them too."""

    def problems(self, teaching: dspy.Example) -> Sequence[ExamProblem]:
        """Return the exam problems of a teaching problem: never itself or a copy of it, none of them twice.

        Args:
            teaching: Its inputs, and the fields of `about` as far as they are known.

        Raises:
            UserError: The exam cannot be made.
        """


def check_maker(maker: object) -> None:
    """Raise `UserError` unless it is an exam maker."""
    if isinstance(maker, type) or not callable(getattr(maker, "problems", None)):
        named = maker.__name__ if isinstance(maker, type) else type(maker).__name__
        raise UserError(f"exam must be an exam maker but got {named}; make one of a bank, e.g. Nearest(bank)")
