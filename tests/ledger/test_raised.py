"""What a program raises: because of what the model wrote, from outside, or by a mistake of its own."""

import ast
import importlib
import itertools
import json
import logging
import socket
import subprocess
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import dspy
import httpx
import pydantic
import pytest
from dspy.utils.exceptions import LMServerError
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy import BudgetSpentError, ExactMatch, Exam, Examiner, ExamProblem, LbTError, Ledger, UserError
from lbt_dspy.errors import CallFailedError, NoAnswerError
from lbt_dspy.ledger.raised import from_outside
from lbt_dspy.testing import scripted_lm

STUDENT = scripted_lm(lambda inputs, lessons, seed: {"level": "low" if "b" in inputs["text"] else "5"})
PROBLEMS = [
    ExamProblem(example=dspy.Example(text=text, level="5").with_inputs("text")) for text in ("a", "b", "aa", "bb")
]


class Level(pydantic.BaseModel):
    level: int


class Of(dspy.Module):
    """A program that does something with its text and itself."""

    def __init__(self, does):
        super().__init__()
        self.ask = dspy.Predict("text -> level")
        self.does = does

    def forward(self, text):
        return self.does(self, text)


def using(change):
    """A program that does something with the level that was answered."""
    return Of(lambda self, text: dspy.Prediction(level=change(self.ask(text=text).level)))


def examined(program, problems=PROBLEMS, workers=2):
    examiner = Examiner(program, grader=ExactMatch("level"), ledger=Ledger(workers=workers))
    report = examiner.examine([Exam(material=(), problems=problems)], [STUDENT])[0][0]
    return [sitting.mark for row in report.sittings for sitting in row]


def raising(error, when=lambda level: level == "low"):
    def change(level):
        if when(level):
            raise error
        return level

    return using(change)


def in_a_thread(self, text):
    """A pool of its own does not know which run it is of."""
    with ThreadPoolExecutor(1) as pool:
        level = pool.submit(lambda: self.ask(text=text).level).result()
    return dspy.Prediction(level=str(int(level)))


def executed(level):
    exec(f"x = {level}", {})
    return level


def opened(level):
    if level == "low":
        open(f"/no/such/folder/{level}")
    return level


def unbound(level):
    if level == "5":
        found = level
    return found


