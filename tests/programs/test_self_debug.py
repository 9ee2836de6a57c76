"""SelfDebug: a program that fails a visible test goes back to the model that wrote it."""

import dspy
import pytest
from school import Pupil

from lbt_dspy import LbTRerank, SameKind, UserError
from lbt_dspy.exam.examiner import Examiner
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.lms.engine import lm_of
from lbt_dspy.metrics import ProgramTests
from lbt_dspy.programs.code import SelfDebug, code_program
from lbt_dspy.types import Exam, ExamProblem

BAD, GOOD = "def add(a, b):\n    return a - b", "def add(a, b):\n    return a + b"
VISIBLE = ["assert add(0, 0) == 0", "assert add(1, 2) == 3"]
ASKED = {"question": "Write add(a, b).", "visible": VISIBLE, "entry_point": "add"}


def writer(*programs, name="writer"):
    """A model that writes these programs one after the other, then the last one again."""
    pupil = Pupil(name, None)
    pupil.answers = lambda inputs, lessons, seed: {
        "reasoning": f"plan {len(pupil.asked)}", "program": programs[min(len(pupil.asked), len(programs) - 1)]
    }  # fmt: skip
    return pupil


def debugged(pupil, rounds=1, **asked):
    program = SelfDebug(check=ProgramTests().first_failure, rounds=rounds)
    program.set_lm(lm_of(pupil))
    return program(**{**ASKED, **asked})


@pytest.fixture(autouse=True)
def _sandbox():
    try:
        ProgramTests().first_failure(ASKED, GOOD)
    except UserError as error:
        pytest.skip(str(error))


def test_the_failing_test_and_its_error_go_back_to_the_model():
    pupil = writer(BAD, GOOD)
    answer = debugged(pupil)
    assert (answer.program, answer.reasoning) == (GOOD, "plan 1")
    asked = pupil.asked[1][0]
    assert asked["question"] == ASKED["question"]
    assert asked["failed_program"] == BAD
    assert asked["failed_test"] == VISIBLE[1]
    assert "the program gave -1" in asked["error"]
    assert "visible" not in asked


CASES = [  # programs written, rounds, requests, what comes out
    ([GOOD], 3, 1, GOOD),  # nothing to mend
    ([BAD], 3, 4, BAD),  # never mended: the rounds are a bound
    ([BAD, BAD, GOOD], 3, 3, GOOD),
    ([BAD, BAD, GOOD], 1, 2, BAD),
    (["", GOOD], 1, 2, GOOD),  # no program at all is a failure too
    (["def add(:", GOOD], 1, 2, GOOD),
    (["import os; os._exit(0)", GOOD], 1, 2, GOOD),
]


@pytest.mark.parametrize(("programs", "rounds", "requests", "comes_out"), CASES)
def test_it_stops_when_all_visible_tests_pass_or_the_rounds_are_spent(programs, rounds, requests, comes_out):
    pupil = writer(*programs)
    assert debugged(pupil, rounds).program == comes_out
    assert len(pupil.asked) == requests


def test_a_script_is_shown_its_input_and_what_it_should_have_printed():
    pupil = writer("print(int(input()) + 1)", "print(int(input()) * 2)")
    answer = debugged(pupil, visible=[("4\n", "8\n")], entry_point="")
    assert answer.program == "print(int(input()) * 2)"
    assert pupil.asked[1][0]["failed_test"] == "standard input:\n4\n\nexpected output:\n8"


@pytest.mark.parametrize("visible", [None, [], ()])
def test_without_visible_tests_the_first_program_stands(visible):
    pupil = writer(BAD, GOOD)
    assert debugged(pupil, visible=visible).program == BAD


def test_a_repair_that_cannot_be_read_leaves_the_program_before_it():
    pupil = writer(BAD)
    answers = pupil.answers
    pupil.answers = lambda inputs, lessons, seed: "what?" if "error" in inputs else answers(inputs, lessons, seed)
    assert debugged(pupil).program == BAD


def test_exam_students_debug_their_own_programs():
    """Though the program's own LM is the teacher's."""
    student, teacher = writer(BAD, GOOD, name="student"), writer(GOOD, name="teacher")
    grader = ProgramTests()
    program = SelfDebug(check=grader.first_failure)
    program.set_lm(lm_of(teacher))
    ledger = Ledger(workers=1)
    examiner = Examiner(program, predictor="solver.predict", grader=grader, ledger=ledger)
    problem = dspy.Example(**ASKED).with_inputs("question", "visible", "entry_point")
    lesson = dspy.Example(question="Write sub(a, b).", reasoning="Subtract.", program=BAD)
    exam = Exam(material=(lesson,), problems=[ExamProblem(example=problem)])
    ((report,),) = examiner.examine([exam], [lm_of(student)])
    ledger.close()
    assert report.score == 1
    assert not teacher.asked
    assert [len(lessons) for _, lessons, *_ in student.asked] == [1, 0]


def test_a_lesson_has_the_program_that_was_mended():
    teacher = writer(BAD, GOOD, name="teacher")
    bank = [
        dspy.Example(question=f"Write add, variant {i}.", visible=VISIBLE, entry_point="add", tags=["sums"])
        .with_inputs("question", "visible", "entry_point")
        for i in range(2)
    ]  # fmt: skip
    grader = ProgramTests()
    program = SelfDebug(check=grader.first_failure)
    program.set_lm(lm_of(teacher))
    student = writer(GOOD, name="student")
    reranked = LbTRerank(
        exam_students=[lm_of(student)], exam=SameKind(bank, ("tags",), None), grader=grader, predictor="solver.predict",
        rationales=1, sittings=1, selection="max", schedule="full",
    ).compile(program)  # fmt: skip
    answer = reranked(**ASKED, tags=["sums"])
    assert (answer.program, answer.lbt_score) == (GOOD, 1)
    read = student.asked[0][1][0]
    assert (read["program"], read["reasoning"]) == (GOOD, "plan 1")
    assert not {"failed_test", "error"} & set(read)


@pytest.mark.parametrize(
    ("solver", "rounds", "says"),
    [
        (None, 0, "rounds must be a whole number of at least 1 but got 0"),
        (dspy.Predict("question -> answer"), 1, "an output 'program'"),
        (dspy.Module(), 1, "has 0: (none)"),
    ],
)
def test_what_it_cannot_debug_is_refused(solver, rounds, says):
    with pytest.raises(UserError, match=r".*") as error:
        SelfDebug(solver, check=ProgramTests().first_failure, rounds=rounds)
    assert says in str(error.value)


def test_a_check_is_a_function():
    with pytest.raises(UserError, match="check must be a function"):
        SelfDebug(check="assert add(1, 2) == 3")


def test_it_is_saved_and_loaded_like_any_module(tmp_path):
    program = SelfDebug(check=ProgramTests().first_failure)
    program.solver.predict.demos = [dspy.Example(question="q", program=GOOD)]
    program.save(tmp_path / "program.json")
    again = SelfDebug(code_program(), check=ProgramTests().first_failure)
    again.load(tmp_path / "program.json")
    assert [demo["program"] for demo in again.solver.predict.demos] == [GOOD]
