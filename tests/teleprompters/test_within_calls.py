"""Optimisers of DSPy within a number of calls: what they found until then comes out, whatever they had planned."""

import dspy
import pytest

from lbt_dspy import UserError, within_calls
from lbt_dspy.errors import NoCandidateError
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.teleprompters.within_calls import CallsSpent, Meter
from lbt_dspy.testing import scripted_lm

ROWS = [dspy.Example(number=n, double=2 * n).with_inputs("number") for n in range(12)]


def answer(inputs, lessons, seed):
    number = int(inputs["number"])
    return {"double": 2 * number if lessons or number < 3 else 0}


def right(example, prediction, trace=None):
    return example.double == prediction.double


def program():
    return dspy.Predict("number: int -> double: int")


def random_search(meter):
    optimiser = dspy.BootstrapFewShotWithRandomSearch(metric=right, num_candidate_programs=9, num_threads=1)
    return optimiser.compile(program(), trainset=ROWS, valset=ROWS)


def evaluate(given):
    with dspy.context(lm=scripted_lm(answer)):
        return sum(right(row, given(**row.inputs())) for row in ROWS)


@pytest.mark.parametrize("calls", [13, 30, 60])
def test_the_best_until_then_comes_out(calls):
    found = within_calls(random_search, scripted_lm(answer), calls=calls, valset=ROWS)
    assert not found.finished
    assert found.calls == calls
    assert found.checkpoints[-1].calls <= calls
    scores = [checkpoint.score for checkpoint in found.checkpoints]
    assert scores == sorted(scores)
    assert evaluate(found.program) == round(scores[-1] * len(ROWS) / 100)
    assert found.program.lm is None


def test_an_optimiser_that_ends_by_itself_gives_what_it_compiled():
    found = within_calls(
        lambda meter: dspy.BootstrapFewShot(metric=right).compile(program(), trainset=ROWS),
        scripted_lm(answer), calls=500, valset=ROWS,
    )  # fmt: skip
    assert found.finished
    assert 0 < found.calls < 500
    assert found.checkpoints == []
    assert found.program.demos


def test_too_few_calls_for_one_candidate_are_an_error_that_says_so():
    with pytest.raises(NoCandidateError, match="5 calls ended the search before one candidate was evaluated on all 12"):
        within_calls(random_search, scripted_lm(answer), calls=5, valset=ROWS)


@pytest.mark.parametrize("calls", [0, -1, 2.5])
def test_calls_out_of_bounds(calls):
    with pytest.raises(UserError, match="calls must be"):
        within_calls(random_search, scripted_lm(answer), calls=calls, valset=ROWS)


def test_another_lm_counts_too():
    def search(meter):
        other = meter.metered(scripted_lm(lambda *_: {"double": 1}, "other"))
        for _ in range(3):
            program()(number=1, lm=other)
        assert meter.left == 1
        program()(number=1)
        return program()(number=2)

    with pytest.raises(NoCandidateError):
        within_calls(search, scripted_lm(answer), calls=4, valset=ROWS)


def test_settings_are_as_they_were_afterwards():
    callbacks, lm = list(dspy.settings.callbacks), dspy.settings.lm
    within_calls(random_search, scripted_lm(answer), calls=20, valset=ROWS)
    assert (dspy.settings.callbacks, dspy.settings.lm) == (callbacks, lm)


def test_a_meter_counts_every_request_and_refuses_the_next(examples):
    meter = Meter(embedded_lm("embedded/teacher", max_tokens=9), 2, 0)
    assert meter.lm.kwargs["max_tokens"] == 9
    assert not meter.lm.cache
    assert meter.in_process
    predict = dspy.Predict("text -> label")
    predict.demos = examples
    with dspy.context(lm=meter.lm):
        predict(text="A calm day.")
        predict(text="A calm day.")
        with pytest.raises(CallsSpent):
            predict(text="A calm day.")
    assert (meter.calls, meter.left) == (2, 0)
