"""What has the wrong shape is said in one line, before any call is paid for."""

from typing import Literal

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy import (
    ExactMatch,
    Exam,
    Examiner,
    ExamProblem,
    Fixed,
    LbTDPO,
    LbTExemplars,
    LbTRerank,
    Ledger,
    Mark,
    Nearest,
    UserError,
)
from lbt_dspy.exam.grading import graded
from lbt_dspy.metrics import BinaryF1, LbTScore
from lbt_dspy.testing import scripted_lm

LABELS = ("Yes", "No")
ANSWERS = scripted_lm(lambda inputs, lessons, seed: {"label": "Yes" if "good" in str(inputs) else "No"})


class Classify(dspy.Signature):
    """Is it good?"""

    text: str = dspy.InputField()
    label: Literal["Yes", "No"] = dspy.OutputField()


class Whole(dspy.Module):
    def __init__(self):
        super().__init__()
        self.classify = dspy.Predict(Classify)

    def forward(self, text):
        return self.classify(text=text)


class WithContext(Whole):
    def forward(self, text, context):
        return self.classify(text=f"{context} {text}")


class Later(Whole):
    async def forward(self, text):
        return await self.classify.acall(text=text)


def row(text="good soup", label="Yes", inputs=("text",), **more):
    return dspy.Example(text=text, label=label, **more).with_inputs(*inputs)


ROWS = [row(f"{word} {noun}", label) for word, label in (("good", "Yes"), ("bad", "No")) for noun in "abcdefgh"]
BARE = [dspy.Example(text=f"{i}", label=LABELS[i % 2]) for i in range(16)]


def program(made=None):
    made = made or dspy.Predict(Classify)
    made.set_lm(ANSWERS)
    return made


@pytest.fixture
def ledger():
    """Nothing may be paid for."""
    found = Ledger(workers=2)
    yield found
    assert found.journal.sent() == 0


class Marks(ExactMatch):
    """A grader that gives what a test wants."""

    def __init__(self, gives):
        super().__init__("label")
        self.gives = gives

    def grade(self, expected, output):
        return self.gives(output["label"])


def exemplars(ledger, made=None, rows=ROWS, **options):
    told = {"metric": BinaryF1("Yes", LABELS), "exam_students": [ANSWERS], "exemplars": 4, "rounds": 1, "minibatch": 4,
            "selection_examples": 8, "reflections": 1, "ledger": ledger}  # fmt: skip
    return LbTExemplars(**{**told, **options}).compile(made or program(), trainset=rows)


def rerank(ledger, made=None, question=None, **options):
    told = {"exam_students": [ANSWERS], "exam": Fixed(ROWS), "rationales": 2, "sittings": 1, "ledger": ledger}
    return LbTRerank(**{**told, **options}).compile(made or program())(**(question or {"text": "good stew"}))


def dpo(ledger, folder, made=None, rows=ROWS, valset=None, **options):
    told = {"exam_students": [ANSWERS], "exam": Nearest(ROWS), "rationales": 2, "folder": folder, "export_only": True,
            "ledger": ledger}  # fmt: skip
    return LbTDPO(**{**told, **options}).compile(made or program(), trainset=rows, valset=valset)


def score(ledger, made=None, gold=ROWS[0], pred=None, **options):
    told = {"exam_students": [ANSWERS], "exam": Fixed(ROWS), "ledger": ledger}
    metric = LbTScore(made or program(), **{**told, **options})
    return metric(gold, dspy.Prediction(text="t", label="Yes") if pred is None else pred)


def examine(ledger, made=None, rows=ROWS, students=(ANSWERS,), exams=None, **options):
    examiner = Examiner(made or program(), **{"grader": ExactMatch("label"), "ledger": ledger, **options})
    exams = [Exam(material=(), problems=[ExamProblem(example=e) for e in rows])] if exams is None else exams
    return examiner.examine(exams, list(students))


def seated(ledger, made=None, rows=ROWS, **options):
    """The same, exam by exam."""
    examiner = Examiner(made or program(), **{"grader": ExactMatch("label"), "ledger": ledger, **options})
    return list(examiner.stream(iter([Exam(material=(), problems=[ExamProblem(example=e) for e in rows])]), [ANSWERS]))


ALL = {"LbTExemplars": exemplars, "LbTRerank": rerank, "LbTDPO": dpo, "LbTScore": score, "Examiner": examine}


