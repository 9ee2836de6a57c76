"""M1 with programs, signatures, adapters and LM settings of every kind; saving."""

import json
from typing import Literal

import dspy
import pytest
from school import ASK, QUESTIONS, Pupil, asked, draw, program, rerank, student, teacher

from lbt_dspy import Budget, ExactMatch, Fixed, Ledger, UserError
from lbt_dspy.errors import NoAnswerError
from lbt_dspy.lms.engine import lm_of


class Pipeline(dspy.Module):
    """Plans, then answers; the plan is drawn by the configured LM."""

    def __init__(self):
        super().__init__()
        self.plan = dspy.Predict("question -> plan")
        self.solve = dspy.ChainOfThought("question, plan -> answer")

    def forward(self, question):
        plan = self.plan(question=question).plan
        return dspy.Prediction(answer=self.solve(question=question, plan=plan).answer, plan=plan)


def thinker(name="school/thinker"):
    """Plans, and answers by the question alone."""

    def answers(inputs, lessons, seed):
        choices = QUESTIONS.get(inputs["question"], ["ok"])
        way = int(draw("way", inputs["question"], seed) * 3)
        answer = choices[int(draw("answer", inputs["question"], seed) * len(choices))]
        return {"plan": f"plan {way}", "reasoning": f"way {way}", "answer": answer}

    return lm_of(Pupil(name, answers))


@pytest.mark.parametrize(
    "named",
    [
        {"grader": ExactMatch("answer")},
        {"answer_field": "answer"},
        {"predictor": "solve.predict"},
        {"predictor": "solve"},
        {},  # exam problems have an answer, and no plan
    ],
)
def test_the_lesson_of_a_pipeline_is_the_text_of_the_predictor_that_answers(named):
    ann, lm = student(), thinker()
    with dspy.context(lm=lm):
        found = rerank(exam_students=[ann], **named).compile(Pipeline())(question=ASK[0])
    assert found.plan.startswith("plan")
    assert all(set(r.lesson) == {"question", "plan", "reasoning", "answer"} for r in found.lessons)
    assert asked(ann)
    assert all("plan" in inputs and len(lessons) == 1 for inputs, lessons, _, _ in asked(ann))
    assert any(inputs["question"].startswith("E0") for inputs, *_ in asked(lm))  # exam problems are planned too


def test_a_lesson_that_could_be_meant_twice_must_be_named():
    class Two(dspy.Module):
        def __init__(self):
            super().__init__()
            self.first = dspy.Predict("question -> answer")
            self.second = dspy.Predict("question -> answer")

    with pytest.raises(UserError, match=r"2 predictors \(first, second\).*name one with predictor="):
        rerank(answer_field="answer").compile(Two())
    with pytest.raises(UserError, match=r"2 predictors \(first, second\).*or its answer with answer_field="):
        rerank().compile(Two())
    with pytest.raises(UserError, match="no predictor named 'third'; known: first, second"):
        rerank(predictor="third").compile(Two())


class Fragile(dspy.Module):
    def __init__(self):
        super().__init__()
        self.solve = dspy.ChainOfThought("question -> answer")

    def forward(self, question):
        found = self.solve(question=question)
        if found.answer.startswith("wrong-a"):
            raise ValueError("no such answer")
        return found


def test_a_program_that_fails_on_some_samples_teaches_with_the_others():
    with dspy.context(lm=teacher(QUESTIONS)):
        found = rerank().compile(Fragile())(question=ASK[0])
    assert 0 < found.exam.lost == 12 - len(found.lessons)
    assert not any(r.answer == "wrong-a" for r in found.lessons)


def test_a_program_that_fails_always_says_why():
    compiled = rerank().compile(Fragile())
    compiled.set_lm(teacher({"Q": ["wrong-a"]}))
    with pytest.raises(NoAnswerError, match="the first: the answer could not be used: ValueError: no such") as caught:
        compiled(question="Q")
    assert caught.value.measured


