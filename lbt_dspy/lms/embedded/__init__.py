"""Small *statistical* models that run in process, with no key and no download.

They are not language models: they read a prompt's demonstrations back, fit scikit-learn text classifiers on them and
answer in the prompt's layout. What they share with language models is what the library measures: they know only what
the demonstrations teach.
"""

from __future__ import annotations

from typing import Any

import dspy

from lbt_dspy.errors import UserError
from lbt_dspy.lms.engine import lm_of

PREFIX = "embedded/"
STUDENTS = ("embedded/words", "embedded/bayes", "embedded/chars")
TEACHER = "embedded/teacher"
NAMES = (*STUDENTS, TEACHER)


def embedded_lm(name: str, **sampling: Any) -> dspy.LM:
    """Return the embedded model `name` as a `dspy.LM`.

    Raises:
        UserError: There is no such embedded model.
    """
    if name not in NAMES:
        raise UserError(f"unknown embedded model {name!r}; known: {', '.join(NAMES)}")
    from lbt_dspy.lms.embedded.engines import EmbeddedStudent, EmbeddedTeacher

    return lm_of(EmbeddedTeacher() if name == TEACHER else EmbeddedStudent(name), **sampling)