def runs(name, ledger, tmp_path, **options):
    return ALL[name](ledger, tmp_path, **options) if name == "LbTDPO" else ALL[name](ledger, **options)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("grader", "said"),
    [
        (lambda gold, pred, trace=None: 1.0, "grader must be an object with grade.*<lambda> has no grade"),
        (ExactMatch, r"grader is the class ExactMatch; make one"),
        ("label", "but str has no grade"),
        (type("Half", (), {"grade": lambda self, *_: Mark(value=1.0)})(), "but Half has no key"),
    ],
)
def test_a_grader_that_is_none(ledger, tmp_path, name, grader, said):
    with pytest.raises(UserError, match=said):
        runs(name, ledger, tmp_path, grader=grader)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("made", "said"),
    [
        (Whole, "the program is the class Whole; make one"),
        ("text -> label", "must be a dspy.Module but is 'text -> label'"),
        (lambda text: text, "must be a dspy.Module but is the function <lambda>"),
        (Classify, "the program is the class Classify"),
    ],
)
def test_a_program_that_is_none(ledger, tmp_path, name, made, said):
    with pytest.raises(UserError, match=said):
        runs(name, ledger, tmp_path, made=made)


@pytest.mark.parametrize("name", ["LbTExemplars", "LbTRerank", "LbTDPO", "LbTScore"])
@pytest.mark.parametrize(
    ("students", "said"),
    [
        (["embedded/nobody"], "unknown model 'embedded/nobody'"),
        (["embedded/words", "no-such-name"], "unknown model 'no-such-name'"),
        ("embedded/words", "exam_students must be a list"),
        ([dspy.LM], "must be dspy.LM objects or names but one is <class"),
        ([ANSWERS, None], "but one is None"),
    ],
)
def test_students_that_are_none(ledger, tmp_path, name, students, said):
    with pytest.raises(UserError, match=said):
        runs(name, ledger, tmp_path, exam_students=students)


@pytest.mark.parametrize(
    ("students", "said"),
    [(["embedded/words"], r"students must be dspy.LM objects but one is 'embedded/words'"), ([dspy.LM], "class LM")],
)
def test_students_of_an_examiner_that_are_none(ledger, students, said):
    with pytest.raises(UserError, match=said):
        examine(ledger, students=students)


@pytest.mark.parametrize("name", ["LbTRerank", "LbTDPO", "LbTScore"])
@pytest.mark.parametrize("maker", [Nearest, ROWS, lambda teaching: ROWS], ids=["class", "list", "function"])
def test_an_exam_maker_that_is_none(ledger, tmp_path, name, maker):
    with pytest.raises(UserError, match="exam must be an exam maker but got"):
        runs(name, ledger, tmp_path, exam=maker)


@pytest.mark.parametrize("name", ["LbTExemplars", "LbTRerank", "LbTScore", "Examiner"])
def test_an_adapter_that_is_none(ledger, tmp_path, name):
    with pytest.raises(UserError, match=r"adapter must be a dspy.Adapter but got <class"):
        runs(name, ledger, tmp_path, adapter=dspy.ChatAdapter)


ROWS_OF_WRONG_SHAPE = [
    (BARE, "does not say which fields are inputs"),
    ([{"text": "a", "label": "Yes"}] * 9, r"must hold dspy.Example objects but one is .*\(dict\)"),
    (iter(ROWS), "trainset must be a list but got"),
    ({"text": "a"}, "trainset must be a list but got"),
    (ROWS[0], "trainset must be a list but got"),
    ("rows.jsonl", "trainset must be a list but got 'rows.jsonl'"),
]


@pytest.mark.parametrize("name", ["LbTExemplars", "LbTDPO"])
@pytest.mark.parametrize(("rows", "said"), ROWS_OF_WRONG_SHAPE)
def test_training_rows_of_the_wrong_shape(ledger, tmp_path, name, rows, said):
    with pytest.raises(UserError, match=said):
        runs(name, ledger, tmp_path, rows=rows)


def test_validation_rows_of_the_wrong_shape(ledger, tmp_path):
    with pytest.raises(UserError, match="an example of valset does not say which"):
        dpo(ledger, tmp_path, valset=BARE)


TWO_INPUTS = dspy.Signature("text, context -> label")
LACKING = [
    (dspy.Predict(TWO_INPUTS), ROWS, "exam problem 'good a' has no input 'context'.*name it in with_inputs"),
    (dspy.ChainOfThought(TWO_INPUTS), ROWS, "has no input 'context'"),
    (dspy.Predict(TWO_INPUTS), [*ROWS, row(context="c")], "has no input 'context'"),
    (dspy.Predict(TWO_INPUTS), [row(context="c")] * 9 + [row(label="No")], "has no input 'context'"),
    (WithContext(), ROWS, "does not fit WithContext.forward: missing a required argument: 'context'"),
    (Whole(), [row(context="c", inputs=("text", "context"))] * 9 + [row(label="No")], "unexpected keyword argument"),
    (Later(), ROWS, "Later has no forward that can be called"),
]  # fmt: skip


