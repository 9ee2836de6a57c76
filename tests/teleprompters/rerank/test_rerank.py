"""M1: the contract of every teleprompter, what is sampled and examined, and that the choice is what selection says."""

import asyncio
import functools
import json

import dspy
import pytest
from conftest import slow
from school import ASK, EXAM, QUESTIONS, asked, expected_choice, program, rerank, student, teacher

from lbt_dspy import (
    Budget,
    BudgetSpentError,
    Journal,
    LbTError,
    Ledger,
    Mark,
    UserError,
    Variants,
)
from lbt_dspy.ledger import payment


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(payment, "FIRST_WAIT", 0.0005)


def outcome(prediction):
    """All that a prediction says, as plain data."""
    return json.loads(json.dumps({k: prediction[k] for k in prediction.keys()}, default=str))


NAMES = ("school/ann", "school/ben")


def two_students(fails):
    return [student(NAMES[0], fails=fails), student(NAMES[1], right=0.6, wrong=0.5, fails=fails)]


def read_of(lesson, question):
    return json.dumps([question, lesson["reasoning"], lesson["answer"]])


@functools.cache
def marks_of_full_exams(fails):
    """For each question: by (lesson, student), the marks of (exam problem, sitting) in the full exam."""
    students = two_students(fails)
    full = rerank(exam_students=students, schedule="full", ledger=Ledger(retries=0)).compile(program())
    found = {}
    for question in ASK:
        recorded = found[question] = {}
        before = [len(asked(lm)) for lm in students]
        full(question=question)
        for name, lm, start in zip(NAMES, students, before, strict=True):
            for inputs, lessons, seed, said in asked(lm)[start:]:
                mark = None if isinstance(said, Exception) else said["answer"] == "ok"
                read = read_of(lessons[-1], lessons[-1]["question"])
                recorded.setdefault((read, name), {})[inputs["question"], seed] = mark
    return found


@pytest.mark.parametrize("schedule", ["lossless", *slow("full")])
@pytest.mark.parametrize("rule", ["sum", "max", "avg", "maj"])
@pytest.mark.parametrize("fails", [0.4, *slow(0.0)])
def test_the_choice_is_what_selection_says_on_the_marks(schedule, rule, fails):
    options = {"exam_students": two_students(fails), "schedule": schedule, "selection": rule}
    chosen = rerank(**options, ledger=Ledger(retries=0)).compile(program())
    for question, recorded in marks_of_full_exams(fails).items():
        found = chosen(question=question)
        lessons = []
        for record in found.lessons:
            read = read_of(record.lesson, question)
            marks = {name: list(recorded[read, name].values()) for name in NAMES}
            assert all(len(own) == 3 * 2 for own in marks.values())
            lessons.append((record.answer.casefold(), marks))
        assert found.answer.casefold() == expected_choice(rule, lessons, NAMES)


def test_a_prediction_tells_how_it_came_about():
    found = rerank(schedule="full").compile(program())(question=ASK[0])
    assert found.reasoning.endswith(found.answer)
    assert [r.rollout for r in found.lessons] == list(range(12))
    assert sum(found.votes.values()) == 12
    assert list(found.votes.values()) == sorted(found.votes.values(), reverse=True)
    scores = [r.score for r in found.lessons if r.answer.casefold() == found.answer.casefold()]
    assert found.lbt_score == max(scores)
    assert {r.group for r in found.lessons} == set(range(len(found.votes)))
    distinct = len({json.dumps(r.lesson) for r in found.lessons})
    assert found.exam.sittings == found.exam.asked == found.exam.measured == distinct * 3 * 2
    assert (found.exam.problems, found.exam.students, found.exam.coverage) == (3, ("school/ann",), 1.0)
    assert found.exam.overturned == (found.answer.casefold() != next(iter(found.votes)).casefold())


def test_right_lessons_win_over_the_majority():
    by_rule = {
        rule: [rerank(selection=rule).compile(program())(question=q).answer.casefold()[:5] for q in ASK]
        for rule in ("maj", "sum")
    }
    assert by_rule["sum"].count("right") > by_rule["maj"].count("right") + 1


def test_answers_are_grouped_by_the_graders_equivalence():
    found = rerank(schedule="full").compile(program())(question=ASK[1])
    written = {r.answer for r in found.lessons}
    assert {"right1", "RIGHT1"} <= written
    assert len({r.group for r in found.lessons if r.answer.casefold() == "right1"}) == 1


