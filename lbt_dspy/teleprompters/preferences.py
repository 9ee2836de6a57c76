"""Preference pairs: of two solutions of one problem, the one that taught better is preferred.

Ning et al., NeurIPS 2024, arXiv 2406.14629, section on learning from the feedback (M2). No training happens here, and
nothing is called: lessons and their scores come from `scored_lessons`.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lbt_dspy.errors import UserError, check_at_least
from lbt_dspy.sampling import stream

if TYPE_CHECKING:
    import datasets

WEIGHT = 0.5
GAP = 0.3
PER_PROBLEM = 8
BINS = 10
LARGEST_DENOMINATOR = 10_000
Messages = tuple[Mapping[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class ScoredLesson:
    """A sampled solution of a training problem, and what is known of it."""

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
            **{f"{name}_lbt_score": lesson.lbt_score for name, lesson in both.items()},
            **{f"{name}_correct": lesson.correct for name, lesson in both.items()},
            **{f"{name}_answer": lesson.answer for name, lesson in both.items()},
            **{f"{name}_rollout": lesson.rollout for name, lesson in both.items()},
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

    A text is chosen in at most one pair of its problem, and rejected as rarely as the others that could be: of many
    possible pairs, those are drawn that use the lessons evenly. Equal texts of a problem are one lesson. What is drawn
    for a problem depends on its own lessons and the seed alone.

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
    _check_options(weight, gap, per_problem)
    problems: dict[str, dict[str, ScoredLesson]] = {}
    for lesson in lessons:
        problems.setdefault(lesson.problem, {}).setdefault(lesson.text, lesson)
    pairs: list[PreferencePair] = []
    for name, of_problem in problems.items():
        pairs += _pairs_of(name, list(of_problem.values()), weight, _exact(gap), per_problem, seed)
    return pairs


def _pairs_of(
    problem: str, lessons: Sequence[ScoredLesson], weight: float, gap: Fraction, most: int, seed: int
) -> list[PreferencePair]:
    lessons = sorted(lessons, key=lambda lesson: lesson.text)  # whatever the order in which they came
    scores = [score_of(lesson, weight) for lesson in lessons]
    known = [(lesson, score) for lesson, score in zip(lessons, scores, strict=True) if score is not None]
    drawn = stream(seed, "pairs", problem)
    rejected = Counter[str]()
    pairs: list[PreferencePair] = []
    for i in drawn.permutation(len(known)):
        chosen, score = known[i]
        worse = [(other, low) for other, low in known if score - low > gap]
        if not worse:
            continue
        ranks = drawn.permutation(len(worse))
        place = min(range(len(worse)), key=lambda k: (rejected[worse[k][0].text], ranks[k]))
        other, low = worse[place]
        rejected[other.text] += 1
        pairs.append(PreferencePair(chosen=chosen, rejected=other, gap=float(score - low)))
        if len(pairs) == most:
            break
    return pairs


def _check_options(weight: float, gap: float, per_problem: int) -> None:
    for name, value, top, bounds in (("weight", weight, 1.0, "from 0 to 1"), ("gap", gap, 0.9999, "from 0 to .9999")):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= top:
            raise UserError(f"{name} must be a number {bounds} but got {value!r}; the paper's are {WEIGHT} and {GAP}")
    check_at_least("per_problem", per_problem, 1, "it is the largest number of pairs of one problem")


def _exact(value: float) -> Fraction:
    return Fraction(value).limit_denominator(LARGEST_DENOMINATOR)


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
    def of(cls, lessons: Sequence[ScoredLesson], **options: Any) -> PreferenceData:
        """Pair lessons; the options are those of `preference_pairs`."""
        made = {"weight": WEIGHT, "gap": GAP, "per_problem": PER_PROBLEM, "seed": 0, **options}
        return cls(lessons=tuple(lessons), pairs=tuple(preference_pairs(lessons, **made)), options=made)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each pair, as `PreferencePair.row` has it."""
        return [pair.row() for pair in self.pairs]

    def dataset(self) -> datasets.Dataset:
        """Return the rows as a `datasets.Dataset`, ready for TRL's `DPOTrainer`."""
        import datasets

        return datasets.Dataset.from_list(self.rows())

    def openai_rows(self) -> list[dict[str, Any]]:
        """Return the pairs in the format of OpenAI's preference fine-tuning."""
        return [
            {
                "input": {"messages": row["prompt"], "tools": [], "parallel_tool_calls": True},
                "preferred_output": row["chosen"],
                "non_preferred_output": row["rejected"],
            }
            for row in self.rows()
        ]

    def card(self) -> dict[str, Any]:
        """Return what a reader of the pairs should know: counts, gaps, and how often the chosen answer is wrong.

        `chosen_wrong` is the share among chosen lessons whose answer could be checked; `None`: none could.
        """
        chosen = [pair.chosen.correct for pair in self.pairs if pair.chosen.correct is not None]
        scored = [lesson for lesson in self.lessons if score_of(lesson, float(self.options["weight"])) is not None]
        by_problem = Counter(pair.chosen.problem for pair in self.pairs)
        gaps = Counter(min(int(pair.gap * BINS), BINS - 1) for pair in self.pairs)
        return {
            **self.options,
            "problems": len({lesson.problem for lesson in self.lessons}),
            "problems_with_pairs": len(by_problem),
            "lessons": len(self.lessons),
            "lessons_without_score": len(self.lessons) - len(scored),
            "pairs": len(self.pairs),
            "pairs_by_problem": {str(n): count for n, count in sorted(Counter(by_problem.values()).items())},
            "gap_histogram": {f"{low / BINS:g}-{(low + 1) / BINS:g}": gaps[low] for low in range(BINS)},
            "chosen_wrong": sum(mark < 1 / 2 for mark in chosen) / len(chosen) if chosen else None,
            "chosen_checked": len(chosen),
        }

    def save(self, folder: str | Path) -> Path:
        """Write `pairs.jsonl` (TRL), `pairs_openai.jsonl`, `lessons.jsonl` and `card.json` into a folder.

        Returns:
            The folder.

        Raises:
            UserError: It cannot be written.
        """
        folder = Path(folder)
        texts = {
            "lessons.jsonl": _lines([asdict(lesson) for lesson in self.lessons]),
            "pairs.jsonl": _lines(self.rows()),
            "pairs_openai.jsonl": _lines(self.openai_rows()),
            "card.json": json.dumps(self.card(), indent=1, ensure_ascii=False) + "\n",
        }
        for name, text in texts.items():
            write_whole(folder / name, text)
        return folder