def test_answers_that_cannot_be_read_are_no_lessons():
    with pytest.raises(NoAnswerError, match="no answer in any of 12 samples; the first: unreadable answer") as caught:
        rerank().compile(program(lm_of(Pupil("school/mumbler", lambda *_: "hm"))))(question=ASK[0])
    assert caught.value.measured
    half = lm_of(
        Pupil("school/half", lambda inputs, lessons, seed: "hm" if seed % 2 else {"answer": "right", "reasoning": "-"})
    )
    found = rerank().compile(program(half))(question=ASK[0])
    assert found.exam.lost == 6


def test_without_an_lm_the_error_says_so():
    with pytest.raises(UserError, match="has no LM"):
        rerank().compile(dspy.Predict("question -> answer"))(question=ASK[0])


class Judge(dspy.Signature):
    """Is it so?"""

    clues: list[str] = dspy.InputField()
    number: int = dspy.InputField()
    label: Literal["Yes", "No"] = dspy.OutputField()


@pytest.mark.parametrize("adapter", [dspy.ChatAdapter(), dspy.JSONAdapter()], ids=["chat", "json"])
def test_typed_fields_and_any_adapter(adapter):
    def says(inputs, lessons, seed):
        return {"label": ("Yes", "No")[seed % 2] if not lessons else lessons[-1]["label"]}

    bank = [dspy.Example(clues=["a", str(i)], number=i, label="No").with_inputs("clues", "number") for i in range(4)]
    lm, ann = lm_of(Pupil("school/judge", says)), lm_of(Pupil("school/ann", says))
    judge = dspy.Predict(Judge)
    judge.lm = lm
    options = {"exam": Fixed(bank), "exam_students": [ann], "rationales": 5, "adapter": adapter}
    found = rerank(**options).compile(judge)(clues=["a", "1"], number=1)
    assert (found.label, found.lbt_score, found.exam.overturned) == ("No", 1.0, True)  # seeds 0, 2, 4 say Yes
    assert found.exam.problems == 3
    assert found.exam.coverage == 1.0
    assert {tuple(inputs) for inputs, *_ in asked(ann)} == {("clues", "number")}


@pytest.mark.parametrize(
    ("own", "option", "temperature"),
    [
        ({}, 0.7, 0.7),
        ({"temperature": 0.2}, 0.7, 0.7),
        ({"temperature": 0.2}, None, 0.2),
        ({"n": 3}, 0.7, 0.7),
        ({"seed": 5}, 0.7, 0.7),  # else all lessons are the same one
        ({"rollout_id": 5}, 0.7, 0.7),
    ],
)
@pytest.mark.parametrize("where", ["lm", "predictor"])
def test_settings_of_lm_and_predictor(own, option, temperature, where):
    lm = teacher(QUESTIONS)
    given = program(lm.copy(**own) if where == "lm" else lm)
    if where == "predictor":
        given.predict.config = dict(own)
    found = rerank(temperature=option).compile(given)(question=ASK[0])
    assert len(found.lessons) == 12 == len(asked(lm))
    assert {c.temperature for c in lm.engine.configs} == {temperature}
    assert len({c.seed for c in lm.engine.configs}) == 12


def test_a_students_own_temperature_stays():
    ann = student()
    rerank(exam_students=[ann.copy(temperature=0.1)]).compile(program())(question=ASK[0])
    assert {c.temperature for c in ann.engine.configs} == {0.1}
    ben = student("school/ben")
    rerank(exam_students=[ben], config={"temperature": 0.4}).compile(program())(question=ASK[0])
    assert {c.temperature for c in ben.engine.configs} == {0.4}