def test_answers_without_a_key_are_the_same_as_no_other():
    """An unreadable formula has key None: it must not win by numbers, and each of them is one vote."""

    class Numbers:
        field = "answer"

        def key(self, output):
            return output["answer"] if output["answer"].startswith("r") else None

        def grade(self, expected, output):
            return Mark(value=float(output["answer"] == expected.answer))

    lm = teacher({"Q": ["hm"] * 4 + ["right"]})
    found = rerank(selection="maj", grader=Numbers(), rationales=30).compile(program(lm))(question="Q")
    unread = sum(r.answer == "hm" for r in found.lessons)
    assert unread > 15
    assert found.answer == "right"
    assert len({r.group for r in found.lessons}) == unread + 1
    assert found.votes == {"hm": unread, "right": 30 - unread}


def test_one_answer_costs_no_sitting_and_one_lesson_is_enough():
    ann, lm = student(), teacher({"Q": ["right"]})
    found = rerank(exam_students=[ann]).compile(program(lm))(question="Q")
    assert (found.answer, found.lbt_score, found.exam.asked, asked(ann)) == ("right", None, 0, [])
    assert rerank(rationales=1).compile(program(lm))(question="Q").answer == "right"
    full = rerank(rationales=1, schedule="full").compile(program(lm))(question="Q")
    assert full.exam.measured == 3 * 2
    assert full.lbt_score is not None


def test_identical_lessons_share_their_sittings():
    ann = student()
    found = rerank(exam_students=[ann], rationales=40, schedule="full").compile(program())(question=ASK[0])
    distinct = {json.dumps(r.lesson) for r in found.lessons}
    assert len(distinct) < 40
    assert len(asked(ann)) == len(distinct) * 3 * 2
    assert len({json.dumps([lessons, inputs, seed]) for inputs, lessons, seed, _ in asked(ann)}) == len(asked(ann))
    by_text = {}
    for record in found.lessons:
        assert by_text.setdefault(json.dumps(record.lesson), record.score) == record.score


@pytest.mark.parametrize(
    ("answers", "gate", "sampled"),
    [(["right"], 5, 5), (["right", "wrong"], 5, 12), (["right"], 50, 12)],
)
def test_the_gate_stops_when_the_first_lessons_agree(answers, gate, sampled):
    lm = teacher({"Q": answers})
    found = rerank(gate=gate).compile(program(lm))(question="Q")
    assert len(found.lessons) == sampled == len(asked(lm))


def test_each_lesson_has_a_seed_and_the_temperature_that_was_asked_for():
    lm = teacher(QUESTIONS)
    rerank(temperature=0.9).compile(program(lm))(question=ASK[0])
    assert {c.temperature for c in lm.engine.configs} == {0.9}
    assert len({c.seed for c in lm.engine.configs}) == len(asked(lm)) == 12


@pytest.mark.parametrize("workers", [16, *slow(1)])
def test_same_seed_same_result_whatever_the_workers_and_nothing_is_kept(workers):
    optimizer = rerank(ledger=Ledger(workers=workers), seed=0)
    given = program()
    before = given.dump_state()
    compiled = optimizer.compile(given)
    first = [outcome(compiled(question=q)) for q in ASK]
    assert [outcome(compiled(question=q)) for q in reversed(ASK)] == first[::-1]
    assert [outcome(rerank().compile(program())(question=q)) for q in ASK] == first
    assert [outcome(rerank(seed=1).compile(program())(question=q)) for q in ASK] != first
    assert given.dump_state() == before


def test_nothing_is_asked_twice():
    ann, lm = student(), teacher(QUESTIONS)
    compiled = rerank(exam_students=[ann]).compile(program(lm))
    compiled(question=ASK[0])
    paid = len(asked(ann)), len(asked(lm))
    compiled(question=ASK[0])
    compiled.deepcopy()(question=ASK[0])
    assert (len(asked(ann)), len(asked(lm))) == paid


