"""LbTScore as every DSPy optimiser asks it, and what it says."""

import copy
import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import dspy
import hypothesis
import pytest
from dspy import lm15
from hypothesis import strategies as st
from toy_world import BANK, PLUS, TAUGHT, TEACHING, TIMES, Pupil, pupil, solver, teacher

from lbt_dspy import Account, Budget, BudgetSpentError, Fixed, Ledger, SameKind, UserError, Variants
from lbt_dspy.lms.engine import lm_of
from lbt_dspy.metrics import LbTScore
from lbt_dspy.metrics.feedback import ProblemResult, exam_feedback
from lbt_dspy.metrics.lbt_score import weighted
from lbt_dspy.types import ExamProblem, Mark, Sitting


def score(**options):
    return LbTScore(solver(), **{"exam_students": [pupil()], "exam": Fixed(BANK, problems=2), **options})


@pytest.fixture
def lm():
    chosen = teacher()
    with dspy.context(lm=chosen):
        yield chosen


def lesson(question, word, answer):
    return dspy.Prediction(reasoning=f"these {word} those", answer=answer)


@pytest.mark.usefixtures("lm")
def test_evaluate(tmp_path):
    """Odd first numbers are added, even ones multiplied: half of the lessons teach."""
    found = dspy.Evaluate(devset=TEACHING, metric=score(), num_threads=4, save_as_json=str(tmp_path / "scores.json"))(
        solver()
    )
    assert found.score == 50.0
    assert [type(value) for *_, value in found.results] == [float] * len(TEACHING)


@pytest.mark.usefixtures("lm")
def test_bootstrap_few_shot_keeps_what_teaches():
    compiled = dspy.BootstrapFewShot(
        metric=score(threshold=0.5), max_bootstrapped_demos=4, max_labeled_demos=0
    ).compile(solver(), trainset=TEACHING)
    demos = compiled.predict.demos
    assert demos
    assert all(PLUS in demo.reasoning for demo in demos)
    assert {demo.question for demo in demos} <= {example.question for example in TEACHING}  # none of the exam


@pytest.mark.usefixtures("lm")
def test_random_search():
    compiled = dspy.BootstrapFewShotWithRandomSearch(
        metric=score(), max_bootstrapped_demos=2, max_labeled_demos=0, num_candidate_programs=2, num_threads=2
    ).compile(solver(), trainset=TEACHING[:4])
    assert compiled(question="What is 8 and 9?").answer == "17"


def test_mipro(lm):
    optimizer = dspy.MIPROv2(metric=score(), auto=None, num_candidates=2, prompt_model=lm, task_model=lm, num_threads=2)
    compiled = optimizer.compile(
        solver(), trainset=TEACHING[:4], valset=TEACHING[4:], num_trials=3, minibatch=False,
        max_bootstrapped_demos=0, max_labeled_demos=0, program_aware_proposer=False, data_aware_proposer=False,
    )  # fmt: skip
    assert compiled(question="What is 8 and 9?").answer == "17"


def test_gepa_reads_the_feedback(lm):
    compiled = dspy.GEPA(
        metric=score(threshold=0.5), max_metric_calls=16, reflection_lm=lm, reflection_minibatch_size=2, num_threads=2
    ).compile(solver(), trainset=TEACHING[:4], valset=TEACHING[4:])
    assert compiled.predict.signature.instructions == TAUGHT
    reflections = [prompt for prompt in lm.engine.prompts if "Students answered instead" in prompt]
    assert reflections
    assert "The right answer is 31. Students answered instead: 234 (1 of 1 sittings)." in reflections[0]


@pytest.mark.usefixtures("lm")
def test_simba():
    compiled = dspy.SIMBA(metric=score(), bsize=4, num_candidates=2, max_steps=1, max_demos=1, num_threads=1).compile(
        solver(), trainset=TEACHING[:4], seed=0
    )
    assert compiled(question="What is 8 and 9?").answer == "17"


@pytest.mark.usefixtures("lm")
@pytest.mark.parametrize("module", [dspy.BestOfN, dspy.Refine])
def test_the_best_of_several(module):
    best = module(module=solver(), N=3, reward_fn=score().reward, threshold=1.0)
    with dspy.context(trace=[]):
        assert best(question="What is 8 and 9?").answer == "17"
        asked = {given.get("question", "What is 8 and 9?") for _, given, _ in dspy.settings.trace}
        assert asked == {"What is 8 and 9?"}  # nothing of the exam


