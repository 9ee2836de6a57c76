"""The names of the tasks, and of the models that they come with; imports nothing."""

from __future__ import annotations

MATH, CODE, CLASSROOM = "math", "code", "classroom"
ANSWERED = (MATH, CLASSROOM, CODE)
"""Tasks whose questions have one answer each: M1, and M2."""
LABELLED = ("fallacy", "liar")
"""Classification: M3."""
EMBEDDED_TEACHER = "embedded/teacher"
EMBEDDED_STUDENTS = ("embedded/words", "embedded/bayes", "embedded/chars")
"""Statistical; of classification."""
CLASSROOM_TEACHER, CLASSROOM_STUDENT = "embedded/classroom-teacher", "embedded/classroom-student-a"
"""Tiny language models of the classroom's world."""
