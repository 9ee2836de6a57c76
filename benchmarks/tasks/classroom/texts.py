"""The texts that the classroom's models are trained on: contexts of a few solved problems each, as token numbers."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from lbt_dspy.benchmarks.tasks.classroom.world import (
    END,
    NAMES,
    QUANTITIES,
    STEPS,
    VOCABULARY,
    Procedure,
    line,
    random_procedure,
    skills,
    triples,
)

PATTERN = rf"{END}|[a-z]{{2}}|\S"
"""What one token is; spaces are none."""
NUMBERS = {token: number for number, token in enumerate(VOCABULARY)}
LINES, TEACHER_LINES = 3, 4
"""Solved problems of one context: of a student's, and of the teacher's, who is to read an exam's three problems."""
OTHER_SKILL = 0.2
"""Share of a student's contexts with a solved problem of another skill in between."""
ANSWERS_ONLY, FRESH = 0.3, 0.25
"""Shares of the teacher's contexts whose demonstrations have no reasoning, and whose procedure is no belief of its."""


class Context(NamedTuple):
    """One training text."""

    numbers: list[int]
    """Of its tokens."""
    learned: list[bool]
    """Which of them are predicted: answers are, questions are not."""


def student_context(rng: np.random.Generator, steps: Sequence[float]) -> Context:
    """Draw a context in which each name stands for a new random procedure.

    A name's first line is learned where it has no product: what a student says without a lesson is a guess, and
    products, which are often even and often 0, would be right too often.

    Args:
        rng: Source of the draw.
        steps: Probabilities of procedures of 1, 2 and 3 steps.
    """
    name, other = rng.choice(NAMES, 2, replace=False)
    meaning = {skill: random_procedure(rng, int(rng.choice(STEPS, p=steps))) for skill in (name, other)}
    names = [name] * LINES
    if rng.random() < OTHER_SKILL:
        names[rng.integers(LINES - 1)] = other
    lines = []
    for place, skill in enumerate(names):
        product = any(operation == "*" for operation, _ in meaning[skill].steps)
        lines.append(_solved(rng, skill, meaning[skill], reasoned=True, learned=skill in names[:place] or not product))
    return _joined(lines)


def teacher_context(rng: np.random.Generator) -> Context:
    """Draw a context on one skill: what its name stands for is a candidate, drawn as believed, or a fresh procedure.

    The first problem is answered from what the name is believed to stand for, the others from the demonstrations
    before them too. After demonstrations without reasoning, the last problem is answered with it.
    """
    skill = skills()[str(rng.choice(NAMES))]
    believed = rng.random() >= FRESH
    if believed:
        procedure = skill.candidates[rng.choice(len(skill.beliefs), p=skill.beliefs)]
    else:
        procedure = random_procedure(rng, int(rng.choice(STEPS)))
    reasoned = not believed or rng.random() >= ANSWERS_ONLY
    solved = partial(_solved, rng, skill.name, procedure)
    before = [
        solved(reasoned=reasoned, learned=reasoned and (believed or place > 0)) for place in range(TEACHER_LINES - 1)
    ]
    return _joined([*before, solved(reasoned=True, learned=True)])


def numbers_of(text: str) -> list[int]:
    """Return the numbers of a text's tokens."""
    return [NUMBERS[token] for token in re.findall(PATTERN, text)]


def padded(contexts: Sequence[Context]) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers and, where they are to be predicted, the same as targets, else -100; shape (contexts, longest)."""
    longest = max(len(context.numbers) for context in contexts)
    numbers = np.zeros((len(contexts), longest), np.int64)
    targets = np.full_like(numbers, -100)
    for row, context in enumerate(contexts):
        size = len(context.numbers)
        numbers[row, :size] = context.numbers
        targets[row, :size] = np.where(context.learned, context.numbers, -100)
    return numbers, targets


def _solved(rng: np.random.Generator, name: str, procedure: Procedure, *, reasoned: bool, learned: bool) -> Context:
    split = triples("train")
    digits = dict(zip(QUANTITIES, split[rng.integers(len(split))], strict=True))
    reasoning, answer = procedure.work(digits)
    question = " ".join([name, *(f"{quantity}{digit}" for quantity, digit in digits.items())])
    asked = len(numbers_of(line(question)))
    numbers = numbers_of(line(question, reasoning if reasoned else None, answer))
    return Context(numbers, [False] * asked + [learned] * (len(numbers) - asked))


def _joined(lines: Sequence[Context]) -> Context:
    numbers, learned = (list(itertools.chain(*parts)) for parts in zip(*lines, strict=True))
    return Context(numbers, learned)