@pytest.mark.parametrize("frozen", [False, True])
def test_a_compiled_program_keeps_its_demonstrations_and_is_saved_with_them(frozen, tmp_path):
    """DSPy's optimisers mark what they return as compiled, and such a part of a larger program is not saved."""
    given, lm = program(), teacher(QUESTIONS)
    given.predict.demos = [dspy.Example(question="D", reasoning="-", answer="right")]
    given._compiled = frozen
    compiled = rerank().compile(given)
    assert [name for name, _ in compiled.named_predictors()] == ["program.predict"]
    expected = compiled(question=ASK[0])
    compiled.set_lm(None)
    compiled.save(tmp_path / "p.json")
    loaded = rerank().compile(program())
    loaded.load(tmp_path / "p.json")
    loaded.set_lm(lm)
    assert loaded(question=ASK[0]).answer == expected.answer
    assert all(len(lessons) == 1 for _, lessons, _, _ in asked(lm))


def test_parts_that_are_frozen_pay_too():
    """Else their calls go round journal and budget."""

    class Outer(dspy.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner
            self.solve = dspy.ChainOfThought("question, plan -> answer")

        def forward(self, question):
            return self.solve(question=question, plan=self.inner(question=question).plan)

    class Planner(dspy.Module):
        def __init__(self):
            super().__init__()
            self.plan = dspy.Predict("question -> plan")

        def forward(self, question):
            return self.plan(question=question)

    wrapped = Planner()
    lm, other = thinker(), thinker("school/other")
    wrapped.set_lm(other)
    wrapped._compiled = True
    ledger = Ledger(budget=Budget(max_calls=1000))
    with dspy.context(lm=lm):
        rerank(ledger=ledger).compile(Outer(wrapped))(question=ASK[0])
    sent = sum(n for (_, name), n in ledger.journal.calls().items() if name == "school/other")
    assert sent == len(asked(other)) > 0


def test_saved_programs_hold_names_and_nothing_secret(tmp_path):
    secret = "sk-quite-secret-1"
    own = dspy.LM("openai/own", api_base="http://user:hunter2@127.0.0.1:9/v1", api_key=secret)
    compiled = rerank(exam_students=[own, "embedded/words"], budget=Budget(max_calls=3)).compile(
        dspy.Predict("question -> answer")
    )
    compiled.save(tmp_path / "p.json")
    compiled.save(tmp_path / "whole", save_program=True)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert secret.encode() not in written
    assert b"hunter2" not in written
    assert json.loads((tmp_path / "p.json").read_text())["exam_students"] == {
        "students": ["openai/own@http://127.0.0.1:9/v1", "embedded/words"]
    }
    loaded = dspy.load(tmp_path / "whole", allow_pickle=True)
    assert loaded.exam_students.names == compiled.exam_students.names


def test_other_optimisers_may_compile_a_reranked_program():
    def metric(gold, pred, trace=None):
        return pred.answer.startswith("right")

    trainset = [dspy.Example(question=q, answer="right").with_inputs("question") for q in ASK[:4]]
    compiled = rerank(rationales=6).compile(program())
    boot = dspy.BootstrapFewShot(metric=metric, max_bootstrapped_demos=2, max_labeled_demos=0)
    with dspy.context(lm=teacher(QUESTIONS)):  # bootstrapping drops the LMs of predictors
        found = boot.compile(compiled, trainset=trainset)
        assert found(question=ASK[5]).exam.problems == 3
    demos = dict(found.named_predictors())["program.predict"].demos
    assert len(demos) == 2
    assert all(d.answer.startswith("right") and d.reasoning for d in demos)
    with pytest.raises(UserError, match="has no LM"):
        found(question=ASK[5])


def test_options_of_one_call_change_that_call_alone():
    compiled = rerank().compile(program())
    by_rule = {rule: compiled.rerank({"question": ASK[0]}, selection=rule) for rule in ("sum", "maj")}
    assert {found.exam.selection for found in by_rule.values()} == {"sum", "maj"}
    assert compiled(question=ASK[0]).exam.selection == "sum"
    for fixed in ("exam_students", "predictor", "answer_field", "ledger", "budget"):
        with pytest.raises(UserError, match=f"{fixed} .*cannot be changed.*compile"):
            compiled.rerank({"question": ASK[0]}, **{fixed: None})
