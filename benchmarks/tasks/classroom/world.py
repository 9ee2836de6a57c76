"""A synthetic world: 90 skills, each a name for a hidden procedure of 1 to 3 steps over three named digits, modulo 10.

No text says what a skill's procedure is. Students never learn it: in all that they were trained on, a name stood for a
new random procedure, so that they know only what the lesson in their prompt shows. The teacher is unsure of it: it
was trained on texts in which a skill's procedure is right with a probability that differs from skill to skill, around
the world's parameter p, and is otherwise one of a few *misconceptions*.

One problem, solved, in the layout of `line`, which is all that the models ever see:

    Q ba x3 y5 z2 R x+y:3+5=8;*z:8*2=6 A 6

Its tokens: one for the skill's name and one for each other character that is not a space; spaces count for nothing.

    Q ba x 3 y 5 z 2 R x + y : 3 + 5 = 8 ; * z : 8 * 2 = 6 A 6 <end>

Demonstrations and then the question follow each other without anything in between: `(Q.. [R..] A.. <end>)* Q..`. There
is no token at the beginning of a text. In chat form `Q ba x3 y5 z2` is a user's message and `R x+y:3+5=8;*z:8*2=6 A 6`
the assistant's, after which the template writes <end>; a system's message is left out. A model's answer starts with R,
also after demonstrations without reasoning, and ends with <end>. A question has 8 tokens, an answer of 1, 2 or 3 steps
has 13, 22 or 31 with its <end>.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from lbt_dspy.sampling import stream

Number = TypeVar("Number", int, np.ndarray)
WORLD_SEED = 0
"""Of skills, beliefs and splits; models and tables are of this one world."""
QUANTITIES = "xyz"
OPERATIONS = "+-*"
MODULUS = 10
CONSONANTS, VOWELS = "bcdfghjklmnprstvwz", "aeiou"
NAMES = tuple(consonant + vowel for consonant in CONSONANTS for vowel in VOWELS)
END, PADDING = "<end>", "<pad>"
VOCABULARY = (PADDING, END, *"QRA", *QUANTITIES, *"0123456789", *OPERATIONS, *":=;", *NAMES)
"""A token's number is its place."""

STEPS = (1, 2, 3)
P = (0.4, 0.6, 0.8)
"""How probable the teacher thinks the right procedure, in the mean over the skills of one p (30 each)."""
CONCENTRATION = 4.0
"""Of the Dirichlet distribution of a skill's beliefs around p: the smaller, the more skills it has mostly wrong."""
LEAST_BELIEF = 0.15
"""In a right procedure, so that 24 lessons hold a right one for (nearly) every problem: 1 - .85 ** 24 = .98."""
MISCONCEPTIONS = 3
"""Of each skill; all start from the same wrong quantity and then part."""
AGREEMENT = 0.2
"""Largest share of digits on which a misconception gives the right answer."""
COMMONEST = 0.3
"""Largest share of digits with the same answer."""
SPLITS = {"train": 700, "dev": 100, "test": 200}
"""How many of the 1,000 triples of digits are for training, for tuning, and for nothing but the table."""


@dataclass(frozen=True, kw_only=True)
class Procedure:
    """What is done with the digits: `x`, then `+y`, then `*z`, say."""

    start: str
    """The first quantity."""
    steps: tuple[tuple[str, str], ...]
    """Operation and quantity of each step."""

    def work(self, digits: Mapping[str, int]) -> tuple[str, int]:
        """Return the reasoning, e.g. `x+y:3+5=8;*z:8*2=6`, and the answer in [0, 10), e.g. 6."""
        value, lines, named = digits[self.start], [], self.start
        for operation, quantity in self.steps:
            result = calculate(value, operation, digits[quantity])
            lines.append(f"{named}{operation}{quantity}:{value}{operation}{digits[quantity]}={result}")
            value, named = result, ""
        return ";".join(lines), value

    def answers(self) -> np.ndarray:
        """Return the answers to all digits, shape (10, 10, 10), with the axes x, y and z."""
        grid = dict(zip(QUANTITIES, np.indices((MODULUS,) * 3), strict=True))
        value: np.ndarray = grid[self.start]
        for operation, quantity in self.steps:
            value = calculate(value, operation, grid[quantity])
        return value


