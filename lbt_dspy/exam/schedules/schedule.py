"""Which sitting next, and when to stop: the protocol of schedules, and those that have names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, get_args

from lbt_dspy.errors import UserError, check_choice
from lbt_dspy.exam.names import ScheduleName
from lbt_dspy.exam.schedules.confident import Confident
from lbt_dspy.exam.schedules.full import FULL, Full
from lbt_dspy.exam.schedules.lossless import Lossless
from lbt_dspy.exam.schedules.table import Cell, ExamTable
from lbt_dspy.exam.selection import SelectionRule, rule_of


class Schedule(Protocol):
    """Decides which sittings of a teaching problem are asked. Stateless: all it goes by is the table."""

    name: str
    waits: bool
    """Whether marks decide what is asked next; else all open cells are asked at once."""

    def next(self, table: ExamTable, in_flight: int) -> Sequence[Cell]:
        """Return open cells to ask together, at most `in_flight` (at least 1); none: the answer is settled.

        The marks of all of them are recorded before it is asked again.
        """

    def choice(self, table: ExamTable) -> int:
        """Return the chosen answer; before `next` came back empty, the best guess."""


MADE: Mapping[str, Callable[[float, int], Schedule]] = {
    FULL: lambda delta, seed: Full(),
    "lossless": lambda delta, seed: Lossless(),
    "confident": lambda delta, seed: Confident(delta=delta, seed=seed) if delta else Lossless(),
}
"""By name: from its risk and its seed."""


def make_schedule(name: str, *, delta: float = 0.05, seed: int = 0, selection: str | SelectionRule) -> Schedule:
    """Return a schedule by name.

    Args:
        name: `full`, `lossless` or `confident`.
        delta: Of `confident`: the estimated risk of another answer than the full exam's at which it stops, in
            [0, 0.5); 0 is `lossless`.
        seed: Of `confident`: draws which sittings of an answer come first.
        selection: The rule that will choose the answer.

    Raises:
        UserError: There is no such schedule, `delta` is out of bounds, or `confident` is asked for with a rule beside
            `sum` and `avg`.
    """
    check_choice("schedule", name, get_args(ScheduleName))
    rule_of(selection)
    if not 0 <= delta < 0.5:
        raise UserError(f"delta must be at least 0 and less than 0.5 but got {delta!r}; 0 is the schedule lossless")
    if name == "confident" and selection not in ("sum", "avg", "maj"):
        raise UserError(f"schedule confident is for selection sum or avg but got {selection!r}; take lossless")
    return MADE[name](delta, seed)


def schedule_of(given: object) -> Schedule:
    """Return what was given as a schedule.

    Raises:
        UserError: It is none.
    """
    for name, kind in (("name", str), ("waits", bool)):
        if not isinstance(getattr(given, name, None), kind):
            raise UserError(
                f"schedule must be {', '.join(get_args(ScheduleName))} or have a {name} ({kind.__name__}) but got "
                f"{given!r}; see lbt_dspy.exam.schedules.Schedule"
            )
    for name in ("next", "choice"):
        if not callable(getattr(given, name, None)):
            raise UserError(f"schedule {given!r} has no method {name}; see lbt_dspy.exam.schedules.Schedule")
    return given  # type: ignore[return-value]
