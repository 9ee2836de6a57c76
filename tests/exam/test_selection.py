"""The rules of selection, against hand-made cases and against a second implementation."""

import functools
import random
from fractions import Fraction

import pytest

from lbt_dspy.errors import UserError
from lbt_dspy.exam.schedules.table import Candidate, Cell, ExamTable
from lbt_dspy.exam.selection import RULES, CandidateLesson, select

HALF = Fraction(1, 2)
CASES = [
    # rule, (answer, score) of each lesson, winner
    ("maj", [(0, 0), (1, 0), (1, 0)], 1),  # most lessons, whatever their scores
    ("maj", [(0, 1), (1, 0), (1, 0)], 1),
    ("maj", [(0, 0), (1, 1)], 0),  # a tie: the first seen, not the better scored
    ("sum", [(0, 1), (1, HALF), (1, HALF), (1, HALF)], 1),  # many fair lessons beat one perfect lesson
    ("max", [(0, 1), (1, HALF), (1, HALF), (1, HALF)], 0),  # one perfect lesson beats many fair ones
    ("avg", [(0, 1), (1, HALF), (1, HALF), (1, HALF)], 0),
    ("sum", [(0, 1), (1, HALF), (1, HALF)], 1),  # a tie of scores: more lessons
    ("max", [(0, 1), (1, 0), (1, 1)], 1),
    ("avg", [(0, HALF), (1, 0), (1, 1)], 1),
    ("sum", [(0, HALF), (1, HALF)], 0),  # a tie in all: the first seen
    ("max", [(5, HALF), (3, HALF)], 5),  # first seen is about lessons, not about numbers
    ("sum", [(0, None), (1, 0)], 0),  # not measured counts as 0
    ("avg", [(0, 1), (0, None), (1, Fraction(3, 5))], 1),  # and stays in the count
    ("max", [(0, None), (1, None), (1, None)], 1),  # nothing measured: the majority
]


@pytest.mark.parametrize(("rule", "lessons", "winner"), CASES)
def test_the_rule_chooses(rule, lessons, winner):
    assert select(rule, [CandidateLesson(answer=a, score=s) for a, s in lessons]) == winner


@pytest.mark.parametrize(("rule", "lessons", "says"), [("vote", [(0, 1)], "sum, max, avg, maj"), ("sum", [], "got 0")])
def test_what_cannot_be_selected_is_refused(rule, lessons, says):
    with pytest.raises(UserError, match=says):
        select(rule, [CandidateLesson(answer=a, score=s) for a, s in lessons])


def second_opinion(rule, answers, marks):
    """`marks[lesson][student]`: lists of 0, 1 and None. Compares answers pair by pair, as (top, bottom) of a ratio."""

    def lesson_score(students):
        measured = [[m for m in student if m is not None] for student in students]
        means = [(sum(student), len(student)) for student in measured if student]
        top, bottom = add(means)
        return top, bottom * max(len(means), 1)

    def add(ratios):
        top, bottom = 0, 1
        for a, b in ratios:
            top, bottom = top * b + a * bottom, bottom * b
        return top, bottom

    def best_of(ratios):
        return max(ratios, key=functools.cmp_to_key(lambda x, y: x[0] * y[1] - y[0] * x[1]))

    def worth(answer):
        scores = [lesson_score(m) for a, m in zip(answers, marks, strict=True) if a == answer]
        top, bottom = add(scores)
        ratios = {"maj": (0, 1), "sum": (top, bottom), "max": best_of(scores), "avg": (top, bottom * len(scores))}
        return *ratios[rule], len(scores)

    best = answers[0]
    for rival in answers:
        (a, b, n), (c, d, m) = worth(best), worth(rival)
        if (c * b - a * d, m - n) > (0, 0):
            best = rival
    return best


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_second_implementation_chooses_the_same_on_1000_mark_tables(rule):
    rng = random.Random(rule)
    chosen = set()
    for _ in range(1000):
        students, problems, sittings = rng.randint(1, 3), rng.randint(1, 3), rng.randint(1, 2)
        answers = [0]
        while len(answers) < rng.randint(1, 9):
            answers.append(rng.randint(0, max(answers) + 1))
        table = ExamTable(
            [Candidate(answer=a) for a in answers],
            students=students, problems=problems, sittings=sittings, selection=rule,
        )  # fmt: skip
        marks = [[[] for _ in range(students)] for _ in answers]
        values = rng.choice([(0, 1), (0, 1, None), (0, 0, 0, 1), (1, None, None)])
        for lesson, student in ((i, s) for i in range(len(answers)) for s in range(students)):
            for problem, sitting in ((p, n) for p in range(problems) for n in range(sittings)):
                mark = rng.choice(values)
                marks[lesson][student].append(mark)
                table.record(Cell(lesson, student, problem, sitting), mark)
        assert table.choice() == second_opinion(rule, answers, marks)
        chosen.add(table.choice())
    assert len(chosen) > 2