@pytest.mark.parametrize("ask", [exemplars, examine, seated])
@pytest.mark.parametrize(("made", "rows", "said"), LACKING)
def test_a_problem_that_does_not_fit(ledger, ask, made, rows, said):
    with pytest.raises(UserError, match=said):
        ask(ledger, program(made), rows)


@pytest.mark.parametrize(
    ("ask", "given"),
    [
        (rerank, {"question": {"text": "t", "context": "c"}}),
        (score, {"gold": row(context="c", inputs=("text", "context"))}),
    ],
)
def test_a_problem_of_a_bank_that_does_not_fit(ledger, ask, given):
    with pytest.raises(UserError, match="has no input 'context'"):
        ask(ledger, program(dspy.Predict(TWO_INPUTS)), **given, exam=Fixed([*ROWS]))


@pytest.mark.parametrize(
    ("example", "said"),
    [(dspy.Example(text="t").with_inputs("text"), "has no answer 'label'"), (BARE[0], "has no input 'text'")],
)
def test_a_problem_without_answer_or_inputs(ledger, example, said):
    with pytest.raises(UserError, match=said):
        examine(ledger, rows=[*ROWS, example])


@pytest.mark.parametrize(
    ("exams", "said"),
    [
        ([Exam(material=(), problems=ROWS)], "an exam problem must be an ExamProblem"),
        (ROWS, "exams must be Exam objects"),
        (Exam(material=(), problems=[]), "exams must be a list"),
        ([Exam(material=(), problems=iter(()))], "the problems of an exam must be a list"),
    ],
)
def test_exams_of_the_wrong_shape(ledger, exams, said):
    with pytest.raises(UserError, match=said):
        examine(ledger, exams=exams)


def test_inputs_that_dspy_fills_in_are_not_missing():
    """Those with a default, and those that may be none."""

    class Rich(dspy.Signature):
        text: str = dspy.InputField()
        tone: str = dspy.InputField(default="calm")
        note: str | None = dspy.InputField()
        label: str = dspy.OutputField()

    asked = []
    student = scripted_lm(lambda inputs, lessons, seed: asked.append(inputs) or {"label": "Yes"})
    for signature in (Rich, Rich.delete("note")):
        report = examine(Ledger(), dspy.Predict(signature), [row()], [student])[0][0]
        assert report.marks == [1.0]
    assert [inputs["tone"] for inputs in asked] == ["calm", "calm"]


@pytest.mark.parametrize("made", [None, Whole()], ids=["one predictor", "a program"])
@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (lambda label: 1.0, r"Marks.grade must return a Mark but returned '1.0'"),
        (lambda label: None, "must return a Mark but returned 'None'"),
        (lambda label: Mark(value=2.0), r"must give marks in \[0, 1\], or None, but gave 2.0"),
        (lambda label: Mark(value="good"), "but gave 'good'"),
        (lambda label: Mark(value=float("nan")), "but gave nan"),
        (lambda label: int(label), "the grader raised ValueError: invalid literal.*it must not raise"),
        (lambda label: {}[label], "the grader raised KeyError"),
    ],
)
def test_a_grader_of_the_users_that_is_wrong_is_one_line(made, gives, said):
    with pytest.raises(UserError, match=said):
        examine(Ledger(workers=1), program(made), grader=Marks(gives))


def test_keys_must_be_comparable():
    grader = ExactMatch("label")
    grader.key = lambda output: ["Yes"]
    with pytest.raises(UserError, match=r"ExactMatch.key must return something hashable"):
        rerank(Ledger(), grader=grader)


@given(st.one_of(st.none(), st.floats(0, 1), st.sampled_from([0, 1, True, False])))
def test_all_marks_that_may_be_are_taken(value):
    assert graded(Marks(lambda label: Mark(value=value)), ROWS[0], {"label": "Yes"}).value == value


@pytest.mark.parametrize(
    ("gold", "pred", "said"),
    [
        (BARE[0], None, "a dspy.Example that says which fields are inputs"),
        ({"text": "t"}, None, "a dspy.Example that says which fields are inputs"),
        (ROWS[0], "Yes", "or None, but got 'Yes', a str"),
        (ROWS[0], ("Yes", 1.0), "a tuple; let the program's forward return"),
    ],
)
def test_a_metric_that_is_called_with_other_things(ledger, gold, pred, said):
    with pytest.raises(UserError, match=said):
        score(ledger, gold=gold, pred=pred)
