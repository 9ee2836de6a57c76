"""Plans of calls: made before any call, and never exceeded."""

import dspy
import pytest

from lbt_dspy import Fixed, LbTExemplars, LbTRerank, Ledger
from lbt_dspy.ledger.plan import CallPlan, PlannedCalls
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.metrics import Accuracy
from lbt_dspy.testing import scripted_lm

BANK = [dspy.Example(question=f"{n} + {n}", answer=str(2 * n)).with_inputs("question") for n in range(3)]
QUESTIONS = [dspy.Example(question=f"{n} + 7").with_inputs("question") for n in range(2)]


def planned(role, lm, calls, likely, worst):
    return PlannedCalls(role=role, lm=lm, calls=calls, likely_cost=likely, worst_cost=worst)


def test_costs_add_up_and_an_unknown_price_is_unknown():
    plan = CallPlan([planned("teacher", "a", 10, 0.5, 2.0), planned("students", "b", 4, 0.25, 1.0)])
    assert (plan.calls, plan.likely_cost, plan.worst_cost(), plan.worst_cost(2)) == (14, 6.0, 24.0, 72.0)
    unknown = CallPlan([*plan.rows, planned("students", "c", 1, None, None)])
    assert (unknown.calls, unknown.likely_cost, unknown.worst_cost()) == (15, None, None)
    assert CallPlan([planned("students", "c", 0, None, None)]).worst_cost() == 0


@pytest.mark.parametrize("options", [{}, {"search": "beam", "beam": 2}, {"selection": "students"}, {"rounds": 0}])
def test_a_search_makes_at_most_what_is_planned(program, examples, options):
    program.set_lm(embedded_lm("embedded/teacher"))
    students = [embedded_lm("embedded/words"), embedded_lm("embedded/bayes")]
    ledger = Ledger()
    options = {"exemplars": 4, "rounds": 2, "minibatch": 8, "reflections": 2, "draw": 5, **options}
    if options.get("search") == "beam":
        del options["draw"]
    optimizer = LbTExemplars(metric=Accuracy(("Yes", "No")), exam_students=students, ledger=ledger, **options)
    plan = optimizer.plan(program, trainset=examples)
    assert ledger.journal.sent() == 0
    optimizer.compile(program, trainset=examples)
    made = ledger.journal.calls()
    assert {(row.role, row.lm): row.calls for row in plan.rows}.keys() >= made.keys()
    assert all(made.get((row.role, row.lm), 0) <= row.calls for row in plan.rows)
    assert plan.likely_cost == 0


@pytest.mark.parametrize("options", [{}, {"schedule": "full"}, {"selection": "maj", "exam": None}])
def test_questions_are_answered_with_at_most_what_is_planned(options):
    teacher = scripted_lm(lambda inputs, lessons, seed: {"reasoning": f"{seed}", "answer": str(seed % 3)}, "teacher")
    student = scripted_lm(lambda inputs, lessons, seed: {"reasoning": "so", "answer": lessons[-1]["answer"]}, "student")
    program = dspy.ChainOfThought("question -> answer")
    program.set_lm(teacher)
    ledger = Ledger()
    options = {"exam": Fixed(BANK), "exam_students": [student], "rationales": 5, "ledger": ledger, **options}
    reranked = LbTRerank(**options).compile(program)
    plan = reranked.plan(QUESTIONS)
    assert ledger.journal.sent() == 0
    assert plan.rows[0].calls == 2 * 5
    for question in QUESTIONS:
        reranked(**question.inputs())
    made = ledger.journal.calls()
    assert all(made.get((row.role, row.lm), 0) <= row.calls for row in plan.rows)
    if options.get("schedule") == "full":
        assert plan.rows[1].calls == 2 * 5 * 3 * 3
        assert sum(made.values()) == plan.calls
    assert reranked.plan([]).calls == 0
