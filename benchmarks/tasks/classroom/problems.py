"""The classroom's problems as examples: teaching problems and, for their exams, functional variants of each.

A row: {"question": "ba x3 y5 z2", "reasoning": "x-z:3-2=1", "answer": "1", "skill": "ba", "p": 0.4, "level": 1,
"unique_id": "ba-352"}; the variants of a problem have its `unique_id`.
"""

from __future__ import annotations

from dataclasses import dataclass

import dspy

from lbt_dspy.benchmarks.tasks.classroom.world import NAMES, SPLITS, Problem, skills, triples
from lbt_dspy.errors import UserError, check_at_least, check_choice
from lbt_dspy.sampling import stream


@dataclass(frozen=True, kw_only=True)
class ClassroomProblems:
    """What is taught, and what is asked in exams."""

    teaching: tuple[Problem, ...]
    variants: tuple[tuple[Problem, ...], ...]
    """Of each teaching problem: the same skill on other digits, none of them a teaching problem."""

    @property
    def teaching_examples(self) -> list[dspy.Example]:
        """The teaching problems, with reference fields."""
        return [example(problem, unique_id(problem)) for problem in self.teaching]

    @property
    def bank(self) -> list[dspy.Example]:
        """All variants, with reference fields."""
        pairs = zip(self.teaching, self.variants, strict=True)
        return [example(variant, unique_id(taught)) for taught, variants in pairs for variant in variants]


def classroom_problems(number: int, *, seed: int, split: str = "test", variants: int = 3) -> ClassroomProblems:
    """Draw problems, as evenly over p and difficulty, and over the 90 skills, as their number allows.

    Args:
        number: How many teaching problems, at least 1.
        seed: Of the draw.
        split: `train`, `dev` (for tuning) or `test`: no digits are in two of them.
        variants: How many each has, at least 1.

    Raises:
        UserError: An option is out of bounds, or the split has too few digits for so many problems.
    """
    check_at_least("number", number, 1, "it is the number of teaching problems")
    check_at_least("variants", variants, 1, "without them there is no exam")
    check_choice("split", split, tuple(SPLITS))
    rounds = -(-number // len(NAMES))
    if rounds * (1 + variants) > SPLITS[split]:
        most = SPLITS[split] // (1 + variants) * len(NAMES)
        raise UserError(f"number must be at most {most} with {variants} variants of split {split} but got {number}")
    names = _mixed_names(split, seed)
    teaching, kept = [], []
    for place in range(number):
        turn, name = place // len(names), names[place % len(names)]
        own = _of_skill(name, split, seed)
        teaching.append(own[turn])
        kept.append(own[rounds + turn * variants : rounds + (turn + 1) * variants])
    return ClassroomProblems(teaching=tuple(teaching), variants=tuple(kept))


def unique_id(problem: Problem) -> str:
    """Return the name that a problem shares with its variants."""
    return f"{problem.skill.name}-{''.join(map(str, problem.digits))}"


def example(problem: Problem, shared_id: str) -> dspy.Example:
    """Return a problem with its reference fields; its input is the question."""
    reasoning, answer = problem.work()
    skill = problem.skill
    return dspy.Example(
        question=problem.question,
        reasoning=reasoning,
        answer=str(answer),
        skill=skill.name,
        p=skill.p,
        level=len(skill.procedure.steps),
        unique_id=shared_id,
    ).with_inputs("question")


def _mixed_names(split: str, seed: int) -> list[str]:
    """Return the names of all skills in random order, but with one of each p and difficulty in every nine."""
    drawn = [skills()[NAMES[place]] for place in stream(seed, "skills", split).permutation(len(NAMES))]
    kinds: dict[tuple[float, int], list[str]] = {}
    for skill in drawn:
        kinds.setdefault((skill.p, len(skill.procedure.steps)), []).append(skill.name)
    return [name for nine in zip(*kinds.values(), strict=True) for name in nine]


def _of_skill(name: str, split: str, seed: int) -> tuple[Problem, ...]:
    """Return all problems of a skill, in an order of its own."""
    digits = triples(split)
    order = stream(seed, "digits", split, name).permutation(len(digits))
    return tuple(Problem(skill=skills()[name], digits=digits[place]) for place in order)
