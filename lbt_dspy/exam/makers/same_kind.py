"""Exams of problems of the same kind as the teaching problem."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import dspy

from lbt_dspy.errors import UserError, check_choice
from lbt_dspy.exam.makers.banks import BankMaker, check_fields

SEVERAL = (list, tuple, set, frozenset)
LEVELS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


class SameKind(BankMaker):
    """Problems that agree with the teaching problem in some fields, and compare with it in level.

    Of a field that holds several values, such as tags, one must be shared: the teaching problem's rarest in the bank
    that gives enough problems, since it says most.

    Args:
        bank: As in `BankMaker`, as are the other options.
        fields: Fields that must be equal, or share a value where they hold a list, tuple or set; e.g. `("subject",)`.
        level: `=`, `<`, `>`, `<=`, `>=` compare a problem's level with the teaching problem's (`<`: easier exams); a
            number asks for that level; `None`: any.
        level_field: The field with the level, a number.
    """

    def __init__(
        self,
        bank: Iterable[dspy.Example],
        fields: Sequence[str] = ("subject",),
        level: str | int | None = "=",
        *,
        level_field: str = "level",
        **options: Any,
    ) -> None:
        super().__init__(bank, **options)
        if isinstance(level, str):
            check_choice("level", level, tuple(LEVELS))
        self.fields = (fields,) if isinstance(fields, str) else tuple(fields)
        self.level = level
        self.level_field = level_field
        self.about = (*self.fields, *((level_field,) if isinstance(level, str) else ()))
        check_fields(self.bank, (*self.fields, *(() if level is None else (level_field,))))

    def fitting(self, teaching: dspy.Example, others: Sequence[int]) -> Iterable[int]:
        """Return the problems of the same kind."""
        kind = {name: self.field(teaching, name) for name in self.fields}
        fits = self._level_test(teaching)
        places = [place for place in others if fits(self.bank[place])]
        for name, own in kind.items():
            places = self._sharing(name, own, places)
        return places

    def _sharing(self, name: str, own: Any, places: list[int]) -> list[int]:
        """Return the places whose value of a field is the teaching problem's, or has its rarest one in it."""
        if not isinstance(own, SEVERAL):
            return [place for place in places if own in _values(self.bank[place][name])]
        groups = [[place for place in places if value in _values(self.bank[place][name])] for value in _values(own)]
        enough = [group for group in groups if len(group) >= (self.most or 1)]
        return min(enough, key=len) if enough else max(groups, key=len, default=[])

    def _level_test(self, teaching: dspy.Example) -> Callable[[dspy.Example], bool]:
        if self.level is None:
            return lambda problem: True
        if not isinstance(self.level, str):
            return lambda problem: bool(problem[self.level_field] == self.level)
        return functools.partial(self._compare, LEVELS[self.level], self.field(teaching, self.level_field))

    def _compare(self, compare: Callable[[Any, Any], bool], own: Any, problem: dspy.Example) -> bool:
        level = problem[self.level_field]
        try:
            return compare(level, own)
        except TypeError:
            raise UserError(
                f"{self.level_field} is {own!r} in the teaching problem and {level!r} in the bank; give numbers"
            ) from None


def _values(value: Any) -> Sequence[Any]:
    """Return the values of a field, those of a set in an order that is always the same."""
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    return value if isinstance(value, list | tuple) else (value,)