OF_THE_ANSWER = {
    "int": using(lambda level: str(int(level))),
    "json": using(lambda level: str(json.loads(level))),
    "pydantic": using(lambda level: str(Level(level=level).level)),
    "KeyError": using(lambda level: {"5": "5"}[level]),
    "IndexError": using(lambda level: ["5"][level == "low"]),
    "ZeroDivisionError": using(lambda level: str(5 // (level == "5"))),
    "TypeError": using(lambda level: "" + (None if level == "low" else "5")),
    "AttributeError": using(lambda level: {"5": "5"}.get(level).strip()),
    "decimal": using(lambda level: str(Decimal(level))),
    "literal_eval": using(lambda level: str(ast.literal_eval(level))),
    "code that names what is not there": using(lambda level: str(eval(level))),
    "code that is executed": using(executed),
    "a module that it names": using(lambda level: importlib.import_module({"5": "json"}.get(level, level)) and "5"),
    "a tool that it names": Of(
        lambda self, text: getattr(self, {"5": "ask"}.get(self.ask(text=text).level, "low"))(text=text)
    ),
    "a file that it names": using(opened),
    "UnboundLocalError": using(unbound),
    "assert": raising(AssertionError("too low")),
    "an error of the user's": raising(type("TooLow", (Exception,), {})("low")),
    "a pool of threads": Of(in_a_thread),
}


@pytest.mark.parametrize("program", OF_THE_ANSWER.values(), ids=OF_THE_ANSWER)
def test_what_the_model_wrote_could_not_be_used(program):
    marks = examined(program)
    assert [mark.value for mark in marks] == [1.0, 0.0, 1.0, 0.0]
    assert marks[1].reason.startswith("the answer could not be used: ")


def led_to(cause, error=None):
    """An error that was raised from another one."""
    error = error or ValueError("the tool failed")
    error.__cause__ = cause
    return error


FROM_OUTSIDE = [
    ConnectionRefusedError("down"), TimeoutError("late"), MemoryError(), OSError(28, "No space left on device"),
    socket.gaierror("unknown host"), urllib.error.URLError("down"), subprocess.TimeoutExpired("cmd", 1),
    httpx.ReadTimeout("late"), httpx.HTTPStatusError("503", request=None, response=None), LMServerError("down"),
    BudgetSpentError("spent"), CallFailedError("lost"), led_to(ConnectionResetError()), led_to(httpx.PoolTimeout("")),
    led_to(led_to(TimeoutError()), RuntimeError()), ExceptionGroup("both", [ValueError(), ConnectionError()]),
]  # fmt: skip


@pytest.mark.parametrize("error", FROM_OUTSIDE, ids=lambda e: type(e).__name__)
def test_what_comes_from_outside_is_not_measured(error):
    marks = examined(raising(error))
    assert [mark.value for mark in marks] == [1.0, None, 1.0, None]
    assert type(error).__name__ in marks[1].reason


KINDS = st.sampled_from([ValueError, KeyError, TypeError, AssertionError, RuntimeError, FileNotFoundError])


@given(st.lists(KINDS, min_size=1, max_size=6), st.integers(0, 6), st.booleans())
def test_one_cause_from_outside_is_enough(kinds, place, outside):
    chain = [kind("x") for kind in kinds]
    if outside:
        chain.insert(place, ConnectionError("x"))
    for error, cause in itertools.pairwise(chain):
        error.__cause__ = cause
    chain[-1].__cause__ = chain[0]  # a circle, which Python allows
    assert from_outside(chain[0]) == outside


MISTAKES = {
    "an unknown name": (using(lambda level: level + unknown), "NameError: name 'unknown'"),  # noqa: F821
    "an unknown name, on some answers": (using(lambda l: l if l == "5" else unknown), "NameError"),  # noqa: F821, E741
    "a module that is not installed": (using(lambda level: __import__("no_such_module")), "No module named 'no_such"),
    "an attribute of itself": (Of(lambda self, text: (self.ask(text=text), self.asc(text=text))), "attribute 'asc'"),
    "before the call": (Of(lambda self, text: (int(text), self.ask(text=text))), "before any model answered"),
    "its own input": (Of(lambda self, text: self.ask(text=text["text"])), "TypeError: .*before any model answered"),
    "no LM": (Of(lambda self, text: dspy.Predict("a -> b")(a=text)), "No LM is loaded"),
}  # fmt: skip


@pytest.mark.parametrize(("program", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_of_the_programs_stops_the_run(program, said):
    with pytest.raises(UserError, match=said) as caught:
        examined(program, workers=1)
    assert "\n" not in str(caught.value)
    assert "mend the program" in str(caught.value)


@pytest.mark.parametrize(
    "answer", [None, "5", 5, ("5", 1.0), [], Level(level=5), iter(())], ids=lambda answer: type(answer).__name__
)
def test_what_is_returned_must_be_a_prediction(answer):
    with pytest.raises(
        UserError, match=r"must return a dspy.Prediction but returned .*return dspy.Prediction\("
    ) as told:
        examined(Of(lambda self, text: (self.ask(text=text), answer)[1]), workers=1)
    assert type(answer).__name__ in str(told.value)


def test_a_coroutine_is_none():
    async def forward(self, text):
        return await self.ask.acall(text=text)

    with pytest.raises(UserError, match="Later has no forward that can be called"):
        examined(type("Later", (Of,), {"forward": forward})(None))
    with pytest.raises(UserError, match=r"returned '<coroutine .*, a coroutine; "):
        examined(Of(forward))


@pytest.mark.parametrize("made", [dict, dspy.Example, dspy.Prediction])
def test_mappings_are_predictions(made):
    marks = examined(Of(lambda self, text: made(level=self.ask(text=text).level)))
    assert [mark.value for mark in marks] == [1.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize("measured", [True, False])
def test_no_answer_of_a_program_inside(measured):
    marks = examined(raising(NoAnswerError("none", measured=measured)))
    assert [mark.value for mark in marks] == [1.0, 0.0 if measured else None] * 2


def test_the_same_error_in_all_runs_is_warned_of_once(caplog):
    program = using(lambda level: int(f"x{level}"))
    with caplog.at_level(logging.WARNING, "lbt_dspy"):
        assert [mark.value for mark in examined(program)] == [0.0] * 4
        examined(program)
        examined(OF_THE_ANSWER["int"])
        assert len(caplog.records) == 1
    assert "all runs of the program ended in ValueError in test_raised.py" in caplog.text


def test_a_run_that_was_never_measured_still_says_why():
    with pytest.raises(LbTError, match="no answer on any of 4 runs; the first: ConnectionError: down"):
        examined(raising(ConnectionError("down"), when=lambda level: True))
