"""Preference pairs: of two lessons of one problem, the one with the clearly larger score is preferred, evenly."""

import itertools
import math
from collections import Counter, defaultdict
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lbt_dspy.errors import UserError
from lbt_dspy.teleprompters.dpo.preferences import (
    PreferenceData,
    ScoredLesson,
    preference_pairs,
    score_of,
    why_none,
)

PROMPT = ({"role": "system", "content": "Solve it."}, {"role": "user", "content": "1 + 1?"})
SHARES = sorted({Fraction(part, whole) for whole in (1, 2, 7, 9, 10) for part in range(whole + 1)})
"""Scores that floats only come near to: tenths, ninths, sevenths."""
GAPS = (Fraction(0), Fraction(1, 10), Fraction(1, 3), Fraction(3, 10), Fraction(2, 7), Fraction(4, 9), Fraction(9, 10))
WEIGHTS = (Fraction(0), Fraction(1, 3), Fraction(1, 2), Fraction(7, 10), Fraction(1))


def lesson(text, score=None, correct=None, *, problem="p", rollout=0, **more):
    values = {"prompt": PROMPT, "answer": "a", "rollout": rollout, "lbt_score": score, "correct": correct, **more}
    return ScoredLesson(problem=problem, text=text, **values)


def lessons_of(scores, problem="p"):
    """Lessons called a, b, c, ... with these scores."""
    return [lesson("abcdefghij"[i], score, problem=problem, rollout=i) for i, score in enumerate(scores)]


def names(pairs):
    return [pair.chosen.text + pair.rejected.text for pair in pairs]


def by_problem(pairs):
    groups = defaultdict(list)
    for pair in pairs:
        groups[pair.chosen.problem].append(pair)
    return dict(groups)


def exact_score(share, one):
    """The score by the book, from the fractions that the floats came from; `None`: not known."""
    exact = {float(value): value for value in SHARES}
    correct, lbt = (None if value is None else exact[value] for value in (one.correct, one.lbt_score))
    if share == 1 or (share == 0) or correct is None:
        return correct if share == 1 else lbt
    return None if lbt is None else share * correct + (1 - share) * lbt


def able(lessons, share, gap):
    """For each text that could be chosen, the texts that could be rejected, by the book."""
    scores = {one.text: exact_score(share, one) for one in lessons}
    known = {text: score for text, score in scores.items() if score is not None}
    worse = {text: {other for other in known if known[text] - known[other] > gap} for text in known}
    return {text: others for text, others in worse.items() if others}


SCORE = st.none() | st.sampled_from([float(share) for share in SHARES])


@st.composite
def problems(draw, most=12):
    """Lessons of a few problems with different texts, some without measured scores or reference answers."""
    made = []
    for problem in draw(st.lists(st.sampled_from(["p", "q", "r", ""]), unique=True, min_size=1, max_size=3)):
        scores = draw(st.lists(st.tuples(SCORE, SCORE), max_size=most))
        made += [lesson(f"t{i}", *both, problem=problem, rollout=i) for i, both in enumerate(scores)]
    return draw(st.permutations(made))


OPTIONS = st.fixed_dictionaries(
    {
        "weight": st.sampled_from(WEIGHTS),
        "gap": st.sampled_from(GAPS),
        "per_problem": st.integers(1, 9),
        "seed": st.integers(0, 3),
    }
)


def paired(lessons, options):
    return preference_pairs(lessons, **{**options, "weight": float(options["weight"]), "gap": float(options["gap"])})


@pytest.mark.slow
@settings(max_examples=100)
@given(lessons=problems(), options=OPTIONS)
def test_every_pair_is_one_that_may_be(lessons, options):
    share, gap = options["weight"], options["gap"]
    for problem, pairs in by_problem(paired(lessons, options)).items():
        its = [one for one in lessons if one.problem == problem]
        possible = able(its, share, gap)
        for pair in pairs:
            assert pair.chosen in its
            assert pair.rejected in its
            assert pair.rejected.text in possible[pair.chosen.text]
            assert pair.gap == float(exact_score(share, pair.chosen) - exact_score(share, pair.rejected))
        chosen = [pair.chosen.text for pair in pairs]
        assert len(set(chosen)) == len(chosen)


@settings(max_examples=100)
@given(lessons=problems(), options=OPTIONS)
def test_there_are_as_many_pairs_as_may_be(lessons, options):
    pairs = by_problem(paired(lessons, options))
    for problem in {one.problem for one in lessons}:
        possible = able([one for one in lessons if one.problem == problem], options["weight"], options["gap"])
        assert len(pairs.get(problem, [])) == min(len(possible), options["per_problem"])