GOLD = TEACHING[0]
GOOD, BAD = (lesson(GOLD.question, word, answer) for word, answer in ((PLUS, "7"), (TIMES, "12")))


class Refusing(Pupil):
    """No request to it comes back."""

    in_process = False

    def answer(self, request, faults=()):
        raise lm15.AuthError("no") if "auth" in self.name else lm15.ServerError("down")


class Patient(Pupil):
    """Slow enough that equal requests meet."""

    def answer(self, request, faults=()):
        self.meeting.wait(timeout=5)
        return super().answer(request, faults)


def test_what_each_caller_gets():
    metric = score(threshold=0.5)
    assert metric(GOLD, GOOD) == 1.0
    assert metric(GOLD, BAD) == 0.0
    assert metric(GOLD, GOOD, []) is True
    assert metric(GOLD, BAD, []) is False
    assert metric(GOLD, BAD, [], "predict", []).score == 0.0
    assert metric(GOLD, None) == 0.0  # a program that failed
    assert score()(GOLD, BAD, []) == 0.0
    assert metric.reward({"question": GOLD.question}, GOOD) == 1.0


def test_no_label_is_looked_at():
    """The example's own answer neither stands in the lesson nor moves the score."""
    student = pupil()
    metric = score(exam_students=[student])
    assert metric(dspy.Example(question=GOLD.question, answer="a secret").with_inputs("question"), BAD) == 0.0
    assert not any("secret" in prompt for prompt in student.engine.prompts)


def test_the_feedback_names_what_went_wrong_and_how_often():
    bank = [*BANK[:2], dspy.Example(question="What is 2 and 2?", answer="4").with_inputs("question")]
    metric = score(exam=Fixed(bank), exam_students=[pupil("toy/a"), pupil("toy/b")], sittings=2)
    found = metric.examine(GOLD, BAD)
    assert found.score == found.lbt_score == pytest.approx(1 / 3)
    assert found.feedback.splitlines() == [
        "Students read this solution as a worked example, then sat an exam on 3 similar problems: mean mark 0.33 of 1 "
        "over 12 answers.",
        "Went well: 1 of 3 problems were answered right every time.",
        'Failed: "What is 13 and 18?" The right answer is 31. Students answered instead: 234 (4 of 4 sittings).',
        'Failed: "What is 14 and 19?" The right answer is 33. Students answered instead: 266 (4 of 4 sittings).',
    ]


def test_long_and_many_failures_are_cut():
    long = [dspy.Example(question=f"What is {n} and 1? " + "word " * 500, answer="0").with_inputs("question")
            for n in range(20, 40)]  # fmt: skip
    feedback = score(exam=Fixed(long)).examine(GOLD, GOOD).feedback
    assert len(feedback) < 3000
    assert "14 more problems were failed too." in feedback


@pytest.mark.parametrize(
    ("weight", "gold", "pred", "expected"),
    [
        (0.5, GOLD, GOOD, 1.0),
        (0.25, GOLD, BAD, 0.0),
        (0.25, GOLD, lesson("", PLUS, "8"), 0.75),  # teaches the right way, answers wrong
        (0.25, GOLD, lesson("", TIMES, "7"), 0.25),
        (0.25, GOLD.without("answer").with_inputs("question"), lesson("", TIMES, "7"), 0.0),  # no label: LbT alone
        (0.0, GOLD, lesson("", TIMES, "7"), 0.0),
    ],
)
def test_correctness_has_its_weight_where_there_is_a_label(weight, gold, pred, expected):
    assert score(weight=weight)(gold, pred) == pytest.approx(expected)


UNIT = st.floats(0, 1)


@hypothesis.given(st.lists(st.tuples(UNIT, st.none() | UNIT)))
def test_the_weighted_mean_lies_among_what_is_known(parts):
    known = [value for weight, value in parts if weight and value is not None]
    mean = weighted(parts)
    assert (mean is None) == (not known)
    assert mean is None or min(known) - 1e-9 <= mean <= max(known) + 1e-9


