"""Exams of a fixed list, or of functional variants of the teaching problem."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import dspy

from lbt_dspy.exam.makers.banks import BankMaker, check_fields


class Fixed(BankMaker):
    """The same problems for every teaching problem."""

    def fitting(self, teaching: dspy.Example, others: Sequence[int]) -> Iterable[int]:
        """Return all."""
        return others


class Variants(BankMaker):
    """Functional variants of the teaching problem: those that share its key (the paper's exam for MATH).

    Args:
        bank: As in `BankMaker`, as are the other options.
        key: The field that a problem and its variants share.
    """

    def __init__(self, bank: Iterable[dspy.Example], key: str = "unique_id", **options: Any) -> None:
        super().__init__(bank, **options)
        self.key = key
        self.about = (key,)
        check_fields(self.bank, (key,))

    def fitting(self, teaching: dspy.Example, others: Sequence[int]) -> Iterable[int]:
        """Return the problems with the teaching problem's key."""
        wanted = self.field(teaching, self.key)
        return [place for place in others if self.bank[place][self.key] == wanted]
