"""A larger program (retrieve -> classify -> explain): one predictor learns its exemplars, the others stay."""

from typing import Literal

import dspy
import pytest
from conftest import stats

from lbt_dspy import Account, ExactMatch, Exam, Examiner, ExamProblem, LbTError, LbTExemplars, Ledger, UserError
from lbt_dspy.benchmarks.tasks.classification.data import load_data
from lbt_dspy.lms.embedded import STUDENTS, embedded_lm
from lbt_dspy.lms.roles import LMRoles
from lbt_dspy.metrics import BinaryF1

NOTES = {"dog": "Dogs differ.", "sample": "Small samples mislead."}


class Classify(dspy.Signature):
    """Is this text a faulty generalization?"""

    text: str = dspy.InputField()
    context: str = dspy.InputField()
    label: Literal["Yes", "No"] = dspy.OutputField()


class Explain(dspy.Signature):
    """Is the verdict easy or hard to explain?"""

    text: str = dspy.InputField()
    label: str = dspy.InputField()
    effort: Literal["easy", "hard"] = dspy.OutputField()


class Pipeline(dspy.Module):
    def __init__(self):
        super().__init__()
        self.classify = dspy.Predict(Classify)
        self.explain = dspy.Predict(Explain)

    def forward(self, text):
        context = " ".join(note for word, note in NOTES.items() if word in text)
        label = self.classify(text=text, context=context).label
        return dspy.Prediction(label=label, context=context, effort=self.explain(text=text, label=label).effort)


@pytest.fixture(scope="module")
def data():
    return load_data("fallacy", None, ())


def optimizer(**options):
    given = {
        "metric": BinaryF1("Yes", ("Yes", "No")), "exam_students": [embedded_lm(n) for n in STUDENTS[:2]],
        "rounds": 1, "beam": 2, "exemplars": 6, "minibatch": 12, "selection_examples": 24, "reflections": 2,
        "predictor": "classify",
    }  # fmt: skip
    return LbTExemplars(**{**given, **options})


def test_one_predictor_learns_and_the_others_stay(data):
    pipeline = Pipeline()
    kept = [dspy.Example(text="t", label="Yes", effort="easy"), dspy.Example(text="u", label="No", effort="hard")]
    pipeline.explain.demos = list(kept)
    before = pipeline.dump_state()
    with dspy.context(lm=embedded_lm("embedded/teacher")):
        found = optimizer().optimize(pipeline, trainset=data.train)
        assert found.program(text="All dogs bite; mine did.").label in ("Yes", "No")
    assert pipeline.dump_state() == before
    assert len(found.program.classify.demos) == 6
    assert found.program.explain.demos == kept
    assert found.program.explain.signature.equals(pipeline.explain.signature)
    assert found.program.classify.lm is None
    # every run of the pipeline asks two predictors; the second one is the teacher's and is counted as such
    teacher, students = (sum(n for (role, _), n in found.calls.items() if role == r) for r in ("teacher", "students"))
    assert 0 < students <= 2 * 12
    assert teacher >= found.sets_scored * 20


def test_the_same_search_with_one_worker_and_with_many(data):
    with dspy.context(lm=embedded_lm("embedded/teacher")):
        runs = [
            optimizer(ledger=Ledger(workers=w)).optimize(Pipeline(), trainset=data.train, valset=data.train[:30])
            for w in (1, 12)
        ]
    assert [r.as_dict() for r in runs[0].rounds] == [r.as_dict() for r in runs[1].rounds]
    assert runs[0].calls == runs[1].calls


def test_a_predictor_must_be_named_when_there_are_two(data):
    with dspy.context(lm=embedded_lm("embedded/teacher")):
        with pytest.raises(UserError, match="2 predictors \\(classify, explain\\); name one"):
            optimizer(predictor=None).compile(Pipeline(), trainset=data.train)


def problems(data, count):
    return [ExamProblem(example=e) for e in data.test[:count]]


def test_failed_calls_of_a_program_are_not_measured_and_all_are_counted(server, data):
    with server("--server-error", "0.4") as base_url:
        lm = LMRoles().lms([f"hosted_vllm/t@{base_url}"])[0]
        ledger, account = Ledger(workers=6, retries=0), Account()
        with dspy.context(lm=lm):
            examiner = Examiner(Pipeline(), predictor="classify", grader=ExactMatch("label"), ledger=ledger)
            report = examiner.examine([Exam(material=(), problems=problems(data, 30))], [lm], account=account)[0][0]
        assert 0 < len(report.marks) < 30
        lost = [s.mark.reason for row in report.sittings for s in row if s.mark.value is None]
        assert all("server error" in reason for reason in lost)
        assert stats(base_url)["requests"] == ledger.journal.sent() == sum(account.calls.values())


def test_a_program_that_hides_a_failed_call_is_not_measured_either(server, data):
    """Else the answer it makes up would be marked: a failed call counted as a wrong answer."""

    class Careless(Pipeline):
        def forward(self, text):
            try:
                return super().forward(text)
            except Exception:
                return dspy.Prediction(label="No", context="", effort="easy")

    with server("--server-error", "0.5") as base_url:
        lm = LMRoles().lms([f"hosted_vllm/t@{base_url}"])[0]
        with dspy.context(lm=lm):
            ledger = Ledger(workers=4, retries=0)
            examiner = Examiner(Careless(), predictor="classify", grader=ExactMatch("label"), ledger=ledger)
            report = examiner.examine([Exam(material=(), problems=problems(data, 20))], [lm])[0][0]
        assert 0 < len(report.marks) < 20
        assert len(report.marks) == sum(row[0].fields is not None for row in report.sittings)


def test_unreadable_answers_of_a_program_are_wrong(server, data):
    with server("--empty", "0.5") as base_url:
        lm = LMRoles().lms([f"hosted_vllm/t@{base_url}"])[0]
        with dspy.context(lm=lm):
            examiner = Examiner(Pipeline(), predictor="classify", grader=ExactMatch("label"), ledger=Ledger(workers=6))
            report = examiner.examine([Exam(material=(), problems=problems(data, 20))], [lm])[0][0]
        assert report.coverage == 1.0
        assert any(s.mark.reason == "unreadable answer" for row in report.sittings for s in row)


def test_a_program_that_always_breaks_says_why(data):
    class Broken(Pipeline):
        def forward(self, text):
            raise KeyError("no such shelf")

    with dspy.context(lm=embedded_lm("embedded/teacher")):
        examiner = Examiner(Broken(), predictor="classify", grader=ExactMatch("label"), ledger=Ledger())
        with pytest.raises(LbTError, match="no such shelf"):
            examiner.examine([Exam(material=(), problems=problems(data, 3))], [embedded_lm("embedded/words")])


def test_chain_of_thought_takes_the_fast_path(server, data):
    with server() as base_url:
        lm = LMRoles().lms([f"hosted_vllm/t@{base_url}"])[0]
        program = dspy.ChainOfThought(data.task.program().signature)
        program.set_lm(lm)
        found = optimizer(predictor=None, exam_students=[lm], selection_examples=8, minibatch=4).optimize(
            program, trainset=data.train
        )
        assert len(found.program.predict.demos) == 6
        with dspy.context(lm=lm):
            assert found.program(text="x").label in ("Yes", "No")
