"""Small models that run in process, with no key and no download.

Those of `STUDENTS` and `TEACHER` are *statistical*: they read a prompt's demonstrations back, fit scikit-learn text
classifiers on them and answer in the prompt's layout. Those of `CLASSROOM` are language models of a small synthetic
world, see `classroom.py`. What they all share with large language models is what the library measures: students know
only what the demonstrations teach.
"""

from __future__ import annotations

from typing import Any

import dspy

from lbt_dspy.errors import UserError
from lbt_dspy.lms.engine import lm_of

PREFIX = "embedded/"
STUDENTS = ("embedded/words", "embedded/bayes", "embedded/chars")
TEACHER = "embedded/teacher"
CLASSROOM_TEACHER = "embedded/classroom-teacher"
CLASSROOM_STUDENTS = ("embedded/classroom-student-a", "embedded/classroom-student-b")
CLASSROOM = (CLASSROOM_TEACHER, *CLASSROOM_STUDENTS)
NAMES = (*STUDENTS, TEACHER, *CLASSROOM)


def embedded_lm(name: str, **sampling: Any) -> dspy.LM:
    """Return the embedded model `name` as a `dspy.LM`.

    Raises:
        UserError: There is no such embedded model.
    """
    if name not in NAMES:
        raise UserError(f"unknown embedded model {name!r}; known: {', '.join(NAMES)}")
    if name in CLASSROOM:
        from lbt_dspy.lms.embedded.classroom import ClassroomEngine

        return lm_of(ClassroomEngine(name), **sampling)
    from lbt_dspy.lms.embedded.engines import EmbeddedStudent, EmbeddedTeacher

    return lm_of(EmbeddedTeacher() if name == TEACHER else EmbeddedStudent(name), **sampling)