@settings(max_examples=100)
@given(lessons=problems(), options=OPTIONS)
def test_rejections_are_even(lessons, options):
    """No lesson is in more pairs by two than another that could have been in one of these in its place."""
    for problem, pairs in by_problem(paired(lessons, options)).items():
        possible = able([one for one in lessons if one.problem == problem], options["weight"], options["gap"])
        times = Counter(pair.rejected.text for pair in pairs)
        for pair in pairs:
            assert all(times[pair.rejected.text] <= times[other] + 1 for other in possible[pair.chosen.text])


@settings(max_examples=80)
@given(scores=st.lists(st.sampled_from(SHARES), min_size=2, max_size=6), options=OPTIONS)
def test_no_other_rejections_of_the_same_chosen_are_more_even(scores, options):
    """By trying all of them: the largest number of pairs of one lesson, then the next, ... could not be smaller."""
    options |= {"weight": Fraction(0)}
    lessons = lessons_of([float(score) for score in scores])
    pairs = paired(lessons, options)
    possible = able(lessons, Fraction(0), options["gap"])
    others = itertools.product(*(possible[pair.chosen.text] for pair in pairs))
    best = min(sorted(Counter(texts).values(), reverse=True) for texts in others)
    assert sorted(Counter(pair.rejected.text for pair in pairs).values(), reverse=True) == best


@given(lessons=problems(), options=OPTIONS, shuffled=st.randoms(use_true_random=False))
def test_a_problems_pairs_depend_on_its_own_lessons_and_the_seed(lessons, options, shuffled):
    pairs = by_problem(paired(lessons, options))
    others = list(lessons)
    shuffled.shuffle(others)
    assert by_problem(paired(others, options)) == pairs
    others += [lesson("t0", 1.0, 1.0, problem="another"), lesson("t1", 0.0, 0.0, problem="another")]
    assert {name: found for name, found in by_problem(paired(others, options)).items() if name != "another"} == pairs
    for problem in {one.problem for one in lessons}:
        alone = paired([one for one in lessons if one.problem == problem], options)
        assert alone == pairs.get(problem, [])


def test_problems_come_in_the_order_in_which_they_first_appear():
    lessons = lessons_of([0.0, 1.0], "z") + lessons_of([0.0, 1.0], "a")
    assert [pair.chosen.problem for pair in preference_pairs(lessons)] == ["z", "a"]


def test_problems_with_the_same_lessons_are_drawn_apart():
    lessons = [one for n in range(20) for one in lessons_of([0.0, 0.1, 0.2, 0.8, 0.9, 1.0], f"p{n}")]
    drawn = by_problem(preference_pairs(lessons, per_problem=1, weight=0))
    assert len({names(pairs)[0] for pairs in drawn.values()}) > 3


@given(score=st.sampled_from(SHARES), correct=st.sampled_from(SHARES), weight=st.sampled_from(WEIGHTS))
def test_ties_never_pair(score, correct, weight):
    lessons = [lesson(text, float(score), float(correct)) for text in "abc"]
    assert preference_pairs(lessons, weight=float(weight), gap=0) == []


@given(high=st.sampled_from(SHARES), low=st.sampled_from(SHARES))
def test_a_gap_is_exceeded_only_by_more(high, low):
    assume(0 < high - low < 1)
    lessons = lessons_of([float(high), float(low)])
    assert preference_pairs(lessons, weight=0, gap=float(high - low)) == []
    assert names(preference_pairs(lessons, weight=0, gap=float(high - low) - 1e-6)) == ["ab"]


NEAR = [
    (0.9, 0.6, 0.3, []),  # floats say 0.30000000000000004
    (0.4, 0.1, 0.3, []),  # the same
    (0.1 + 0.2, 0.0, 0.3, []),  # a score that was itself computed in floats
    (0.901, 0.6, 0.3, ["ab"]),
    (1.0, 2 / 3, 1 / 3, []),
    (8 / 9, 5 / 9, 1 / 3, []),
    (6 / 7, 5 / 7, 1 / 7, []),
    (0.123456789012, 0.023456789, 0.1, ["ab"]),  # a measured evidence gain is no simple fraction
    (1e-7, 0.0, 0.0, ["ab"]),  # nor is this one 0
    (1.0, 0.0, 0.99999, ["ab"]),  # nor this gap 1
]


@pytest.mark.parametrize(("high", "low", "gap", "expected"), NEAR)
def test_gaps_are_exact(high, low, gap, expected):
    assert names(preference_pairs(lessons_of([high, low]), weight=0, gap=gap)) == expected


