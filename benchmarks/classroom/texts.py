"""The texts that the classroom's models are trained on: contexts of a few solved problems each, as token numbers."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lbt_dspy.benchmarks.classroom.world import (
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
LINES = 3
"""Solved problems of one context."""
OTHER_SKILL = 0.2
"""Share of a student's contexts with a solved problem of another skill in between."""
ANSWERS_ONLY, FRESH = 0.2, 0.25
"""Shares of the teacher's contexts whose demonstrations have no reasoning, and whose procedure is no belief of its."""


class Context(NamedTuple):
    """One training text."""

    numbers: list[int]
    """Of its tokens."""
    learned: list[bool]
    """Which of them are predicted: answers are, questions are not."""


def student_context(rng: np.random.Generator, steps: Sequence[float]) -> Context:
    """Draw a context in which each name stands for a new random procedure.

    Args:
        rng: Source of the draw.
        steps: Probabilities of procedures of 1, 2 and 3 steps.
    """
    name, other = rng.choice(NAMES, 2, replace=False)
    meaning = {skill: random_procedure(rng, int(rng.choice(STEPS, p=steps))) for skill in (name, other)}
    names = [name] * LINES
    if rng.random() < OTHER_SKILL:
        names[rng.integers(LINES - 1)] = other
    return _joined([_solved(rng, skill, meaning[skill], reasoned=True, learned=True) for skill in names])


def teacher_context(rng: np.random.Generator) -> Context:
    """Draw a context on one skill: what its name stands for is a candidate, drawn as believed, or a fresh procedure.

    The first problem is answered from what the name is believed to stand for, the others from the demonstrations
    before them too. After demonstrations without reasoning, the last problem is answered with it.
    """
    skill = skills()[str(rng.choice(NAMES))]
    if rng.random() < FRESH:
        procedure = random_procedure(rng, int(rng.choice(STEPS)))
        lines = [_solved(rng, skill.name, procedure, reasoned=True, learned=place > 0) for place in range(LINES)]
        return _joined(lines)
    procedure = skill.candidates[rng.choice(len(skill.beliefs), p=skill.beliefs)]
    reasoned = rng.random() >= ANSWERS_ONLY
    lines = [_solved(rng, skill.name, procedure, reasoned=reasoned, learned=reasoned) for _ in range(LINES - 1)]
    return _joined([*lines, _solved(rng, skill.name, procedure, reasoned=True, learned=True)])


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
