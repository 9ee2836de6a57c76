"""Lessons whose own answer fails a check that needs no label are set aside before the exam."""

import dspy
import pytest

from lbt_dspy import ExactMatch, Fixed, LbTRerank
from lbt_dspy.errors import UserError
from lbt_dspy.teleprompters.rerank.screening import fields_of, passing
from lbt_dspy.testing import scripted_lm
from lbt_dspy.types import Mark

BANK = [dspy.Example(question="15 + 27", answer="42").with_inputs("question")]


class EndsIn:
    """Passes answers that end in the digit which the question shows; half a mark for the other even ones."""

    field, reference = "answer", "last_digit"

    def grade(self, expected, output):
        if output["answer"] == "?":
            return Mark(value=None, reason="cannot be tried")
        right = output["answer"].endswith(expected.last_digit)
        return Mark(value=1.0 if right else 0.5 if int(output["answer"]) % 2 == 0 else 0.0)

    def key(self, output):
        return output["answer"]


def program(answers):
    def teach(inputs, lessons, seed):
        assert "last_digit" not in inputs
        return {"reasoning": f"way {seed % len(answers)}", "answer": answers[seed % len(answers)]}

    made = dspy.ChainOfThought("question -> answer")
    made.set_lm(scripted_lm(teach, "teacher"))
    return made


def reranked(answers, **options):
    student = scripted_lm(lambda inputs, lessons, seed: {"reasoning": "so", "answer": "42"}, "student")
    options = {"exam": Fixed(BANK), "exam_students": [student], "rationales": 16, "schedule": "full", **options}
    return LbTRerank(**options).compile(program(answers))


def test_only_lessons_that_pass_are_examined_and_counted():
    found = reranked(["31", "21", "32"], screen=EndsIn())(question="13 + 18", last_digit="2")
    assert found.answer == "32"
    assert {lesson.answer for lesson in found.lessons} == {"32"}
    assert found.exam.screened == 16 - len(found.lessons) > 0
    assert found.exam.lost == 0


@pytest.mark.parametrize("shown", [{"last_digit": "7"}, {"last_digit": ""}, {}])
def test_where_none_passes_or_nothing_is_shown_all_stay(shown):
    found = reranked(["31", "21", "32"], screen=EndsIn())(question="13 + 18", **shown)
    assert len(found.lessons) == 16
    assert found.exam.screened == 0


def test_votes_are_screened_too():
    found = reranked(["31", "31", "32"], screen=EndsIn(), selection="maj", exam=None)(
        question="13 + 18", last_digit="2"
    )
    assert set(found.votes) == {"32"}


def test_what_cannot_be_tried_does_not_pass():
    found = reranked(["31", "?"], screen=EndsIn())(question="13 + 18", last_digit="1")
    assert set(found.votes) == {"31"}


def test_a_program_of_ones_own_that_takes_anything_is_given_what_the_screen_reads():
    class Open(dspy.Module):
        def __init__(self):
            super().__init__()
            self.solve = dspy.Predict("question -> answer")

        def forward(self, **inputs):
            seen.append(sorted(inputs))
            return self.solve(question=inputs["question"])

    seen = []
    given = Open()
    given.set_lm(scripted_lm(lambda *_: {"answer": "31"}, "teacher"))
    options = {"screen": EndsIn(), "selection": "maj", "rationales": 2}
    LbTRerank(**options).compile(given)(question="13 + 18", last_digit="1")
    assert seen == [["last_digit", "question"]] * 2


def test_the_first_that_passes_or_else_the_best():
    class Lesson:
        def __init__(self, answer):
            self.prediction = {"answer": answer}

    lessons = [Lesson(answer) for answer in ("31", "22", "12", "45")]
    for shown, chosen in (("2", [1]), ("1", [0]), ("5", [3]), ("9", [1])):
        found = passing(lessons, dspy.Example(last_digit=shown), EndsIn(), only_first=True)
        assert found == [lessons[i] for i in chosen]
    assert passing([], dspy.Example(last_digit="2"), EndsIn(), only_first=True) == []


def test_fields_of_a_screen():
    assert fields_of(None) == ()
    assert fields_of(ExactMatch("label")) == ("label",)


def test_a_screen_that_is_none_is_refused():
    with pytest.raises(UserError, match="screen must be a grader but got function"):
        LbTRerank(selection="maj", screen=lambda *_: True)
