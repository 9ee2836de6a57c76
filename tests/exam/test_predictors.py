"""A program over many rows: each different input once, within the budget, nothing lost."""

import dspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbt_dspy import Budget, BudgetSpentError, Journal, Ledger, Predictor, UserError
from lbt_dspy.testing import scripted_lm


def shouting(asked=None):
    def answer(inputs, lessons, seed):
        if asked is not None:
            asked.append(inputs["question"])
        return "???" if inputs["question"] == "hm" else {"answer": inputs["question"].upper()}

    return scripted_lm(answer)


def rows_of(*questions):
    return [dspy.Example(question=question).with_inputs("question") for question in questions]


def predictor(asked=None, **options):
    return Predictor(dspy.Predict("question -> answer"), shouting(asked), **options)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", "hm"]), max_size=8))
def test_every_row_has_its_answer_and_every_different_input_one_call(questions):
    asked = []
    given = predictor(asked)
    found = given.predict(rows_of(*questions))
    assert [f.fields and f.fields["answer"] for f in found] == [q.upper() if q != "hm" else None for q in questions]
    assert sorted(asked) == sorted(set(questions))
    assert given.calls(rows_of(*questions)) == len(asked)
    assert all(f.measured for f in found)


def test_what_cannot_be_read_says_why():
    (found,) = predictor().predict(rows_of("hm"))
    assert (found.fields, found.measured) == (None, True)
    assert "label" in found.reason or "answer" in found.reason


def test_a_budget_stops_it_and_what_is_known_is_given():
    given = predictor(budget=Budget(max_calls=2))
    rows = rows_of("a", "b", "c", "a")
    with pytest.raises(BudgetSpentError):
        given.predict(rows)
    known = given.known(rows)
    assert sum(f.measured for f in known) >= 2
    assert known[0] == known[3]
    assert [f.reason for f in known if not f.measured] == ["not asked"] * sum(not f.measured for f in known)


def test_a_journal_answers_again(tmp_path):
    answers = []
    for _ in range(2):
        asked = []
        ledger = Ledger(Journal(tmp_path / "journal.sqlite"))
        answers.append(predictor(asked, ledger=ledger).predict(rows_of("a", "b")))
        ledger.close()
    assert answers[0] == answers[1]
    assert asked == []


def test_demonstrations_stay_and_the_program_is_not_changed():
    program = dspy.Predict("question -> answer")
    program.demos = [dspy.Example(question="x", answer="Y")]
    seen = []

    def answer(inputs, lessons, seed):
        seen.append(lessons)
        return {"answer": "z"}

    Predictor(program, scripted_lm(answer)).predict(rows_of("a"))
    assert [[lesson["answer"] for lesson in lessons] for lessons in seen] == [["Y"]]
    assert program.lm is None


def test_a_larger_program_asks_all_of_its_parts():
    class Two(dspy.Module):
        def __init__(self):
            super().__init__()
            self.first = dspy.Predict("question -> hint")
            self.second = dspy.Predict("question, hint -> answer")

        def forward(self, question):
            return self.second(question=question, hint=self.first(question=question).hint)

    program = Two()
    program.first.lm = scripted_lm(lambda inputs, *_: {"hint": inputs["question"] * 2}, "first")
    program.second.lm = scripted_lm(lambda inputs, *_: {"answer": inputs["hint"] + "!"}, "second")
    given = Predictor(program)
    assert given.calls(rows_of("a", "a", "b")) == 4
    assert [f.fields["answer"] for f in given.predict(rows_of("a", "a", "b"))] == ["aa!", "aa!", "bb!"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Predictor(dspy.Module()), "has no predictor that could be asked"),
        (lambda: Predictor(dspy.Predict("question -> answer")), "has no LM"),
        (lambda: predictor(predictor="other"), "no predictor named 'other'"),
        (lambda: predictor().predict([dspy.Example(text="a").with_inputs("text")]), "no input 'question'"),
        (lambda: predictor(ledger=Ledger(), budget=Budget(max_calls=1)), "budget does not go with ledger"),
    ],
)
def test_mistakes_are_one_line(make, message):
    with pytest.raises(UserError, match=message):
        make()