SCORES = [  # LbT score, correctness, weight, score
    (0.5, 1.0, 0.5, Fraction(3, 4)),
    (0.9, 0.0, 1.0, Fraction(0)),  # weight 1: correctness alone
    (None, 1.0, 1.0, Fraction(1)),  # ... whether or not the lesson was examined
    (0.9, 0.0, 0.0, Fraction(9, 10)),  # weight 0: the LbT score alone
    (0.9, None, 0.0, Fraction(9, 10)),
    (1 / 3, None, 0.5, Fraction(1, 3)),  # no reference answer: the LbT score alone
    (1 / 3, None, 0.99999, Fraction(1, 3)),
    (1 / 3, None, 1.0, None),  # ... unless nothing else was to count
    (None, 1.0, 0.5, None),  # not measured is not 0
    (None, 1.0, 0.99999, None),  # ... however little it counts
    (None, None, 0.5, None),
    (1 / 9, 1.0, 1 / 3, Fraction(11, 27)),
    (0.0, 1.0, 1e-9, Fraction(1e-9)),  # a small weight is a weight
]


@pytest.mark.parametrize(("score", "correct", "weight", "expected"), SCORES)
def test_scores(score, correct, weight, expected):
    assert score_of(lesson("a", score, correct), weight) == expected


@given(lessons=problems(), options=OPTIONS, other=SCORE)
def test_what_does_not_count_changes_nothing(lessons, options, other):
    for weight, ignored in ((Fraction(0), "correct"), (Fraction(1), "lbt_score")):
        pairs = paired([replace(one, **{ignored: other}) for one in lessons], options | {"weight": weight})
        assert names(pairs) == names(paired(lessons, options | {"weight": weight}))


@given(lessons=problems(), options=OPTIONS)
def test_lessons_without_a_mark_that_counts_make_no_pair(lessons, options):
    known = [one for one in lessons if exact_score(options["weight"], one) is not None]
    assert by_problem(paired(known, options)) == by_problem(paired(lessons, options))


BY_HAND = [  # scores of a, b, c, ...; gap; per_problem; what may come, as sets of chosen and rejected
    ([1.0, 0.0], 0.3, 8, [{"ab"}]),
    ([0.0, 1.0], 0.3, 8, [{"ba"}]),
    ([0.0, 0.3], 0.3, 8, [set()]),  # not above the gap
    ([0.5, 0.5, 0.5], 0.0, 8, [set()]),
    ([], 0.3, 8, [set()]),
    ([1.0], 0.3, 8, [set()]),
    ([None, 1.0, 0.0], 0.3, 8, [{"bc"}]),  # not measured
    ([1.0, 0.5, 0.0], 0.3, 8, [{"bc", "ab"}]),  # b can only beat c; then a beats b, who was not yet rejected
    ([1.0, 0.9, 0.0], 0.3, 8, [{"ac", "bc"}]),  # one to reject only
    ([1.0, 0.69, 0.35, 0.0], 0.3, 8, [{"cd", "bc", "ab"}]),  # each finds just one who was not yet rejected
    ([1.0, 1.0, 0.0, 0.0], 0.3, 8, [{"ac", "bd"}, {"ad", "bc"}]),  # the seed's choice, but always even
    ([1.0, 1.0, 0.0], 0.3, 1, [{"ac"}, {"bc"}]),
    ([0.9, 0.5, 0.0], 0.3, 1, [{"bc"}, {"ab"}, {"ac"}]),  # one pair: all of those that could be
]


@pytest.mark.parametrize(("scores", "gap", "per_problem", "allowed"), BY_HAND)
def test_pairs_worked_out_by_hand(scores, gap, per_problem, allowed):
    """Over the seeds, just these outcomes come, and all of them."""
    outcomes = []
    for seed in range(60):
        pairs = preference_pairs(lessons_of(scores), weight=0, gap=gap, per_problem=per_problem, seed=seed)
        assert len(names(pairs)) == len(set(names(pairs)))
        outcomes.append(frozenset(names(pairs)))
    assert set(outcomes) == set(map(frozenset, allowed))


SAME_TEXT = [  # (LbT score, correctness) of lessons of one text; what the one lesson has
    ([(0.4, 1.0), (0.4, 1.0)], (0.4, 1.0)),
    ([(0.2, None), (0.4, None)], (0.3, None)),  # the mean, exactly: floats say 0.30000000000000004
    ([(None, None), (0.4, None)], (0.4, None)),  # of those that are known
    ([(1 / 3, 0.0), (None, 1.0), (2 / 3, None)], (0.5, 0.5)),
    ([(None, None), (None, None)], (None, None)),
]


@pytest.mark.parametrize(("same", "expected"), SAME_TEXT)
def test_equal_texts_are_one_lesson_with_the_mean(same, expected):
    repeated = [lesson("a", *scores, rollout=3 + i) for i, scores in enumerate(same)]
    one = replace(repeated[0], lbt_score=expected[0], correct=expected[1])
    rest = [lesson("b", 0.0, 0.0), lesson("c", 1.0, 1.0), lesson("a", 0.9, 0.9, problem="other")]
    for weight in (0, 0.5, 1):
        expected_pairs = preference_pairs([one, *rest], weight=weight, gap=0)
        for order in itertools.permutations(repeated):
            assert preference_pairs([*rest[:1], *order, *rest[1:]], weight=weight, gap=0) == expected_pairs