@dataclass(frozen=True, kw_only=True)
class Skill:
    """A name, what it stands for, and what the teacher thinks that it might stand for."""

    name: str
    p: float
    """The world's parameter for this skill."""
    candidates: tuple[Procedure, ...]
    """The right procedure, then its misconceptions."""
    beliefs: tuple[float, ...]
    """Probability of each candidate in the texts that the teacher learned from; their sum is 1."""

    @property
    def procedure(self) -> Procedure:
        """The right one."""
        return self.candidates[0]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A skill to be used on three digits. Its functional variants are the same skill on other digits."""

    skill: Skill
    digits: tuple[int, ...]
    """Of x, y and z."""

    @property
    def question(self) -> str:
        """E.g. `ba x3 y5 z2`."""
        return " ".join([self.skill.name, *(f"{name}{digit}" for name, digit in self._named().items())])

    def work(self, procedure: Procedure | None = None) -> tuple[str, int]:
        """Return reasoning and answer of the right procedure, or of another one."""
        return (procedure or self.skill.procedure).work(self._named())

    def _named(self) -> dict[str, int]:
        return dict(zip(QUANTITIES, self.digits, strict=True))


def calculate(left: Number, operation: str, right: Number) -> Number:
    """Return `left operation right` modulo 10."""
    results = {"+": left + right, "-": left - right, "*": left * right}
    return results[operation] % MODULUS  # type: ignore[no-any-return]


def line(question: str, reasoning: str | None = None, answer: object = None) -> str:
    """Return a question, or a demonstration with or without its reasoning, as text; a demonstration has its <end>.

    Example:
        >>> line("ba x3 y5 z2", "x+y:3+5=8", 8)
        'Q ba x3 y5 z2 R x+y:3+5=8 A 8<end>'
    """
    asked = f"Q {question}"
    if answer is None:
        return asked
    return f"{asked} {'' if reasoning is None else f'R {reasoning} '}A {answer}{END}"


def random_procedure(rng: np.random.Generator, steps: int, start: str | None = None) -> Procedure:
    """Draw a procedure; its first step is on two different quantities."""
    start = start or str(rng.choice(list(QUANTITIES)))
    first = str(rng.choice([name for name in QUANTITIES if name != start]))
    others = [first, *(str(name) for name in rng.choice(list(QUANTITIES), steps - 1))]
    operations = [str(sign) for sign in rng.choice(list(OPERATIONS), steps)]
    return Procedure(start=start, steps=tuple(zip(operations, others, strict=True)))


@functools.cache
def skills() -> Mapping[str, Skill]:
    """Return the skills by name: 10 for each number of steps and each p."""
    return {name: _skill(name, place) for place, name in enumerate(NAMES)}


@functools.cache
def triples(split: str) -> tuple[tuple[int, ...], ...]:
    """Return the triples of digits of a split, in random order."""
    order = stream(WORLD_SEED, "splits").permutation(MODULUS**3)
    names = list(SPLITS)
    first = sum(SPLITS[name] for name in names[: names.index(split)])
    return tuple((int(n) // 100, int(n) // 10 % 10, int(n) % 10) for n in order[first : first + SPLITS[split]])


def _skill(name: str, place: int) -> Skill:
    rng = stream(WORLD_SEED, "skill", name)
    steps, p = STEPS[place % 3], P[place // 3 % 3]
    candidates = [_different(rng, steps, None, ())]
    wrong_start = str(rng.choice([quantity for quantity in QUANTITIES if quantity != candidates[0].start]))
    for _ in range(MISCONCEPTIONS):
        candidates.append(_different(rng, steps, wrong_start, candidates))
    return Skill(name=name, p=p, candidates=tuple(candidates), beliefs=_beliefs(rng, p))


def _different(rng: np.random.Generator, steps: int, start: str | None, others: Sequence[Procedure]) -> Procedure:
    """Draw procedures until one has varied answers that agree with none of the others' too often."""
    while True:
        drawn = random_procedure(rng, steps, start)
        answers = drawn.answers()
        varied = np.bincount(answers.ravel(), minlength=MODULUS).max() <= COMMONEST * MODULUS**3
        if varied and all((answers == other.answers()).mean() <= AGREEMENT for other in others):
            return drawn


def _beliefs(rng: np.random.Generator, p: float) -> tuple[float, ...]:
    wrong = (1 - p) / MISCONCEPTIONS
    drawn = rng.dirichlet([CONCENTRATION * p, *[CONCENTRATION * wrong] * MISCONCEPTIONS])
    right = max(LEAST_BELIEF, drawn[0])
    return (float(right), *(float(share) for share in drawn[1:] / drawn[1:].sum() * (1 - right)))
