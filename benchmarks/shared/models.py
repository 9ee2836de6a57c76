"""The models of a command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lbt_dspy.errors import UserError


def models_of(given: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names of the teacher and the students: the given ones, or those that a task comes with.

    Args:
        given: Options by name.
        own: The defaults of the task.

    Raises:
        UserError: There are students without a teacher, or a name stands twice.
    """
    teacher, students = given.get("teacher"), given.get("students")
    if "teacher" not in own:
        if teacher is None and students is not None:
            raise UserError(f"--students {','.join(students)} needs a --teacher: the model that writes the exemplars")
        if teacher is None and given.get("config") is not None:
            raise UserError(f"--config {given['config']} needs a --teacher, one of its model names")
    if students is not None and ("" in students or len(set(students)) < len(students)):
        raise UserError(f"--students must be different names with commas between but got {','.join(students)!r}")
    return {
        "teacher": own.get("teacher") if teacher is None else teacher,
        "students": own.get("students", ()) if students is None else students,
    }