def test_equal_texts_never_pair():
    assert preference_pairs([lesson("a", 1.0), lesson("a", 0.0)], gap=0) == []


OUT_OF_BOUNDS = [
    ({"weight": -0.1}, "weight must be a number from 0 to 1 but got -0.1"),
    ({"weight": 1.5}, "weight must be a number from 0 to 1 but got 1.5"),
    ({"weight": math.nan}, "weight must be a number from 0 to 1 but got nan"),
    ({"weight": "0.5"}, "weight must be a number from 0 to 1 but got '0.5'"),
    ({"weight": None}, "weight must be a number from 0 to 1 but got None"),
    ({"weight": True}, "weight must be a number from 0 to 1 but got True"),
    ({"gap": 1}, "gap must be a number from 0 to less than 1 but got 1;"),
    ({"gap": -1e-9}, "gap must be a number from 0 to less than 1 but got -1e-09"),
    ({"gap": math.inf}, "gap must be a number from 0 to less than 1 but got inf"),
    ({"per_problem": 0}, "per_problem must be a whole number of at least 1 but got 0"),
    ({"per_problem": 2.0}, "per_problem must be a whole number of at least 1 but got 2.0"),
]


@pytest.mark.parametrize(("options", "message"), OUT_OF_BOUNDS)
def test_options_out_of_bounds(options, message):
    with pytest.raises(UserError) as caught:
        preference_pairs(lessons_of([1.0, 0.0]), **options)
    assert str(caught.value).startswith(message)
    assert "; " in str(caught.value)


@pytest.mark.parametrize("value", [-0.1, 1.01, math.nan, math.inf, "1", True])
@pytest.mark.parametrize("name", ["lbt_score", "correct"])
def test_scores_out_of_bounds(name, value):
    with pytest.raises(UserError, match=f"{name} must be a number from 0 to 1 but got"):
        lesson("a", **({"score": value} if name == "lbt_score" else {name: value}))


NONE = [  # lessons, weight, gap, why there is no pair
    ([], 0.5, 0.3, "0 lessons of 0 problems: there is nothing to pair; look at why the teacher wrote none"),
    (
        [lesson("a", None, 1.0), lesson("b", None, 0.0)],
        0.5,
        0.3,
        "2 lessons of 1 problems: no lesson has a score; look at the failed calls",
    ),
    (
        lessons_of([0.0, 1.0]),
        1,
        0.3,
        "2 lessons of 1 problems: no lesson's answer could be checked; give reference answers, or a weight below 1",
    ),
    (
        [lesson("a", 1.0), lesson("a", 0.0), lesson("b", None), lesson("a", 0.5, problem="q")],
        0,
        0.3,
        "4 lessons of 2 problems: no problem has two different lessons with scores; sample more, or at a higher "
        "temperature",
    ),
    (
        [*lessons_of([1.0, 1.0], "p"), *lessons_of([0.0, 0.0, None], "q")],
        0,
        0.3,
        "5 lessons of 2 problems: all lessons of each problem have the same score; take harder problems, or more "
        "sittings",
    ),
    (
        [*lessons_of([0.9, 0.6], "p"), *lessons_of([0.1, 0.2], "q")],
        0,
        0.3,
        "4 lessons of 2 problems: their scores are at most 0.3 apart, not more than gap 0.3; lower the gap",
    ),
]


@pytest.mark.parametrize(("lessons", "weight", "gap", "why"), NONE)
def test_why_there_is_no_pair(lessons, weight, gap, why):
    message = f"there are no preference pairs among {why}"
    assert why_none(lessons, weight, gap) == message
    with pytest.raises(UserError) as caught:
        PreferenceData.of(lessons, weight=weight, gap=gap)
    assert str(caught.value) == message


def test_lessons_may_come_from_a_generator():
    assert len(PreferenceData.of(one for one in lessons_of([0.0, 1.0])).lessons) == 2


def test_lessons_that_answer_different_prompts_are_no_pair():
    """In a program of several steps the lesson's prompt may hold what an earlier step wrote."""
    lessons = [
        replace(lesson(f"{asked}{i}", i / 3), prompt=({"role": "user", "content": asked},), rollout=i)
        for asked in ("a", "b") for i in range(4)
    ]  # fmt: skip
    pairs = preference_pairs(lessons, gap=0.3)
    assert {pair.chosen.prompt[0]["content"] for pair in pairs} == {"a", "b"}
    assert all(pair.chosen.prompt == pair.rejected.prompt for pair in pairs)
    assert len(preference_pairs(lessons, gap=0.3, per_problem=3)) == 3
    assert [p.row() for p in preference_pairs(lessons[::-1], gap=0.3)] == [p.row() for p in pairs]
