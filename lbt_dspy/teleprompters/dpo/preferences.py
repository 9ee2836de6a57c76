"""Preference pairs: of two solutions of one problem, the one that taught better is preferred.

Ning et al., NeurIPS 2024, arXiv 2406.14629, section on learning from the feedback (M2). No training happens here, and
nothing is called: lessons and their scores come from `scored_lessons`.
"""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lbt_dspy.errors import UserError, check_at_least
from lbt_dspy.sampling import stream
from lbt_dspy.teleprompters.dpo import preference_files as files
from lbt_dspy.teleprompters.dpo.preference_files import encodable, write_whole

if TYPE_CHECKING:
    import datasets

WEIGHT = 0.5
GAP = 0.3
PER_PROBLEM = 8
BINS = 10
LARGEST_DENOMINATOR = 10_000
ROUNDING = Fraction(1, 10**12)
Messages = tuple[Mapping[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class ScoredLesson:
    """A sampled solution of a training problem, and what is known of it.

    Lone surrogates in its texts become U+FFFD: no file can hold them.

    Raises:
        UserError: A score is not in [0, 1].
    """

    problem: str
    """Names the problem; pairs are made of lessons with the same."""
    prompt: Messages
    """What the teacher was asked: chat messages as its adapter wrote them."""
    text: str
    """What it answered, as its adapter writes it."""
    answer: str
    rollout: int
    lbt_score: float | None
    """In [0, 1]; `None`: no sitting was measured."""
    correct: float | None = None
    """The mark of its answer, in [0, 1]; `None`: there is no reference answer."""

    def __post_init__(self) -> None:
        prompt = tuple({key: encodable(text) for key, text in message.items()} for message in self.prompt)
        texts = {name: encodable(getattr(self, name)) for name in ("problem", "text", "answer")}
        for name, value in {**texts, "prompt": prompt}.items():
            object.__setattr__(self, name, value)  # frozen from here on
        for name, score in (("lbt_score", self.lbt_score), ("correct", self.correct)):
            if score is not None:
                _check_number(name, score, 1.0, "from 0 to 1", "None says that it is not known")


@dataclass(frozen=True, kw_only=True)
class PreferencePair:
    """Two lessons of one problem."""

    chosen: ScoredLesson
    rejected: ScoredLesson
    gap: float
    """Difference of their scores."""

    def row(self) -> dict[str, Any]:
        """Return the pair as TRL's conversational `prompt`, `chosen`, `rejected`, with scores and provenance."""
        both = {"chosen": self.chosen, "rejected": self.rejected}
        return {
            "prompt": [dict(message) for message in self.chosen.prompt],
            **{name: [{"role": "assistant", "content": lesson.text}] for name, lesson in both.items()},
            "gap": self.gap,
            **{f"{name}_{value}": getattr(both[name], value) for value in files.OF_BOTH for name in both},
            "problem": self.chosen.problem,
        }


def score_of(lesson: ScoredLesson, weight: float = WEIGHT) -> Fraction | None:
    """Return weight * correctness + (1 - weight) * LbT score, exactly; `None` when a part that counts is not known.

    Without a reference answer the LbT score counts alone, unless the weight is 1.
    """
    share = _exact(weight)
    if lesson.correct is None and weight < 1:
        share = Fraction(0)
    parts = [(share, lesson.correct), (1 - share, lesson.lbt_score)]
    if any(part and value is None for part, value in parts):
        return None
    return sum((part * _exact(value) for part, value in parts if value is not None), Fraction())


def preference_pairs(
    lessons: Iterable[ScoredLesson],
    *,
    weight: float = WEIGHT,
    gap: float = GAP,
    per_problem: int = PER_PROBLEM,
    seed: int = 0,
) -> list[PreferencePair]:
    """Pair the lessons of each problem whose scores are more than `gap` apart.

    The chosen are drawn, each for one pair; fewer than `per_problem` only if no other could be. The rejected are drawn
    evenly: no lesson is in more pairs by two than another that could have been in one of these in its place. What is
    drawn for a problem depends on its own lessons and the seed alone. Equal texts are one lesson (see `distinct`).

    Args:
        lessons: Of any number of problems, in any order.
        weight: w, of correctness in the score, in [0, 1]: 0 needs no reference answers, 1 asks for nothing else.
        gap: The chosen lesson's score must be larger by more than this, in [0, 1).
        per_problem: Most pairs of a problem, at least 1.
        seed: Seeds the draw.

    Returns:
        The pairs, problem by problem in the order in which those first appear.

    Raises:
        UserError: An option is out of bounds.
    """
    _check_number("weight", weight, 1.0, "from 0 to 1", f"the paper's is {WEIGHT}")
    _check_number("gap", gap, math.nextafter(1, 0), "from 0 to less than 1", f"the paper's is {GAP}")
    check_at_least("per_problem", per_problem, 1, "it is the largest number of pairs of one problem")
    pairs: list[PreferencePair] = []
    room = Counter[str]()
    for (problem, _), texts in distinct(lessons).items():
        known = [(lesson, score) for lesson in texts if (score := score_of(lesson, weight)) is not None]
        found = _drawn(known, _exact(gap), per_problem - room[problem], stream(seed, "pairs", problem))
        room[problem] += len(found)
        pairs += found
    return pairs


def distinct(lessons: Iterable[ScoredLesson]) -> dict[tuple[str, str], list[ScoredLesson]]:
    """Return the different lessons of each problem and prompt, in the order of their texts.

    In a program of several steps lessons of one problem may answer different prompts; only those of one can be a pair.
    Lessons with the same text are one: the first rollout, with the means of the scores that are known of any.
    """
    asked: dict[tuple[str, str], dict[str, list[ScoredLesson]]] = {}
    for lesson in lessons:
        place = lesson.problem, json.dumps(lesson.prompt, sort_keys=True)
        asked.setdefault(place, {}).setdefault(lesson.text, []).append(lesson)
    first = {problem: number for number, (problem, _) in reversed(list(enumerate(asked)))}
    places = sorted(asked, key=lambda place: (first[place[0]], place[1]))
    return {place: [_merged(asked[place][text]) for text in sorted(asked[place])] for place in places}


def _merged(same: Sequence[ScoredLesson]) -> ScoredLesson:
    first = min(same, key=lambda lesson: (lesson.rollout, lesson.answer, repr(lesson.prompt)))
    score, correct = (_mean([getattr(lesson, name) for lesson in same]) for name in ("lbt_score", "correct"))
    return replace(first, lbt_score=score, correct=correct)


def _mean(scores: Sequence[float | None]) -> float | None:
    known = [_exact(score) for score in scores if score is not None]
    return float(statistics.mean(known)) if known else None


def _drawn(
    known: Sequence[tuple[ScoredLesson, Fraction]], gap: Fraction, most: int, draw: np.random.Generator
) -> list[PreferencePair]:
    lowest = min((score for _, score in known), default=Fraction())
    able = [known[i] for i in draw.permutation(len(known)) if known[i][1] - lowest > gap]
    rejected = Counter[str]()
    pairs: list[PreferencePair] = []
    for chosen, score in sorted(able[:most], key=lambda one: one[1]):  # who has the least choice goes first: it is even
        worse = [(other, low) for other, low in known if score - low > gap]
        fewest = min(rejected[other.text] for other, _ in worse)
        rarest = [(other, low) for other, low in worse if rejected[other.text] == fewest]
        other, low = rarest[draw.integers(len(rarest))]
        rejected[other.text] += 1
        pairs.append(PreferencePair(chosen=chosen, rejected=other, gap=float(score - low)))
    return pairs


def _check_number(name: str, value: object, top: float, bounds: str, way_out: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= top:
        raise UserError(f"{name} must be a number {bounds} but got {value!r}; {way_out}")


def _exact(value: float) -> Fraction:
    """Return the fraction that a float stands for: 3/10 for 0.3 and for 0.1 + 0.2."""
    simple = Fraction(value).limit_denominator(LARGEST_DENOMINATOR)
    return simple if abs(simple - Fraction(value)) <= ROUNDING else Fraction(value)


@dataclass(frozen=True, kw_only=True)
class PreferenceData:
    """The pairs of some lessons, and what they were made with.

    Raises:
        UserError: There is no pair; the message says what would give some.
    """

    lessons: Sequence[ScoredLesson]
    pairs: Sequence[PreferencePair]
    options: Mapping[str, Any]
    """`weight`, `gap`, `per_problem` and `seed`."""

    def __post_init__(self) -> None:
        if not self.pairs:
            raise UserError(why_none(self.lessons, float(self.options["weight"]), float(self.options["gap"])))

    @classmethod
    def of(cls, lessons: Iterable[ScoredLesson], **options: Any) -> PreferenceData:
        """Pair lessons; the options are those of `preference_pairs`."""
        made = {"weight": WEIGHT, "gap": GAP, "per_problem": PER_PROBLEM, "seed": 0, **options}
        lessons = tuple(lessons)
        return cls(lessons=lessons, pairs=tuple(preference_pairs(lessons, **made)), options=made)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each pair, as `PreferencePair.row` has it."""
        return [pair.row() for pair in self.pairs]

    def dataset(self) -> datasets.Dataset:
        """Return the rows as a `datasets.Dataset`, ready for TRL's `DPOTrainer`."""
        return files.dataset_of(self.rows())

    def openai_rows(self) -> list[dict[str, Any]]:
        """Return the pairs in the format of OpenAI's preference fine-tuning."""
        return [files.openai_row(row) for row in self.rows()]

    def card(self) -> dict[str, Any]:
        """Return what a reader of the pairs should know: counts, gaps, and how often the chosen answer is wrong.

        `chosen_wrong` is the share of marks below 1/2 among chosen lessons whose answer could be checked; `None`: none
        could. Bins of gaps hold their lower end, and the last one 1 too.
        """
        chosen = [pair.chosen.correct for pair in self.pairs if pair.chosen.correct is not None]
        by_problem = Counter(pair.chosen.problem for pair in self.pairs)
        gaps = Counter(min(int(_exact(pair.gap) * BINS), BINS - 1) for pair in self.pairs)
        return {
            **self.options,
            "problems": len({lesson.problem for lesson in self.lessons}),
            "problems_with_pairs": len(by_problem),
            "lessons": len(self.lessons),
            "lessons_without_score": sum(score_of(lesson, self.options["weight"]) is None for lesson in self.lessons),
            "pairs": len(self.pairs),
            "pairs_by_problem": {str(n): count for n, count in sorted(Counter(by_problem.values()).items())},
            "gap_histogram": {f"{low / BINS:g}-{(low + 1) / BINS:g}": gaps[low] for low in range(BINS)},
            "chosen_wrong": sum(mark < 1 / 2 for mark in chosen) / len(chosen) if chosen else None,
            "chosen_checked": len(chosen),
        }

    def save(self, folder: str | Path) -> Path:
        """Write `pairs.jsonl` (TRL), `pairs_openai.jsonl`, `lessons.jsonl` and `card.json` into a folder.

        A `.huggingface.yaml` lets `datasets.load_dataset(folder)` and `trl dpo --dataset_name folder` find the pairs.

        Returns:
            The folder.

        Raises:
            UserError: It cannot be written.
        """
        folder = Path(folder)
        texts = {
            files.LESSONS: files.json_lines(asdict(lesson) for lesson in self.lessons),
            files.PAIRS: files.json_lines(self.rows()),
            "pairs_openai.jsonl": files.json_lines(self.openai_rows()),
            "card.json": json.dumps(self.card(), indent=1) + "\n",
            ".huggingface.yaml": files.folder_card(),
        }
        for name, text in texts.items():
            write_whole(folder / name, text)
        return folder


def load_lessons(folder: str | Path) -> list[ScoredLesson]:
    """Return the lessons of a saved folder.

    Raises:
        UserError: There are none, or they are damaged.
    """
    return files.read_records(Path(folder) / files.LESSONS, ScoredLesson)


def why_none(lessons: Sequence[ScoredLesson], weight: float, gap: float) -> str:
    """Say why lessons give no pair, and what would help."""
    all_scores = [[score_of(lesson, weight) for lesson in its] for its in distinct(lessons).values()]
    scores = [[score for score in found if score is not None] for found in all_scores]
    start = f"there are no preference pairs among {len(lessons)} lessons of {len(scores)} problems: "
    widest = max((max(found) - min(found) for found in scores if found), default=Fraction())
    if not lessons:
        return start + "there is nothing to pair; look at why the teacher wrote none"
    if not any(scores):
        unchecked = "no lesson's answer could be checked; give reference answers, or a weight below 1"
        return start + (unchecked if weight == 1 else "no lesson has a score; look at the failed calls")
    if all(len(found) < 2 for found in scores):
        return start + "no problem has two different lessons with scores; sample more, or at a higher temperature"
    if not widest:
        return start + "all lessons of each problem have the same score; take harder problems, or more sittings"
    return start + f"their scores are at most {float(widest):.3g} apart, not more than gap {gap:g}; lower the gap"
