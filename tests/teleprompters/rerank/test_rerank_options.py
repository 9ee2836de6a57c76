"""M1: options out of bounds, and data that does not fit, are told by name, value, bound and way out."""

import dspy
import pytest
from school import ASK, QUESTIONS, Pupil, asked, program, rerank, teacher

from lbt_dspy import Budget, Ledger, UserError, Variants
from lbt_dspy.lms.engine import lm_of


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rationales": 0}, "rationales must be a whole number of at least 1 but got 0; it is the number"),
        ({"rationales": 70000}, "rationales must be at most 65536 but got 70000; "),
        ({"rationales": True}, "rationales must be a whole number of at least 1 but got True"),
        ({"rationales": 2.0}, "rationales must be a whole number of at least 1 but got 2.0"),
        ({"sittings": 0}, "sittings must be a whole number of at least 1 but got 0; "),
        ({"in_flight": 0}, "in_flight must be a whole number of at least 1 but got 0; "),
        ({"seed": -1}, "seed must be a whole number of at least 0 but got -1; "),
        ({"seed": None}, "seed must be a whole number of at least 0 but got None; "),
        ({"gate": 1}, "gate must be a whole number of at least 2 but got 1; leave it out"),
        ({"temperature": -0.1}, "temperature must be at least 0 but got -0.1; "),
        ({"temperature": float("nan")}, "temperature must be at least 0 but got nan; "),
        ({"temperature": "hot"}, "temperature must be at least 0 but got 'hot'; "),
        ({"delta": 1.0}, "delta must be at least 0 and less than 0.5 but got 1.0; "),
        ({"delta": -0.1}, "delta must be at least 0 and less than 0.5 but got -0.1; "),
        ({"selection": "best"}, "selection must be one of sum, max, avg, maj but got 'best'"),
        ({"schedule": "lazy"}, "schedule must be one of full, lossless, confident but got 'lazy'"),
        ({"schedule": "confident", "selection": "max"}, "is for selection sum or avg but got 'max'; take lossless"),
        ({"exam": None}, "selection 'sum' needs exam= and exam_students=; 'maj' needs none"),
        ({"exam": QUESTIONS}, r"exam must be an exam maker but got dict; make one of a bank, e.g. Nearest\(bank\)"),
        ({"exam_students": []}, "selection 'sum' needs exam= and exam_students=; 'maj' needs none"),
        ({"exam_students": "embedded/words"}, r"exam_students must be a list but got 'embedded/words'; "),
        ({"exam_students": [3]}, "exam_students must be dspy.LM objects or names but one is 3; "),
        ({"exam_students": ["a", "a"]}, "exam_students must be different but are a, a; "),
        ({"ledger": Ledger(), "budget": Budget(1)}, "budget does not go with ledger"),
    ],
)  # fmt: skip
def test_options_out_of_bounds(options, message):
    with pytest.raises(UserError, match=message):
        rerank(**options)


def test_a_students_wrong_name_is_told_before_any_call():
    lm = teacher(QUESTIONS)
    with pytest.raises(UserError, match=r"unknown model 'embedded/wrods'.*did you mean 'embedded/words'"):
        rerank(exam_students=["embedded/wrods"]).compile(program(lm))(question=ASK[0])
    assert asked(lm) == []


def test_inputs_have_names():
    with pytest.raises(UserError, match=r"give its inputs by name, e.g. program\(question=...\)"):
        rerank().compile(program(teacher(QUESTIONS)))(ASK[0])


def test_a_name_that_the_reranked_program_adds_is_refused():
    with pytest.raises(UserError, match="output field 'votes', a name that the reranked program adds"):
        rerank().compile(dspy.Predict("question -> votes"))


def test_a_bank_without_an_input_or_the_answer_is_the_users_mistake():
    both = dspy.ChainOfThought("question, context -> answer")
    both.set_lm(lm_of(Pupil("school/t", lambda inputs, lessons, seed: {"answer": str(seed % 2), "reasoning": "-"})))
    with pytest.raises(UserError, match=r"'E0: and this\?'.*has no .*'context'"):
        rerank().compile(both)(question="Q", context="C")
    bank = [dspy.Example(question="E", result="ok", unique_id="x").with_inputs("question")]
    with pytest.raises(UserError, match=r"has no .*'answer'"):
        rerank(exam=Variants(bank)).compile(program())(question=ASK[0], unique_id="x")
