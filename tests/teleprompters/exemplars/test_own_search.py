"""A search and an evaluator of one's own: functions in the places of names."""

import dspy
import pytest

from lbt_dspy import LbTExemplars, UserError
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.metrics import Accuracy
from lbt_dspy.teleprompters.exemplars.searches.beam import beam_search
from lbt_dspy.teleprompters.exemplars.searches.evaluators import halving

SMALL = {
    "metric": Accuracy(("Yes", "No")), "exam_students": ["embedded/words"], "exemplars": 4, "rounds": 1,
    "selection_examples": 20, "minibatch": 8, "beam": 2, "scoring": "metric",
}  # fmt: skip


@pytest.fixture
def taught(program):
    program.lm = embedded_lm("embedded/teacher")
    return program


def texts(program):
    return [demo.text for demo in program.demos]


def test_a_search_of_ones_own_is_used(taught, examples):
    seen = []

    def mine(task):
        seen.append(len(task.selection.examples))
        return beam_search(task)

    by_name = LbTExemplars(search="beam", **SMALL).compile(taught, trainset=examples)
    by_function = LbTExemplars(search=mine, **SMALL).compile(taught, trainset=examples)
    assert seen == [20]
    assert texts(by_name) == texts(by_function)


def test_an_evaluator_of_ones_own_is_used(taught, examples):
    asked = []

    def mine(score, done, *, keep, examples, evaluations):
        asked.append((keep, examples))
        return halving(score, done, keep=keep, examples=examples, evaluations=evaluations)

    by_name, by_function = (
        LbTExemplars(search="beam", evaluator=evaluator, **SMALL).compile(taught, trainset=examples)
        for evaluator in ("halving", mine)
    )
    assert asked
    assert set(asked) == {(2, 20)}
    assert texts(by_name) == texts(by_function)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"search": "beem"}, "search must be one of utility, beam, tpe but got 'beem'; did you mean beam"),
        ({"search": 3}, "search must be one of utility, beam, tpe but got 3"),
        ({"search": "beam", "evaluator": "halvin"}, "did you mean halving"),
        ({"selection": len}, "selection must be one of teacher, students"),
    ],
)
def test_anything_else_is_refused(options, says):
    with pytest.raises(UserError, match=says):
        LbTExemplars(**{**SMALL, **options})


def test_the_options_say_what_was_given():
    assert isinstance(LbTExemplars(search=beam_search, **SMALL), dspy.teleprompt.Teleprompter)
