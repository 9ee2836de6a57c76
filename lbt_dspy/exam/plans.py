"""Teaching plans: materials made of several solved teaching problems (the reference's `teaching_plans`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dspy

from lbt_dspy.errors import UserError, check_choice

if TYPE_CHECKING:
    from lbt_dspy.types import Material

PLANS = ("each", "none")


def teaching_plans(lessons: Sequence[dspy.Example], plan: str | Sequence[Sequence[int]] = "each") -> list[Material]:
    """Return materials made of solved teaching problems, as `Exam(material=...)` takes them.

    Args:
        lessons: Solved teaching problems, one demonstration each.
        plan: `each`: one material per lesson; `none`: one empty material (students without any lesson); else groups
            of indices into `lessons`: one material per group, with its lessons in that order.

    Raises:
        UserError: The plan is unknown, or an index is out of range.
    """
    if isinstance(plan, str):
        check_choice("plan", plan, PLANS)
        return [(lesson,) for lesson in lessons] if plan == "each" else [()]
    for group in plan:
        for i in group:
            if not 0 <= i < len(lessons):
                raise UserError(f"plan names lesson {i}, but there are {len(lessons)} (0 to {len(lessons) - 1})")
    return [tuple(lessons[i] for i in group) for group in plan]
