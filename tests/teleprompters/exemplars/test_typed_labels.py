"""Labels that are no texts, and metrics that do not know a label: right answers count, mistakes are told at once."""

from enum import Enum
from typing import Literal

import dspy
import pytest

from lbt_dspy import Journal, LbTExemplars, Ledger, UserError, classification
from lbt_dspy.metrics import Accuracy, BinaryF1, MacroF1, default_metric
from lbt_dspy.testing import scripted_lm

SMALL = {"exemplars": 4, "rounds": 1, "selection_examples": 12, "minibatch": 6, "beam": 2}


class Verdict(Enum):
    YES = "spam"
    NO = "ham"


def verdict(is_good):
    return Verdict.YES if is_good else Verdict.NO


def name_of(is_good):
    return verdict(is_good).value


def examples(label, field="label"):
    rows = [(f"text {n} {'good' if n % 2 else 'bad'}", bool(n % 2)) for n in range(16)]
    return [dspy.Example(text=text, **{field: label(is_good)}).with_inputs("text") for text, is_good in rows]


def search(declared, label, metric, said, field="label"):
    """Search with models that are always right, as `said` writes it; return the scores, and what was asked."""
    lm = scripted_lm(lambda inputs, lessons, seed: {field: said("good" in inputs["text"])})
    program = dspy.Predict(
        dspy.Signature({"text": (str, dspy.InputField()), field: (declared, dspy.OutputField())}, "Is it?")
    )
    program.lm = lm
    ledger = Ledger(Journal())
    optimiser = LbTExemplars(metric=metric, exam_students=[lm], ledger=ledger, label_field=field, **SMALL)
    try:
        rounds = optimiser.optimize(program, trainset=examples(label, field)).rounds
    except UserError as error:
        return str(error), ledger.journal.sent()
    return [one.score for found in rounds for one in found.beam], ledger.journal.sent()


RIGHT = [  # the declared type, gold labels, the metric, what a model says
    (bool, int, BinaryF1("1", ("0", "1")), str),
    (bool, lambda y: str(int(y)), BinaryF1("1", ("0", "1")), lambda y: str(y).lower()),
    (bool, bool, Accuracy(("False", "True")), str),
    (bool, bool, Accuracy((False, True)), str),
    (bool, lambda y: str(y).lower(), Accuracy(("false", "true")), str),
    (Verdict, verdict, BinaryF1(Verdict.YES, Verdict), name_of),
    (Verdict, verdict, BinaryF1("YES", ("YES", "NO")), name_of),
    (Verdict, name_of, BinaryF1("spam", ("spam", "ham")), name_of),
    (int, lambda y: 5.0 if y else 1.0, MacroF1(("1", "5")), lambda y: "5" if y else "1"),
    (float, lambda y: 5 if y else 1, MacroF1((1, 5)), lambda y: "5.0" if y else "1.0"),
    (Literal[1, 5], lambda y: "5" if y else "1", MacroF1(("1", "5")), lambda y: "5" if y else "1"),
    (str, lambda y: "yes" if y else "no", BinaryF1("Yes", ("Yes", "No")), lambda y: "Yes" if y else "No"),
    (str, lambda y: "yes" if y else "no", BinaryF1("Yes", ("Yes", "No")), lambda y: "yes" if y else "no"),
]


@pytest.mark.parametrize(("declared", "label", "metric", "said"), RIGHT)
def test_who_is_always_right_has_all_points(declared, label, metric, said):
    scores, asked = search(declared, label, metric, said)
    assert set(scores) == {1.0}
    assert asked > 0


WRONG = [
    (str, int, Accuracy(("0", "1")), str),  # "True" is another text than "1"
    (bool, int, Accuracy(("0", "1")), lambda y: str(not y)),
    (Verdict, verdict, Accuracy(Verdict), lambda y: "ham" if y else "spam"),
    (float, lambda y: 5 if y else 1, Accuracy((1, 5)), lambda y: "5.5" if y else "1.5"),
]


@pytest.mark.parametrize(("declared", "label", "metric", "said"), WRONG)
def test_who_is_always_wrong_has_none(declared, label, metric, said):
    assert set(search(declared, label, metric, said)[0]) == {0.0}


UNKNOWN = [
    (
        str,
        lambda y: "ja" if y else "nein",
        BinaryF1("Yes", ("Yes", "No")),
        "trainset: example 1: the reference label 'nein'",
    ),
    (Verdict, verdict, Accuracy(("1", "0")), "the reference label 'ham' is none of the metric's: 1, 0"),
    (bool, bool, Accuracy(("spam", "ham")), "the reference label 'False'"),
    (str, lambda y: "Yes" if y else "No", MacroF1(("Yes", "Maybe")), "give it all labels, or correct the example"),
    (str, lambda y: None if y else "No", Accuracy(("Yes", "No")), "example 2: the reference label 'None'"),
    (str, lambda y: "Yes" if y else "No", Accuracy(("Yes", "No"), "verdict"), "the metric reads the field 'verdict'"),
]


@pytest.mark.parametrize(("declared", "label", "metric", "says"), UNKNOWN)
def test_a_label_that_the_metric_does_not_know_is_told_before_any_call(declared, label, metric, says):
    told, asked = search(declared, label, metric, str)
    assert asked == 0
    assert says in told


def test_examples_of_validation_are_looked_at_too():
    lm = scripted_lm(lambda inputs, lessons, seed: {"label": "Yes"})
    program = dspy.Predict(classification("Is it?", ("Yes", "No")))
    program.lm = lm
    optimiser = LbTExemplars(metric=Accuracy(("Yes", "No")), exam_students=[lm], **SMALL)
    valset = [*examples(lambda y: "Yes"), dspy.Example(text="last", label="?").with_inputs("text")]
    with pytest.raises(UserError, match=r"valset: example 17: the reference label '\?'"):
        optimiser.compile(program, trainset=examples(lambda y: "Yes" if y else "No"), valset=valset)


def test_the_default_metric_of_values():
    assert default_metric([True, False, False]).positive == "True"
    assert default_metric([Verdict.YES, Verdict.NO, Verdict.NO]).positive == "spam"
    assert default_metric([Verdict.YES, Verdict.NO], positive=Verdict.NO).labels == ("ham", "spam")
    assert default_metric([1, 2, 3]).labels == ("1", "2", "3")


def test_expected_scores_take_golds_of_any_kind():
    metric = Accuracy(("No", "Yes"))
    assert metric.expected([{"label": "yes"}, {"label": "NO"}], [{"Yes": 1.0}, {"No": 0.5}]) == 0.75
    with pytest.raises(UserError, match="reference label 'perhaps'"):
        metric.expected([{"label": "perhaps"}], [{"Yes": 1.0}])