def test_many_questions_at_once_and_async_give_the_same():
    one = rerank().compile(program())
    expected = [outcome(one(question=q)) for q in ASK]
    many = rerank().compile(program())

    async def gather():
        return await asyncio.gather(*(many.acall(question=q) for q in ASK))

    assert [outcome(p) for p in asyncio.run(gather())] == expected
    parallel = dspy.Parallel(num_threads=4, disable_progress_bar=True)
    compiled = rerank().compile(program())
    found = parallel([(compiled, dspy.Example(question=q).with_inputs("question")) for q in ASK])
    assert [outcome(p) for p in found] == expected


def test_failed_sittings_are_not_measured_and_never_zero():
    ann = student(right=1.0, wrong=1.0, fails=0.5)
    found = rerank(exam_students=[ann], schedule="full", ledger=Ledger(retries=0)).compile(program())(question=ASK[0])
    assert 0 < found.exam.coverage < 1
    assert {r.score for r in found.lessons} <= {1.0, None}


def test_failed_samples_are_lessons_fewer():
    found = rerank(ledger=Ledger(retries=0)).compile(program(teacher(QUESTIONS, fails=0.5)))(question=ASK[0])
    assert 0 < found.exam.lost == 12 - len(found.lessons) < 12
    with pytest.raises(LbTError):
        rerank(ledger=Ledger(retries=0), rationales=3).compile(program(teacher(QUESTIONS, fails=1.0)))(question=ASK[0])


def test_without_exam_problems_the_majority_decides():
    bank = [dspy.Example(question="E", answer="ok", unique_id="x").with_inputs("question")]
    ann = student()
    found = rerank(exam=Variants(bank), exam_students=[ann]).compile(program())(question=ASK[0], unique_id="y")
    plain = rerank(selection="maj", exam=None, exam_students=[]).compile(program())(question=ASK[0])
    assert (found.answer, found.votes) == (plain.answer, plain.votes)
    assert (found.exam.problems, found.lbt_score, asked(ann)) == (0, None, [])


def test_what_only_the_maker_asks_for_is_passed_or_known():
    bank = [e.copy(unique_id="x") for e in EXAM]
    lm = teacher(QUESTIONS)
    compiled = rerank(exam=Variants(bank)).compile(program(lm))
    found = compiled(question=ASK[0], unique_id="x")
    assert all(set(r.lesson) == {"question", "reasoning", "answer"} for r in found.lessons)
    known = [dspy.Example(question=ASK[0], unique_id="x").with_inputs("question")]
    assert outcome(rerank(exam=Variants(bank, teaching=known)).compile(program())(question=ASK[0])) == outcome(found)
    paid = len(asked(lm))
    with pytest.raises(UserError, match=r"call the program with unique_id=.* or give .* teaching="):
        compiled(question=ASK[1])
    with pytest.raises(UserError, match="without inputs"):
        compiled()
    assert len(asked(lm)) == paid


def test_a_budget_is_a_gate_and_a_larger_one_goes_on(tmp_path):
    whole = rerank(schedule="full", ledger=Ledger(workers=4))
    expected = outcome(whole.compile(program())(question=ASK[0]))
    sent = whole.ledger.journal.sent()
    ann, lm = student(), teacher(QUESTIONS)
    for most in (5, 12, 20, sent - 1):
        ledger = Ledger(Journal(tmp_path / "j"), Budget(max_calls=most), workers=4)
        with pytest.raises(BudgetSpentError, match=f"budget of {most} calls is spent"):
            rerank(exam_students=[ann], schedule="full", ledger=ledger).compile(program(lm))(question=ASK[0])
        ledger.close()
        assert len(asked(ann)) + len(asked(lm)) == most
    ledger = Ledger(Journal(tmp_path / "j"), Budget(max_calls=sent), workers=4)
    found = rerank(exam_students=[ann], schedule="full", ledger=ledger).compile(program(lm))(question=ASK[0])
    assert outcome(found) == expected
    assert len(asked(ann)) + len(asked(lm)) == sent


def test_a_budget_of_its_own_limits_all_calls_of_the_program():
    ann, lm = student(), teacher(QUESTIONS)
    compiled = rerank(exam_students=[ann], schedule="full", budget=Budget(max_calls=90)).compile(program(lm))
    first = compiled(question=ASK[0])
    for _ in range(2):
        with pytest.raises(BudgetSpentError):
            compiled(question=ASK[1])
    assert len(asked(ann)) + len(asked(lm)) == 90
    assert outcome(compiled(question=ASK[0])) == outcome(first)  # paid for
