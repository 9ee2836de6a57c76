"""How a sitting gets its mark in another way than by a grader: the protocol of such marks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import dspy

from lbt_dspy.errors import UserError
from lbt_dspy.exam.render import Renderer
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.types import ExamProblem, Seat, Sitting

if TYPE_CHECKING:
    from lbt_dspy.types import Material


class MarkedExam(Protocol):
    """Holds exams, and marks their sittings."""

    def check(self, students: Sequence[dspy.LM], problems: Sequence[ExamProblem] = ()) -> None:
        """Raise `UserError` for students or problems that cannot be examined so; no call is made."""

    def sit(self, seats: Sequence[Seat], *, role: str, account: Account) -> list[Sitting]:
        """As `Examiner.sit`: one sitting per seat, in their order; what could not be measured has mark `None`."""


class SittingMark(Protocol):
    """A way to mark sittings that needs no grader."""

    name: str
    one_sitting: bool
    """Whether a second sitting of a student at a problem would say the same."""

    def exam(self, *, renderer: Renderer, shown: Callable[[Material], Material], ledger: Ledger) -> MarkedExam:
        """Return what holds exams.

        Args:
            renderer: Writes the prompts of a program of one predictor.
            shown: What a student reads of a material.
            ledger: Pays: every call goes through it.
        """


def check_one_sitting(mark: str, sittings: int) -> None:
    """Raise `UserError` for more than one sitting, which would say the same again."""
    if sittings != 1:
        raise UserError(
            f"sittings must be 1 with mark {mark!r} but got {sittings}; nothing is sampled, so more say the same: "
            "leave it out"
        )
