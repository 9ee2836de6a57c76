"""Selection rules and marks of one's own, in the place of names."""

from fractions import Fraction

import dspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbt_dspy import ExactMatch, Exam, Examiner, ExamProblem, Fixed, LbTRerank, UserError
from lbt_dspy.exam.schedules import make_schedule
from lbt_dspy.exam.schedules.table import Candidate, ExamTable
from lbt_dspy.exam.selection import RULES, CandidateLesson, select
from lbt_dspy.exam.sitting.evidence import Evidence
from lbt_dspy.testing import scripted_lm
from lbt_dspy.types import Mark, Sitting

BANK = [dspy.Example(question=f"{n} + {n}", answer=str(2 * n)).with_inputs("question") for n in range(3)]


def second_best(scores):
    return sorted(scores)[-2] if len(scores) > 1 else Fraction(0)


def squares(scores):
    return sum((Fraction(score) ** 2 for score in scores), Fraction())


LESSONS = st.lists(
    st.builds(CandidateLesson, answer=st.integers(0, 2), score=st.none() | st.fractions(0, 1, max_denominator=6)),
    min_size=1, max_size=8,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(LESSONS, st.sampled_from(sorted(RULES)))
def test_a_function_chooses_as_the_name_does(lessons, name):
    assert select(lambda scores: RULES[name](scores), lessons) == select(name, lessons)


@settings(max_examples=40, deadline=None)
@given(st.data())
@pytest.mark.parametrize("rule", [second_best, squares])
def test_a_lossless_exam_gives_the_full_exams_answer_under_any_rule(rule, data):
    answers = data.draw(st.sampled_from([[0, 0, 1], [0, 1, 1, 0], [0, 1, 2]]))
    shape = {"students": 2, "problems": 2, "sittings": 1}

    def table():
        return ExamTable([Candidate(answer=a) for a in answers], selection=rule, **shape)

    places = table()
    cells = [cell for i in range(len(answers)) for cell in places.open_cells(i)]
    marks = {cell: data.draw(st.sampled_from([None, 0.0, 0.5, 1.0])) for cell in cells}
    chosen = {}
    for name in ("full", "lossless"):
        schedule, held = make_schedule(name, selection=rule), table()
        while asked := schedule.next(held, 3):
            for cell in asked:
                held.record(cell, marks[cell])
        chosen[name] = schedule.choice(held)
    assert chosen["lossless"] == chosen["full"]


def reranked(**options):
    teacher = scripted_lm(lambda inputs, lessons, seed: {"reasoning": "so", "answer": str(seed % 3)}, "teacher")
    student = scripted_lm(lambda inputs, lessons, seed: {"reasoning": "so", "answer": lessons[-1]["answer"]}, "student")
    program = dspy.ChainOfThought("question -> answer")
    program.set_lm(teacher)
    options = {"exam": Fixed(BANK), "exam_students": [student], "rationales": 12, **options}
    return LbTRerank(**options).compile(program)


def test_a_rule_of_ones_own_in_lbtrerank():
    found = reranked(selection=squares)(question="1 + 0")
    assert found.exam.selection == "squares"
    assert found.answer in ("0", "2")  # one problem of the exam is 0, another 2


@pytest.mark.parametrize(("options", "message"), [
    ({"selection": squares, "schedule": "confident"}, "schedule confident is for selection sum or avg"),
    ({"selection": "best"}, "selection must be"),
    ({"mark": "guess"}, "mark must be"),
    ({"mark": 3}, "mark must be"),
])  # fmt: skip
def test_mistakes_are_one_line(options, message):
    with pytest.raises(UserError, match=message):
        reranked(**options)


class Length:
    """Marks a sitting by how long the lesson is: no call at all."""

    name, one_sitting = "length", False

    def exam(self, *, renderer, shown, ledger):
        return self

    def check(self, students, problems=()):
        if len(students) > 1:
            raise UserError("one student is enough")

    def sit(self, seats, *, role, account):
        return [Sitting(fields=None, mark=Mark(value=len(s.material[0].answer) / 10 + s.sitting / 100)) for s in seats]


def test_a_mark_of_ones_own():
    examiner = Examiner(dspy.Predict("question -> answer"), grader=ExactMatch("answer"), mark=Length(), sittings=2)
    lesson = dspy.Example(question="?", answer="four").with_inputs("question")
    exams = [Exam(material=(lesson,), problems=[ExamProblem(example=example) for example in BANK])]
    ((report,),) = examiner.examine(exams, [scripted_lm(lambda *_: {"answer": "x"})])
    assert [[s.mark.value for s in row] for row in report.sittings] == [pytest.approx([0.4, 0.41])] * 3
    found = reranked(mark=Length(), selection="max")(question="1 + 0")
    assert found.lbt_score == pytest.approx(0.11)
    with pytest.raises(UserError, match="one student is enough"):
        reranked(mark=Length(), exam_students=[scripted_lm(lambda *_: {}, n) for n in "ab"])(question="1 + 0")


def test_evidence_by_name_is_evidence_by_instance():
    assert Evidence(0.2) == Evidence(scale=0.2)
    with pytest.raises(UserError, match="sittings must be 1 with mark 'evidence' but got 2"):
        reranked(mark=Evidence(0.2), sittings=2)
    with pytest.raises(UserError, match="evidence_scale must be a number above 0"):
        Evidence(0)
