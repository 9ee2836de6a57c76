"""Log-probabilities: from the reply's tokens to the likelihood of the right label."""

import math

import pytest

from lbt_dspy import LbTExemplars, Ledger, UserError
from lbt_dspy.benchmarks.tasks.classification.data import load_data
from lbt_dspy.exam.likelihood import FLOOR, label_probabilities, log_likelihood
from lbt_dspy.ledger.journal import Journal
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.lms.logprobs import decode, encode
from lbt_dspy.metrics import BinaryF1

YES_NO = ("Yes", "No")
FALLACIES = ("ad hominem", "ad populum", "false cause")


def reply(token, probability, rest="", **others):
    top = {text.replace("_", " "): math.log(p) for text, p in others.items()}
    return encode([("[[ ## label ## ]]\n", 0.0, {}), (token, math.log(probability), top), (rest, 0.0, {})])


LIKELIHOODS = [
    (reply("Yes", 0.7, No=0.2), "Yes", "Yes", YES_NO, 0.7),
    (reply("Yes", 0.7, No=0.2), "Yes", "No", YES_NO, 0.2),
    (reply("Yes", 0.7, No=0.2, _no=0.05), "Yes", "No", YES_NO, 0.25),  # other spellings of a label count for it
    (reply("Yes", 0.7, Yes=0.7, No=0.2), "Yes", "Yes", YES_NO, 0.7),  # the chosen token may be listed again
    (reply("Yes", 0.9), "Yes", "No", YES_NO, 0.1),  # not listed: what is left over
    (reply("Yes", 0.6, Maybe=0.02), "Yes", "No", YES_NO, 0.02),  # not listed: no likelier than the last one listed
    (reply("Yes", 1.0), "Yes", "No", YES_NO, 0.001),  # the floor
    (reply("ad", 0.8, " hominem", false=0.15), "ad hominem", "false cause", FALLACIES, 0.15),
    (
        reply("ad", 0.8, " hominem", false=0.15),
        "ad hominem",
        "ad hominem",
        FALLACIES,
        0.8,
    ),  # two labels begin so: the answered one
    (reply(' "Yes', 0.7, No=0.2), "Yes", "Yes", YES_NO, 0.7),  # quotes and spaces around a label
    (reply("yes", 0.7, no=0.2), "Yes", "Yes", YES_NO, 0.7),
    (reply("D", 0.5, "\n\n[[ ## completed ## ]]", E=0.4), "D", "E", ("D", "E"), 0.4),  # not the d of completed
]


@pytest.mark.parametrize(("logprobs", "answer", "expected", "labels", "likelihood"), LIKELIHOODS)
def test_the_likelihood_of_the_right_label(logprobs, answer, expected, labels, likelihood):
    probabilities = label_probabilities(logprobs, answer, labels)
    assert 0 < sum(probabilities.values()) <= 1 + 1e-9
    found = log_likelihood(probabilities, expected)
    assert found == pytest.approx(max(FLOOR, math.log(likelihood)), abs=2e-3)


def test_an_answer_that_is_not_in_the_tokens_has_no_likelihood():
    assert label_probabilities(reply("Perhaps", 0.7), "Yes", YES_NO) is None


def test_encoding_keeps_four_digits():
    assert decode(encode([("a\u05d0 ", -0.12345, {"b": -2.0}), ("", 0.0, {})])) == [
        ("a\u05d0 ", pytest.approx(-0.12345, abs=6e-5), {"b": -2.0}),
        ("", 0.0, {}),
    ]


@pytest.fixture(scope="module")
def task():
    data = load_data("fallacy", None, ())
    program = data.task.program()
    program.lm = embedded_lm("embedded/teacher")
    return data, program


def test_sets_are_scored_by_likelihood_and_resumed_from_the_journal(task, tmp_path):
    data, program = task
    found = []
    for _ in range(2):
        ledger = Ledger(Journal(tmp_path / "j"))
        optimizer = LbTExemplars(
            metric=BinaryF1("Yes", YES_NO), exam_students=[program.lm], rounds=1, exemplars=4, reflections=1,
            selection_examples=40, evaluations=400, minibatch=8, scoring="likelihood", ledger=ledger,
        )  # fmt: skip
        found.append(optimizer.optimize(program, trainset=data.train))
        sent = ledger.journal.sent()
        ledger.close()
    assert [r.as_dict() for r in found[0].rounds] == [r.as_dict() for r in found[1].rounds]
    assert sent == sum(found[0].calls.values())
    scores = [s.score for r in found[0].rounds for s in r.scored]
    assert all(FLOOR <= score < 0 for score in scores)
    assert len(set(scores)) > 5
    assert all(s.variance >= 0 for r in found[0].rounds for s in r.scored)


def test_a_model_without_log_probabilities_is_refused_before_any_call(task):
    data, program = task
    engine = type("Mute", (type(program.lm.engine),), {"gives_logprobs": False})()
    from lbt_dspy.lms.engine import lm_of

    mute = data.task.program()
    mute.lm = lm_of(engine)
    ledger = Ledger()
    optimizer = LbTExemplars(
        metric=BinaryF1("Yes", YES_NO), exam_students=[mute.lm], scoring="likelihood", ledger=ledger
    )
    with pytest.raises(UserError, match="gives no log-probabilities"):
        optimizer.compile(mute, trainset=data.train)
    assert ledger.journal.sent() == 0


def test_a_server_that_ignores_the_wish_is_an_error_and_not_a_score(task, server):
    from lbt_dspy import LMRoles

    data, _ = task
    with server() as base_url:
        program = data.task.program()
        program.lm = LMRoles().lms([f"hosted_vllm/m@{base_url}"])[0]
        optimizer = LbTExemplars(
            metric=BinaryF1("Yes", YES_NO), exam_students=[program.lm], scoring="likelihood", rounds=1, exemplars=2,
            selection_examples=10, evaluations=30,
        )  # fmt: skip
        with pytest.raises(UserError, match="have no log-probabilities"):
            optimizer.compile(program, trainset=data.train)


def test_an_older_journal_is_read(tmp_path):
    import sqlite3

    db = sqlite3.connect(tmp_path / "old")
    db.execute(
        "CREATE TABLE reply (key BLOB PRIMARY KEY, role TEXT, lm TEXT, text TEXT, reason TEXT, attempts INTEGER, "
        "input_tokens INTEGER, output_tokens INTEGER, cost REAL) WITHOUT ROWID"
    )
    db.execute("INSERT INTO reply VALUES (?, 'teacher', 'm', 'Yes', NULL, 1, 3, 1, 0.0)", (b"k",))
    db.commit()
    db.close()
    assert Journal(tmp_path / "old").replies([b"k"])[b"k"].text == "Yes"