def load_lessons(folder: str | Path) -> list[ScoredLesson]:
    """Return the lessons of a saved folder.

    Raises:
        UserError: There are none, or they are damaged.
    """
    path = Path(folder) / "lessons.jsonl"
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [ScoredLesson(**row | {"prompt": tuple(row["prompt"])}) for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} cannot be read ({error}); make it anew with PreferenceData.save") from None


def why_none(lessons: Sequence[ScoredLesson], weight: float, gap: float) -> str:
    """Say why lessons give no pair, and what would help."""
    scores: dict[str, list[Fraction]] = {}
    for lesson in {(lesson.problem, lesson.text): lesson for lesson in lessons}.values():
        score = score_of(lesson, weight)
        scores.setdefault(lesson.problem, []).extend([] if score is None else [score])
    start = f"there are no preference pairs among {len(lessons)} lessons of {len(scores)} problems: "
    widest = max((max(found) - min(found) for found in scores.values() if found), default=Fraction(0))
    if not any(scores.values()):
        return start + "no lesson has a score; look at the failed calls, or give reference answers"
    if all(len(found) < 2 for found in scores.values()):
        return start + "no problem has two different lessons with scores; sample more, or at a higher temperature"
    if not widest:
        return start + "all lessons of each problem have the same score; take harder exam problems, or more sittings"
    return start + f"their scores are at most {float(widest):.3g} apart, not more than gap {gap:g}; lower the gap"


def write_whole(path: Path, text: str) -> None:
    """Write a file as a whole or not at all.

    Raises:
        UserError: It cannot be written; what stood there before is kept.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise UserError(f"{path} cannot be written ({error.strerror}); name a folder with room in it") from None


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
