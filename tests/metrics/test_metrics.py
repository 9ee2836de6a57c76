import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from lbt_dspy import UserError
from lbt_dspy.metrics import (
    Accuracy,
    BinaryF1,
    LabelledRuns,
    MacroF1,
    default_metric,
    paired_bootstrap,
    paired_means,
)  # fmt: skip

LABELS = ("a", "b", "c")
PAIRS = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from((*LABELS, "other", None))), min_size=1, max_size=40)


def as_rows(pairs):
    golds = [{"label": g} for g, _ in pairs]
    return golds, [None if p is None else {"label": p} for _, p in pairs]


@given(PAIRS)
def test_metrics_agree_with_scikit_learn(pairs):
    golds, predictions = as_rows(pairs)
    truth, answers = [g for g, _ in pairs], ["unreadable" if p in (None, "other") else p for _, p in pairs]
    assert Accuracy(LABELS)(golds, predictions) == pytest.approx(accuracy_score(truth, answers))
    for label in LABELS:
        theirs = f1_score(truth, answers, labels=[label], average="macro", zero_division=0)
        assert BinaryF1(label, LABELS)(golds, predictions) == pytest.approx(theirs)
    occurring = sorted(set(truth))  # so that methods with different answers are averaged over the same labels
    theirs = f1_score(truth, answers, labels=occurring, average="macro", zero_division=0)
    assert MacroF1(LABELS)(golds, predictions) == pytest.approx(theirs)


def test_the_positive_label_is_the_rarer_one_unless_given():
    assert default_metric(["Yes", "No", "No"]).positive == "Yes"
    assert default_metric(["Yes", "No", "No"], positive="No").positive == "No"
    assert isinstance(default_metric(["a", "b", "c"]), MacroF1)
    with pytest.raises(UserError, match="maybe"):
        BinaryF1("maybe", ("Yes", "No"))


def test_nothing_to_measure_is_an_error():
    with pytest.raises(UserError, match="at least 1"):
        Accuracy(LABELS)([], [])
    with pytest.raises(UserError, match="'z'"):
        Accuracy(LABELS)([{"label": "z"}], [None])


def runs(*answers):
    return LabelledRuns(answers=answers, measured=[[True] * len(a) for a in answers])


def test_a_method_against_itself_differs_by_nothing():
    golds = list("abcabcab")
    values, differences = paired_bootstrap(golds, {"x": runs(golds), "y": runs(golds)}, Accuracy(LABELS))
    assert (values["x"].value, values["x"].low, values["x"].high) == (1, 1, 1)
    assert (differences["x", "y"].low, differences["x", "y"].high) == (0, 0)


@pytest.mark.slow
def test_intervals_match_a_plain_bootstrap():
    """Against an independent loop over resamples with scikit-learn."""
    rng = np.random.default_rng(0)
    golds = [str(label) for label in rng.choice(["a", "b"], 120)]
    noisy = [[g if rng.random() < share else "a" for g in golds] for share in (0.9, 0.8, 0.6, 0.5)]
    methods = {"good": runs(*noisy[:2]), "bad": runs(*noisy[2:])}
    values, differences = paired_bootstrap(golds, methods, BinaryF1("a", ("a", "b")))

    def f1(answers, rows):
        return f1_score([golds[i] for i in rows], [answers[i] for i in rows], pos_label="a")

    picks = np.random.default_rng(1).integers(0, 120, size=(600, 120))
    good = np.array([np.mean([f1(a, rows) for a in noisy[:2]]) for rows in picks])
    bad = np.array([np.mean([f1(a, rows) for a in noisy[2:]]) for rows in picks])
    assert values["good"].value == pytest.approx(np.mean([f1(a, range(120)) for a in noisy[:2]]))
    for mine, theirs in ((values["good"], good), (differences["good", "bad"], good - bad)):
        assert (mine.low, mine.high) == pytest.approx(tuple(np.percentile(theirs, [2.5, 97.5])), abs=0.015)


def test_unmeasured_examples_count_for_nothing():
    golds = ["a", "b", "a"]
    measured = LabelledRuns(answers=[["a", None, "b"]], measured=[[True, False, True]])
    values, _ = paired_bootstrap(golds, {"x": measured}, Accuracy(LABELS), resamples=50)
    assert values["x"].value == 0.5


@settings(max_examples=20)
@given(PAIRS, st.integers(0, 3))
def test_one_seed_one_interval(pairs, seed):
    golds, answers = [g for g, _ in pairs], [p for _, p in pairs]
    first, again = (
        paired_bootstrap(golds, {"x": runs(answers)}, MacroF1(LABELS), seed=seed, resamples=40) for _ in range(2)
    )
    assert first == again
    assert first[0]["x"].low <= first[0]["x"].high


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=20))
def test_the_expected_metric_of_certain_answers_is_the_metric(cells):
    golds = [{"label": gold} for gold, _ in cells]
    for metric in (MacroF1("abc"), Accuracy("abc"), BinaryF1("a", "abc")):
        certain = metric.expected(golds, [{answer: 1.0} for _, answer in cells])
        assert certain == pytest.approx(metric(golds, [{"label": answer} for _, answer in cells]))


def test_the_expected_metric_moves_with_the_probabilities():
    metric = BinaryF1("Yes", ("Yes", "No"))
    golds = [{"label": "Yes"}, {"label": "No"}]
    values = [metric.expected(golds, [{"Yes": p, "No": 1 - p}, {"Yes": 0.3, "No": 0.7}]) for p in (0.2, 0.5, 0.9)]
    assert values == sorted(values)
    assert values[1] == pytest.approx(2 * 0.5 / (0.5 + 0.3 + 1))
    assert metric.expected(golds, [{"Yes": 0.5}, None]) == pytest.approx(2 * 0.5 / (0.5 + 1))  # the rest is no label


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=20), st.integers(0, 5))
def test_means_of_right_and_wrong_are_accuracies(rows, seed):
    golds = ["a"] * len(rows)
    labelled = {name: runs(["a" if row[i] else "b" for row in rows]) for i, name in enumerate("xy")}
    shares = {name: [[float(row[i]) for row in rows]] for i, name in enumerate("xy")}
    options = {"seed": seed, "resamples": 40}
    assert paired_means(shares, **options) == paired_bootstrap(golds, labelled, Accuracy(("a", "b")), **options)


def test_means_of_shares_are_taken_run_by_run_without_what_was_not_measured():
    values, differences = paired_means({"x": [[0.5, None, 1.0], [0.0, 0.0, 0.3]], "y": [[0.25, 0.25, 0.25]] * 2})
    assert values["x"].by_run == pytest.approx((0.75, 0.1))
    assert values["x"].value == pytest.approx(0.425)
    assert (values["y"].low, values["y"].high) == (0.25, 0.25)
    assert differences["x", "y"].value == pytest.approx(0.175)
    assert differences["x", "y"].low == pytest.approx(values["x"].low - 0.25)
    assert paired_means({"x": [[None, None]]}, resamples=10)[0]["x"].value == 0
    for nothing in ({}, {"x": []}, {"x": [[]]}):
        with pytest.raises(UserError, match="at least one test example"):
            paired_means(nothing)
