"""Exam students that a saved program knows by name: no key, token or address of a server's user is ever saved."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import dspy

from lbt_dspy.dspy_private import Parameter
from lbt_dspy.errors import UserError
from lbt_dspy.lms.redaction import public_url

_looking_up = threading.Lock()


class ExamStudents(Parameter):  # type: ignore[misc]
    """The exam students of a module: LMs, or names that become LMs when they are first asked.

    DSPy saves and loads it with the module's predictors, as names. A name that this module was not made with is looked
    up as on the command line (`LMRoles`); so are all names after unpickling.

    Args:
        students: LMs or names, all different.
        config: A LiteLLM YAML with further names.

    Raises:
        UserError: Two students have one name, or something is neither an LM nor a name.
    """

    def __init__(self, students: Sequence[dspy.LM | str], config: str | Path | None = None) -> None:
        check_students(students)
        self.names = [student if isinstance(student, str) else name_of(student) for student in students]
        if len(set(self.names)) < len(self.names):
            raise UserError(
                f"exam_students must be different but are {', '.join(self.names)}; for more attempts of one student "
                "raise sittings"
            )
        self.config = config
        self._lms = {
            name: student for name, student in zip(self.names, students, strict=True) if isinstance(student, dspy.LM)
        }

    def lms(self) -> list[dspy.LM]:
        """Return the LMs.

        Raises:
            UserError: A name is unknown, or its key is missing.
        """
        with _looking_up:
            missing = [name for name in self.names if name not in self._lms]
            if missing:
                from lbt_dspy.lms.roles import LMRoles

                self._lms = {**self._lms, **dict(zip(missing, LMRoles(self.config).lms(missing), strict=True))}
            return [self._lms[name] for name in self.names]

    def reset(self) -> None:
        """Do nothing: students are not learned."""

    def dump_state(self, json_mode: bool = True) -> dict[str, Any]:
        """Return the names."""
        return {"students": list(self.names)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take the saved names."""
        self.names = list(state["students"])

    def __getstate__(self) -> dict[str, Any]:
        return {"names": self.names, "config": self.config, "_lms": {}}

    def __deepcopy__(self, memo: dict[int, Any]) -> ExamStudents:
        copy = ExamStudents(self.names, self.config)
        copy._lms = self._lms
        return copy


def name_of(lm: dspy.LM) -> str:
    """Return the name under which `LMRoles` finds an LM again."""
    address = public_url(str(lm.kwargs.get("api_base") or lm.kwargs.get("base_url") or ""))
    return f"{lm.model}@{address}" if address else str(lm.model)


def check_students(students: object) -> None:
    """Raise `UserError` unless it is a list of LMs and names."""
    if isinstance(students, dspy.LM | str) or not isinstance(students, Iterable):
        raise UserError(f"exam_students must be a list but got {students!r}; put it into one")
    for student in students:
        if not isinstance(student, dspy.LM | str):
            raise UserError(
                f"exam_students must be dspy.LM objects or names but one is {student!r}; a name is one such as "
                "embedded/words or openai/gpt-4o-mini"
            )


def as_lms(students: Sequence[dspy.LM | str], config: str | Path | None = None) -> list[dspy.LM]:
    """Return students as LMs.

    Raises:
        UserError: A name is unknown, stands twice, or its key is missing.
    """
    named = ExamStudents([student for student in students if isinstance(student, str)], config)
    found = dict(zip(named.names, named.lms(), strict=True))
    return [found[student] if isinstance(student, str) else student for student in students]