SITTINGS = st.builds(
    lambda mark, answer: Sitting(
        fields=None if mark is None else {"answer": answer}, mark=Mark(value=mark, reason=answer)
    ),
    st.none() | UNIT,
    st.none() | st.text() | st.integers(),
)


@hypothesis.given(st.lists(st.lists(SITTINGS, min_size=1, max_size=4), min_size=1, max_size=9), st.text())
def test_feedback_speaks_of_every_exam(rows, question):
    """Whatever students wrote: it is one line per finding, and says so when nothing was measured."""
    problem = ExamProblem(example=dspy.Example(question=question, answer=question).with_inputs("question"))
    text = exam_feedback([ProblemResult(problem, tuple(row)) for row in rows], "answer")
    sittings = [sitting for row in rows for sitting in row]
    marks = [s.mark.value for s in sittings if s.mark.value is not None]
    assert text.startswith("Students read" if marks else "Not measured")
    assert ("Failed:" in text) == any(mark < 1 for mark in marks)
    assert ("Not measured: " in text) == (len(marks) < len(sittings))


def test_not_measured_is_none_in_records_and_a_warned_and_counted_zero_to_optimisers(caplog):
    """A server that is down says nothing of the lesson."""
    down = lm_of(Refusing("toy/down"))
    metric = score(exam_students=[down], ledger=Ledger(retries=0))
    found = metric.examine(GOLD, GOOD)
    assert (found.score, found.coverage) == (None, 0.0)
    assert metric.unmeasured == 0
    assert metric(GOLD, GOOD) == metric(GOLD, BAD) == 0.0
    assert metric.unmeasured == 2
    assert len([r for r in caplog.records if "could not be measured" in r.message]) == 1
    assert "server error" in metric(GOLD, GOOD, [], "predict").feedback
    both = score(exam_students=[down, pupil()], ledger=Ledger(retries=0)).examine(GOLD, GOOD)
    assert (both.score, both.coverage) == (1.0, 0.5)


def test_a_question_without_exam_is_not_measured():
    bank = [dspy.Example(**e, subject="sums").with_inputs("question") for e in BANK]
    metric = score(exam=SameKind(bank, level=None))
    gold = dspy.Example(question="What is 1 and 2?", subject="poems").with_inputs("question")
    assert metric.examine(gold, GOOD).score is None
    assert "no exam problem" in metric(gold, GOOD, pred_name="predict").feedback
    assert metric.unmeasured == 1


def test_what_stops_a_run_is_raised():
    with pytest.raises(BudgetSpentError):
        score(budget=Budget(max_calls=1))(GOLD, GOOD)
    refused = score(exam_students=[lm_of(Refusing("toy/auth"))], exam=Fixed(BANK))
    with pytest.raises(UserError, match="toy/auth refuses every call"):
        refused(GOLD, GOOD)


def test_one_budget_for_several_metrics():
    """A second ledger, or a new one after the budget was spent, does not start the count anew."""
    budget, student = Budget(max_calls=3), pupil()
    metrics = [score(budget=budget, exam_students=[student]) for _ in range(3)]
    assert metrics[0](GOLD, GOOD) == 1.0
    for metric in (*metrics[1:], dataclasses.replace(metrics[0], seed=1)):
        for _ in range(2):
            with pytest.raises(BudgetSpentError):
                metric(GOLD, BAD)
    assert len(student.engine.prompts) == 3


def test_a_maker_that_needs_more_than_the_inputs():
    bank = [dspy.Example(**e, unique_id="u").with_inputs("question") for e in [GOLD, *BANK]]
    gold = bank[0]
    assert score(exam=Variants(bank))(gold, GOOD) == 1.0
    with pytest.raises(UserError, match=r"unique_id.*teaching="):
        score(exam=Variants(bank)).reward({"question": gold.question}, GOOD)
    assert score(exam=Variants(bank, teaching=bank)).reward({"question": gold.question}, GOOD) == 1.0


@pytest.mark.parametrize("inputs", [("question",), ("question", "unique_id"), ("question", "context")])
def test_the_question_itself_is_never_in_its_exam(inputs):
    """Whatever stands beside it, e.g. what an exam maker asks for."""
    student = pupil()
    bank = [dspy.Example(**e, unique_id="u").with_inputs("question") for e in [GOLD, *BANK]]
    gold = dspy.Example(**bank[0], context="c").with_inputs(*inputs)
    score(exam=Variants(bank), exam_students=[student])(gold, GOOD)
    asked = [prompt.rsplit("[[ ## question ## ]]", 1)[1] for prompt in student.engine.prompts]
    assert len(asked) == len(BANK)
    assert not any(GOLD.question in question for question in asked)


