"""Programs against each other on the same examples."""

import dspy
import pytest

from lbt_dspy import Budget, BudgetSpentError, Ledger, UserError
from lbt_dspy.metrics import Accuracy, BinaryF1, compare_programs
from lbt_dspy.testing import scripted_lm

EXAMPLES = [dspy.Example(text=f"text {n}", label="Yes" if n % 3 == 0 else "No").with_inputs("text") for n in range(30)]


def asked(inputs, lessons, seed):
    n = int(inputs["text"].split()[1])
    if not lessons:
        return {"label": "No"}
    return "?" if n == 29 else {"label": "yes" if n % 3 == 0 else "No"}


def programs():
    plain, taught = dspy.Predict("text -> label"), dspy.Predict("text -> label")
    taught.demos = [dspy.Example(text="text 99", label="Yes")]
    return {"plain": plain, "taught": taught}


def same_label(example, prediction):
    return example.label.casefold() == prediction.label.casefold()


@pytest.mark.parametrize("metric", [same_label, Accuracy(("No", "Yes"))])
def test_values_and_differences(metric):
    found = compare_programs(programs(), EXAMPLES, metric, lm=scripted_lm(asked))
    assert (found.values["plain"].value, found.values["taught"].value) == pytest.approx((20 / 30, 29 / 30))
    change = found.differences["taught", "plain"]
    assert change.value == pytest.approx(9 / 30)
    assert 0 < change.low < change.value < change.high
    assert found.differences["plain", "taught"].value == -change.value
    assert (found.n, found.coverage, found.calls) == (30, {"plain": 1.0, "taught": 1.0}, {"plain": 30, "taught": 30})


def test_f1_is_of_the_set():
    found = compare_programs(programs(), EXAMPLES, BinaryF1("Yes", ("No", "Yes")), lm=scripted_lm(asked))
    assert (found.values["plain"].value, found.values["taught"].value) == (0, 1)


def test_equal_programs_differ_by_nothing_and_are_paid_for_once():
    one = programs()["taught"]
    lm = scripted_lm(asked)
    ledger = Ledger(budget=Budget(max_calls=30))
    found = compare_programs({"a": one, "b": one.deepcopy()}, EXAMPLES, same_label, lm=lm, ledger=ledger)
    assert found.calls == {"a": 30, "b": 30}
    assert ledger.journal.sent() == 30
    change = found.differences["a", "b"]
    assert (change.low, change.value, change.high) == (0, 0, 0)


@pytest.mark.parametrize(
    ("given", "examples", "metric", "message"),
    [
        ({"a": dspy.Predict("text -> label")}, EXAMPLES, same_label, "at least 2 programs but got 1"),
        (programs(), [], same_label, "at least 1 example but got 0"),
        (programs(), [EXAMPLES[0].copy(label="Maybe")], Accuracy(("No", "Yes")), "example 1 has label 'Maybe'"),
    ],
)
def test_mistakes_are_one_line_before_any_call(given, examples, metric, message):
    def none(inputs, lessons, seed):
        raise AssertionError("a call was made")

    with pytest.raises(UserError, match=message):
        compare_programs(given, examples, metric, lm=scripted_lm(none))


def test_a_budget_ends_it():
    with pytest.raises(BudgetSpentError):
        compare_programs(programs(), EXAMPLES, same_label, lm=scripted_lm(asked), budget=Budget(max_calls=7))
