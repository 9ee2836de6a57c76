"""One suite for every optimiser; the suite itself is public (`lbt_dspy.testing`), and finds what is broken."""

import dataclasses

import dspy
import pytest
from dspy.teleprompt import Teleprompter

from lbt_dspy import (
    ExactMatch,
    Exam,
    Examiner,
    ExamProblem,
    Fixed,
    LbTDPO,
    LbTExemplars,
    LbTRerank,
    Ledger,
    classification,
)
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.metrics import Accuracy
from lbt_dspy.testing import CHECKS, Case, ContractError, UnscriptedPromptError, check_teleprompter, scripted_lm

WORDS = {"Yes": ("bright", "kind", "calm", "sweet"), "No": ("sour", "dull", "harsh", "stale")}
EXAMPLES = [
    dspy.Example(text=f"A {word} {noun}.", label=label).with_inputs("text")
    for label, words in WORDS.items()
    for word in words
    for noun in ("soup", "day", "song")
]
STUDENTS = ["embedded/words", "embedded/bayes"]


def classifier():
    program = dspy.Predict(classification("Is it good?", ("Yes", "No")))
    program.lm = embedded_lm("embedded/teacher")
    return program


def exemplars(ledger, folder, **options):
    return LbTExemplars(
        metric=Accuracy(("Yes", "No")), exam_students=STUDENTS, exemplars=4, rounds=1, selection_examples=12,
        minibatch=6, beam=2, reflections=1, ledger=ledger, **options,
    )  # fmt: skip


def rerank(ledger, folder):
    return LbTRerank(
        exam_students=STUDENTS, exam=Fixed(EXAMPLES[::5]), grader=ExactMatch("label"), rationales=6, sittings=1,
        ledger=ledger,
    )  # fmt: skip


def dpo(ledger, folder):
    return LbTDPO(
        exam_students=STUDENTS, exam=Fixed(EXAMPLES[::5]), grader=ExactMatch("label"), rationales=6, sittings=1, gap=0,
        weight=1, folder=folder / "pairs", export_only=True, ledger=ledger,
    )  # fmt: skip


CASES = {
    "exemplars": Case(teleprompter=exemplars, program=classifier, trainset=EXAMPLES, asked={"text": "A kind walk."}),
    "exemplars-beam": Case(
        teleprompter=lambda ledger, folder: exemplars(ledger, folder, search="beam", scoring="metric"),
        program=classifier, trainset=EXAMPLES, asked={"text": "A kind walk."},
    ),
    "exemplars-tpe": Case(
        teleprompter=lambda ledger, folder: exemplars(ledger, folder, search="tpe"),
        program=classifier, trainset=EXAMPLES, asked={"text": "A kind walk."},
    ),
    "rerank": Case(
        teleprompter=rerank, program=classifier, trainset=EXAMPLES, asked={"text": "A kind walk."}, loads_compiled=True
    ),
    "dpo": Case(teleprompter=dpo, program=classifier, trainset=EXAMPLES[:6], asked={"text": "A kind walk."}),
}  # fmt: skip


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", CASES)
def test_every_optimiser_holds_the_contract(name, check, tmp_path):
    check(CASES[name], tmp_path)


class Careless(Teleprompter):
    """Changes what it was given, and never gives the same twice."""

    runs = 0

    def compile(self, student, *, trainset, **_):
        Careless.runs += 1
        student.demos = [trainset[Careless.runs]]
        return student


def test_the_suite_finds_what_is_broken(tmp_path):
    broken = dataclasses.replace(CASES["exemplars"], teleprompter=lambda ledger, folder: Careless())
    found = []
    for check in CHECKS:
        (tmp_path / check.__name__).mkdir()
        try:
            check(broken, tmp_path / check.__name__)
        except ContractError:
            found.append(check.__name__)
    assert set(found) >= {"same_seed_same_program", "the_given_program_is_untouched", "resumes_without_a_call"}
    with pytest.raises(ContractError, match="two runs with one seed differ"):
        check_teleprompter(broken, tmp_path / "all")


def test_a_scripted_model_answers_by_prompt_and_says_what_it_does_not_know():
    lm = scripted_lm({"sky": {"answer": "blue"}, "grass": "[[ ## answer ## ]]\ngreen"})
    with dspy.context(lm=lm):
        ask = dspy.Predict("question -> answer")
        assert (ask(question="The grass?").answer, ask(question="The sky?").answer) == ("green", "blue")
        with pytest.raises(dspy.utils.exceptions.LMError, match=r"has no answer to .*sea"):
            ask(question="The sea?")
        with pytest.raises(dspy.utils.exceptions.LMError, match="asks for 'why' too"):
            dspy.Predict("question -> answer, why")(question="The sky?")
    assert [one.inputs["question"] for one in lm.engine.asked] == ["The grass?", "The sky?", "The sky?"]


def test_an_unscripted_prompt_ends_an_exam_too(program):
    """It is no lost call, which would be `None`: the test that forgot it must fail."""
    lm, ledger = scripted_lm({"kind": {"label": "Yes"}}), Ledger()
    examiner = Examiner(program, grader=ExactMatch("label"), ledger=ledger)
    problems = [ExamProblem(example=example) for example in EXAMPLES]
    with pytest.raises(UnscriptedPromptError, match="has no answer"):
        examiner.examine([Exam(material=(), problems=problems)], [lm])
    known = [problem for problem in problems if "kind" in problem.example.text]
    ledger = Ledger(ledger.journal)
    report = Examiner(program, grader=ExactMatch("label"), ledger=ledger).examine(
        [Exam(material=(), problems=known)], [lm]
    )
    assert [row[0].mark.value for row in report[0][0].sittings] == [1.0] * len(known)
