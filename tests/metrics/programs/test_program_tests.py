"""ProgramTests: marks of programs, and which of them are the same answer."""

import dspy
import pytest

from lbt_dspy import UserError
from lbt_dspy.metrics import Limits, ProgramTests
from lbt_dspy.metrics.programs import tests as program_tests
from lbt_dspy.metrics.sandbox import Outcome, Verdict

ADD = "def add(a, b):\n    return a + b"
PROBLEM = dspy.Example(
    question="Write add.", visible=["assert add(1, 2) == 3", "assert add(2, 2) == 4", "assert add(2, 0) == 2"],
    hidden=["assert add(5, 5) == 10"], entry_point="add", starter="def add(a, b):\n",
).with_inputs("question")  # fmt: skip


@pytest.fixture(autouse=True)
def _sandbox():
    try:
        ProgramTests().first_failure(PROBLEM, ADD)
    except UserError as error:
        pytest.skip(str(error))


MARKS = [  # what a model wrote, its V-score, part of the reason
    (ADD, 1, None),
    (f"Sure!\n```python\n{ADD}\n```\nThis adds.", 1, None),
    ("def add(a, b):\n    return a * b", 1 / 3, "assert add(1, 2) == 3 (the program gave 2)"),
    ("def add(a, b):\n    return 3", 1 / 3, "assert add(2, 2) == 4"),
    ("def plus(a, b):\n    return a + b", 1, None),  # another name
    ("    return a + b", 1, None),  # the rest of the starter
    ("def add(a, b)\n    return a + b", 0, "SyntaxError"),
    ("I cannot.", 0, "Error"),
    ("", 0, "no program was written"),
    (None, 0, "no program was written"),
    ("raise SystemExit(0)", 0, "SystemExit"),
    ("def add(a, b):\n    import os\n    os._exit(0)", 0, "has ended"),
    ("class Any:\n    def __eq__(self, o): return True\ndef add(a, b):\n    return Any()", 0, "assert add(1, 2) == 3"),
]


@pytest.mark.parametrize(("text", "share", "reason"), MARKS)
def test_the_mark_is_the_share_of_visible_tests_that_pass(text, share, reason):
    mark = ProgramTests().grade(PROBLEM, {"program": text})
    assert mark.value == pytest.approx(share)
    assert mark.reason is None if reason is None else reason in mark.reason


def test_other_fields_and_other_tests():
    grader = ProgramTests("code", tests="hidden")
    assert (grader.field, grader.reference) == ("code", "hidden")
    assert grader.grade(PROBLEM, {"code": ADD}).value == 1
    assert grader.grade(PROBLEM, {"code": "def add(a, b):\n    return 3"}).value == 0


def test_scripts_are_graded_by_what_they_print():
    problem = dspy.Example(visible=[("2\n", "4\n"), ["3\n", "6\n"]])
    assert ProgramTests().grade(problem, {"program": "print(2 * int(input()))"}).value == 1
    assert ProgramTests().grade(problem, {"program": "print(4)"}).value == 1 / 2
    named = {"visible": [{"stdin": "2\n", "stdout": "4\n"}]}
    assert ProgramTests().first_failure(named, "print(2 * int(input()))") is None
    assert ProgramTests().first_failure(named, "print(1)")[0] == "standard input:\n2\n\nexpected output:\n4\n"


def test_it_is_a_metric():
    metric, right = ProgramTests(tests="hidden"), dspy.Prediction(program=ADD)
    assert (metric(PROBLEM, right), metric(PROBLEM, dspy.Prediction(program="pass"))) == (1.0, 0.0)
    evaluate = dspy.Evaluate(devset=[PROBLEM], metric=metric, display_progress=False, num_threads=1)
    assert evaluate(lambda question: right).score == 100


def test_helpers_of_the_preamble_cannot_be_faked():
    problem = dspy.Example(
        visible=["assert check(f())"], entry_point="f", preamble="def check(x):\n    return x == 'right'"
    )
    fake = "def check(x):\n    return True\ndef f():\n    return 'wrong'"
    assert ProgramTests().grade(problem, {"program": fake}).value == 0


def test_programs_that_differ_in_nothing_but_words_are_one_answer():
    key = ProgramTests().key
    same = [ADD, f"```python\n{ADD}\n```", "def add(a: int, b: int) -> int:\n    '''Add.'''\n    return a+b  # sum"]
    assert len({key({"program": text}) for text in same}) == 1
    assert key({"program": "def add(a, b):\n    return b + a"}) != key({"program": ADD})
    assert key({"program": "def add("}) is None
    assert key({"program": None}) is None


def test_the_same_program_is_run_once_and_a_sandbox_that_failed_is_asked_again(monkeypatch):
    ran = []

    def once(program, tests, **options):
        ran.append(program)
        fault = "no memory" if len(ran) == 1 else None
        outcomes = tuple(Outcome(passed=True) for _ in tests)
        return Verdict(outcomes=() if fault else outcomes, isolation="none", seconds=0.0, fault=fault)

    monkeypatch.setattr(program_tests, "run_program", once)
    grader = ProgramTests(limits=Limits(wall_seconds=7.5))
    lost = grader.grade(PROBLEM, {"program": ADD})
    assert (lost.value, lost.reason) == (None, "no memory")
    assert grader.first_failure(PROBLEM, ADD) is None
    for _ in range(3):
        grader.grade(PROBLEM, {"program": f"```\n{ADD}\n```"})
    assert len(ran) == 2


@pytest.mark.parametrize(
    ("problem", "output", "says"),
    [
        (dspy.Example(question="Write add."), {"program": ADD}, "'Write add.' has no tests in 'visible'"),
        (dspy.Example(visible="assert add(1, 2) == 3"), {"program": ADD}, "has no tests in 'visible'"),
        (dspy.Example(visible=[{"in": "1", "out": "2"}]), {"program": ADD}, "a mapping with stdin and stdout"),
        (dspy.Example(visible=[("1", 2)]), {"program": ADD}, "a case must be (standard input, standard output)"),
        (PROBLEM, {"answer": ADD}, "has no field 'program', only answer"),
        (dspy.Example(visible=["assert ("]), {"program": ADD}, "not Python"),
    ],
)
def test_what_cannot_be_graded_is_said(problem, output, says):
    with pytest.raises(UserError) as error:
        ProgramTests().grade(problem, output)
    assert says in str(error.value)


def test_visible_tests_that_were_forgotten_are_missed():
    with pytest.raises(UserError, match=r"needs the problem's 'visible', \[\] for none, but was given question"):
        ProgramTests().first_failure({"question": "Write add."}, ADD)
