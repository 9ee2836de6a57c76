"""What exam students read: demonstrations of their own, lessons without rationale, lessons of several problems."""

import dspy
import pytest
from school import ASK, EXAM, Pupil, asked, rerank, student, teacher

from lbt_dspy import ExactMatch, Exam, Examiner, ExamProblem, Ledger, UserError, teaching_plans
from lbt_dspy.lms.engine import lm_of
from lbt_dspy.types import Seat

SOLVED = [dspy.Example(question=f"T{i}", reasoning=f"way {i}", answer=str(i)).with_inputs("question") for i in range(3)]
SHOTS = [dspy.Example(question="S", reasoning="as always", answer="s").with_inputs("question")]
PROBLEMS = [ExamProblem(example=example) for example in EXAM]


def reader():
    """A student that answers `ok`, and notes what it read."""
    return lm_of(Pupil("school/reader", lambda inputs, lessons, seed: {"reasoning": "-", "answer": "ok"}))


def examiner(program=None, **options):
    given = dspy.ChainOfThought("question -> answer") if program is None else program
    return Examiner(given, grader=ExactMatch("answer"), ledger=Ledger(), **options)


class Pipeline(dspy.Module):
    def __init__(self):
        super().__init__()
        self.solve = dspy.ChainOfThought("question -> answer")

    def forward(self, question):
        return self.solve(question=question)


@pytest.mark.parametrize("program", [dspy.ChainOfThought("question -> answer"), Pipeline()])
def test_demonstrations_of_the_students_own_come_before_the_lesson(program):
    lm = reader()
    reports = examiner(program, demonstrations=SHOTS).examine([Exam(material=(SOLVED[0],), problems=PROBLEMS)], [lm])
    assert reports[0][0].score == 1
    for _, lessons, _, _ in asked(lm):
        assert [lesson["question"] for lesson in lessons] == ["S", "T0"]


def test_lessons_without_rationale_keep_question_and_answer():
    lm = reader()
    examiner(demonstrations=SHOTS, rationale=False).examine([Exam(material=(SOLVED[0],), problems=PROBLEMS)], [lm])
    for _, (shot, lesson), _, _ in asked(lm):
        assert shot["reasoning"] == "as always"
        assert (lesson["question"], lesson["answer"]) == ("T0", "0")
        assert lesson["reasoning"] == ""


def test_both_are_options_of_m1():
    ann = student()
    lm = teacher({ASK[0]: ["right", "wrong"]})
    given = dspy.ChainOfThought("question -> answer")
    given.set_lm(lm)
    rerank(exam_students=[ann], demonstrations=SHOTS, rationale=False).compile(given)(question=ASK[0])
    assert asked(ann)
    for _, (shot, lesson), _, _ in asked(ann):
        assert shot["question"] == "S"
        assert lesson["reasoning"] == ""
    assert all(lessons == [] for _, lessons, _, _ in asked(lm))  # the teacher's own prompts are as they were


@pytest.mark.parametrize(
    ("plan", "read"),
    [
        ("each", [["T0"], ["T1"], ["T2"]]),
        ("none", [[]]),
        ([[0, 1], [2]], [["T0", "T1"], ["T2"]]),
        ([[2, 0]], [["T2", "T0"]]),
        ([[]], [[]]),
    ],
)
def test_teaching_plans(plan, read):
    materials = teaching_plans(SOLVED, plan)
    assert [[lesson.question for lesson in material] for material in materials] == read
    lm = reader()
    examiner().examine([Exam(material=material, problems=PROBLEMS[:1]) for material in materials], [lm])
    assert sorted([lesson["question"] for lesson in lessons] for _, lessons, _, _ in asked(lm)) == sorted(read)


def test_a_plan_out_of_range_is_told():
    with pytest.raises(UserError, match=r"plan names lesson 3, but there are 3 \(0 to 2\)"):
        teaching_plans(SOLVED, [[0, 3]])
    with pytest.raises(UserError, match="plan must be one of each, none but got 'all'"):
        teaching_plans(SOLVED, "all")


def test_single_sittings_are_those_of_the_whole_exam():
    """Whichever way a sitting is asked for, it is the same request: it is paid for once."""
    ann, ben = student("school/ann"), student("school/ben", right=0.5, wrong=0.5)
    materials, room = teaching_plans(SOLVED, "each"), examiner()
    reports = room.examine([Exam(material=m, problems=PROBLEMS) for m in materials], [ann, ben], sittings=2)
    before = len(asked(ann)) + len(asked(ben))
    seats = [Seat(m, lm, p, n) for m in materials for lm in (ann, ben) for p in PROBLEMS for n in (1, 0)]
    sat = dict(zip([(id(m), id(lm), id(p), n) for m, lm, p, n in seats], room.sit(seats), strict=True))
    assert len(asked(ann)) + len(asked(ben)) == before
    for material, row in zip(materials, reports, strict=True):
        for lm, report in zip((ann, ben), row, strict=True):
            for problem, sittings in zip(PROBLEMS, report.sittings, strict=True):
                assert [sat[id(material), id(lm), id(problem), n] for n in (0, 1)] == list(sittings)
