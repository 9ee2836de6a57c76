"""A metric of sets or one of DSPy: told apart on one example, before any call is made."""

import dspy
import numpy as np
import pytest

from lbt_dspy import Budget, BudgetSpentError, Journal, LbTExemplars, Ledger, UserError
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.metrics import Accuracy, BinaryF1, MacroF1
from lbt_dspy.teleprompters.exemplars.metrics import MeanOf, score_of, set_level

LABELS = ("Yes", "No")
SMALL = {"exemplars": 4, "rounds": 1, "selection_examples": 20, "minibatch": 8, "beam": 2}


def exact(example, prediction, trace=None):
    return example.label == prediction.label


class Judge:
    """A metric of DSPy's as an object."""

    def __call__(self, gold, pred, trace=None, pred_name=None, pred_trace=None):
        return float(gold.label.lower() == pred.label.lower())


def share_right(golds, predictions):
    right = [p is not None and p.label == g.label for g, p in zip(golds, predictions, strict=True)]
    return sum(right) / len(right)


SETS = [BinaryF1("Yes", LABELS), MacroF1(LABELS), Accuracy(LABELS), share_right, lambda golds, preds: 1]
SINGLES = [
    exact,
    Judge(),
    lambda ex, pred, trace=None: ex.label == pred.label,
    lambda ex, pred: ex.label == pred.label,
    lambda a, b: a == b,  # takes lists too, but gives a truth
    lambda ex, pred, trace=None: np.float32(ex.label == pred.label),
    lambda ex, pred, trace=None: np.bool_(ex.label == pred.label),
]
WRONG = [
    lambda: 1.0,
    lambda ex: 1.0,
    lambda ex, pred: "yes",
    lambda golds, preds: float("nan"),
    lambda ex, pred, trace=None: ex.nothing == pred.nothing,
    len,
]
NO_SCORE = [
    (BinaryF1, r"metric is the class BinaryF1; make one"),
    (lambda ex, pred, trace=None: None, "gives None"),
    (lambda ex, pred, trace=None: 1.0 if ex.label == pred.label else None, "on a wrong one it gives None"),
    (lambda golds, preds: 1.0 if golds[0].label == preds[0].label else "bad", "on a wrong one it gives 'bad'"),
    (lambda golds, preds: [1.0], r"gives \[1.0\]"),
]


@pytest.mark.parametrize("metric", SETS)
def test_metrics_of_sets_stay_what_they_are(metric, examples):
    assert set_level(metric, examples[0], ["label"]) is metric


@pytest.mark.parametrize("metric", SINGLES)
def test_a_metric_of_dspys_is_used_as_its_mean(metric, examples):
    made = set_level(metric, examples[0], ["label"])
    assert isinstance(made, MeanOf)
    right, wrong = (dspy.Prediction(label=label) for label in (examples[0].label, "?"))
    if metric is not SINGLES[4]:
        assert made([examples[0]] * 4, [right, wrong, None, right]) == 0.5


@pytest.mark.parametrize("metric", WRONG)
def test_anything_else_is_one_clear_error_and_no_call(metric, examples, program):
    program.lm = embedded_lm("embedded/teacher")
    ledger = Ledger(Journal())
    optimiser = LbTExemplars(metric=metric, exam_students=["embedded/words"], ledger=ledger, **SMALL)
    with pytest.raises(UserError, match=r"metric must be \(golds, predictions\) -> float.* or DSPy's"):
        optimiser.compile(program, trainset=examples)
    assert ledger.journal.sent() == 0


@pytest.mark.parametrize(("metric", "said"), NO_SCORE)
def test_what_gives_no_score_is_said_before_any_call(metric, said, examples):
    with pytest.raises(UserError, match=said):
        set_level(metric, examples[0], ["label"])


def test_a_metric_that_wants_answers_of_its_kind_is_taken(examples):
    """Tried on a wrong answer it raises; what models answer may be what it wants."""

    def close(ex, pred, trace=None):
        return {"Yes": 1.0, "No": 0.0}[pred.label]

    assert isinstance(set_level(close, examples[0], ["label"]), MeanOf)


FAILING = [
    (share_right, [None], None),
    (lambda golds, preds: preds[0].label, [None], "metric raised AttributeError.*None for what cannot be read"),
    (MeanOf(lambda ex, pred, trace=None: float(pred.label)), ["Yes"], "metric raised ValueError: could not convert"),
    (lambda golds, preds: None, ["Yes"], "must give a finite number but gave None for 1 answers"),
    (lambda golds, preds: float("inf"), ["Yes"], "but gave inf"),
]


@pytest.mark.parametrize(("metric", "answers", "said"), FAILING)
def test_a_metric_that_fails_on_an_answer_is_one_line(metric, answers, said, examples):
    predictions = [None if label is None else dspy.Prediction(label=label) for label in answers]
    if said is None:
        assert score_of(metric, examples[:1], predictions) == 0.0
        return
    with pytest.raises(UserError, match=said):
        score_of(metric, examples[:1], predictions)


@pytest.mark.parametrize("search", ["utility", "beam", "tpe"])
def test_a_metric_of_dspys_finds_what_accuracy_finds(search, examples, program):
    program.lm = embedded_lm("embedded/teacher")
    found = [
        LbTExemplars(metric=metric, exam_students=["embedded/words"], search=search, scoring="metric", **SMALL).compile(
            program, trainset=examples
        )
        for metric in (Accuracy(LABELS), lambda ex, pred, trace=None: ex.label == pred.label)
    ]
    assert [[d.text for d in p.demos] for p in found[:1]] == [[d.text for d in p.demos] for p in found[1:]]


def test_students_are_lms_or_names_and_an_unknown_name_is_an_error_before_any_call(examples, program):
    program.lm = embedded_lm("embedded/teacher")
    by_name, by_lm = (
        LbTExemplars(metric=exact, exam_students=[student], **SMALL).compile(program, trainset=examples)
        for student in ("embedded/words", embedded_lm("embedded/words"))
    )
    assert [d.text for d in by_name.demos] == [d.text for d in by_lm.demos]
    ledger = Ledger(Journal())
    with pytest.raises(UserError, match="nobody"):
        LbTExemplars(metric=exact, exam_students=["nobody"], ledger=ledger, **SMALL).compile(program, trainset=examples)
    with pytest.raises(UserError, match=r"nowhere\.yaml"):
        LbTExemplars(
            metric=exact, exam_students=["somebody"], lm_config="nowhere.yaml", ledger=ledger, **SMALL
        ).compile(program, trainset=examples)
    assert ledger.journal.sent() == 0


def test_a_budget_limits_one_compile(examples, program):
    program.lm = embedded_lm("embedded/teacher")
    optimiser = LbTExemplars(metric=exact, exam_students=["embedded/words"], budget=Budget(30), **SMALL)
    with pytest.raises(BudgetSpentError):
        optimiser.compile(program, trainset=examples)
    with pytest.raises(UserError, match="budget does not go with ledger"):
        LbTExemplars(metric=exact, exam_students=["embedded/words"], budget=Budget(1), ledger=Ledger(), **SMALL)