class TwoSteps(dspy.Module):
    def __init__(self):
        super().__init__()
        self.solve = dspy.ChainOfThought("question -> answer")
        self.check = dspy.Predict("question, answer -> verdict")

    def forward(self, question):
        found = self.solve(question=question)
        verdict = self.check(question=question, answer=found.answer).verdict
        return dspy.Prediction(reasoning=found.reasoning, answer=found.answer, verdict=verdict)


@pytest.mark.usefixtures("lm")
def test_a_larger_program_sits_the_exam():
    metric = LbTScore(TwoSteps(), exam_students=[pupil()], exam=Fixed(BANK), predictor="solve.predict", threshold=0.5)
    with dspy.context(trace=[]):
        assert (metric(GOLD, GOOD), metric(GOLD, BAD)) == (1.0, 0.0)
        assert dspy.settings.trace == []
    found = dspy.Evaluate(devset=TEACHING, metric=metric, num_threads=8)(TwoSteps())
    assert found.score == 50.0
    demos = dspy.BootstrapFewShot(metric=metric, max_labeled_demos=0).compile(TwoSteps(), trainset=TEACHING)
    assert all(PLUS in demo.reasoning for demo in demos.solve.predict.demos)


@pytest.mark.parametrize("outside", [True, False])
def test_many_threads_pay_for_each_sitting_once(outside):
    student = Patient("toy/far" if outside else "toy/near")
    student.in_process = not outside
    student.meeting = threading.Event()
    threading.Timer(0.05, student.meeting.set).start()
    ledger = Ledger()
    metric = score(exam_students=[lm_of(student)], exam=Fixed(BANK), ledger=ledger)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: metric(GOLD, GOOD), range(8))) == [1.0] * 8
    assert len(student.prompts) == ledger.journal.sent() == len(BANK)
    account = Account()
    metric.examine(GOLD, GOOD, account=account)
    assert sum(account.calls.values()) == len(BANK)


def test_a_journal_is_shared():
    ledger = Ledger()
    assert score(ledger=ledger)(GOLD, GOOD) == 1.0
    sent = ledger.journal.sent()
    assert score(ledger=ledger)(GOLD, GOOD) == 1.0
    assert ledger.journal.sent() == sent


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exam_students": []}, "exam_students must be at least 1"),
        ({"sittings": 0}, "sittings must be a whole number of at least 1 but got 0"),
        ({"weight": 1.5}, r"weight must lie in \[0, 1\] but got 1.5"),
        ({"threshold": 0.0}, r"threshold must lie in \(0, 1\] but got 0.0"),
        ({"threshold": 7}, "threshold must lie"),
        ({"predictor": "nobody"}, "no predictor named 'nobody'"),
        ({"ledger": Ledger(), "budget": Budget()}, "budget does not go with ledger"),
    ],
)
def test_options_out_of_bounds(options, message):
    with pytest.raises(UserError, match=message):
        score(**options)


@pytest.mark.parametrize(
    ("gold", "pred", "missing"),
    [
        (GOLD, dspy.Prediction(reasoning="3 plus 4"), "answer"),
        (dspy.Example(text="x").with_inputs("text"), GOOD, "question"),
    ],
)
def test_a_prediction_that_is_no_lesson_is_refused(gold, pred, missing):
    with pytest.raises(UserError, match=f"needs the field '{missing}'"):
        score()(gold, pred)


def test_a_lesson_without_rationale_is_one():
    assert score()(GOLD, dspy.Prediction(answer="7")) == 0.0


def test_copies_are_the_same_and_pickles_hold_no_key():
    metric = score(exam_students=[dspy.LM("openai/x", api_key="sk-verysecret")], budget=Budget(max_calls=1))
    metric.program.set_lm(dspy.LM("openai/y", api_key="sk-verysecret"))
    assert copy.deepcopy(metric) is metric
    stored = cloudpickle.dumps(metric)
    assert b"verysecret" not in stored
    assert cloudpickle.loads(stored).exam_students == ("openai/x",)
