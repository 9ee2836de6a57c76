"""A warning never changes what a call returned, whatever a user makes of warnings."""

import asyncio
import json
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import dspy
import pytest
from dspy.utils.exceptions import AdapterParseError
from recording_server import YES, completion, recording

from lbt_dspy import ExactMatch, Exam, Examiner, ExamProblem, Ledger, LMRoles, classification
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.lms.engine import Answer, ModelEngine, lm_of
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.warned import warnings_shown

EACH = [DeprecationWarning, FutureWarning, UserWarning, ResourceWarning, RuntimeWarning, SyntaxWarning]


def warn():
    for category in EACH:
        warnings.warn("a name that we use is going away", category, stacklevel=2)


class Warns(ModelEngine):
    """A model whose client warns."""

    def __init__(self, in_process):
        super().__init__(f"warns/{in_process}", "warns")
        self.in_process = in_process

    def answer(self, request, faults=()):
        warn()
        return Answer(YES)


class WarningAdapter(dspy.ChatAdapter):
    def format(self, *args, **kwargs):
        warn()
        return super().format(*args, **kwargs)

    def parse(self, signature, text):
        warn()
        return super().parse(signature, text)


class WarningGrader(ExactMatch):
    def grade(self, expected, output):
        warn()
        return super().grade(expected, output)


class Larger(dspy.Module):
    def __init__(self):
        self.answer = dspy.Predict(classification("Is it good?", ("Yes", "No")))

    def forward(self, text):
        warn()
        return self.answer(text=text)


class Unreadable(dspy.ChatAdapter):
    def parse(self, signature, text):
        raise AdapterParseError("ChatAdapter", signature, text)


def marks(program, lm, adapter=None, count=6):
    problems = [ExamProblem(example=dspy.Example(text=f"t{i}", label="Yes").with_inputs("text")) for i in range(count)]
    examiner = Examiner(program, grader=WarningGrader("label"), ledger=Ledger(workers=3), adapter=adapter)
    (report,) = examiner.examine([Exam(material=(), problems=problems)], [lm])[0]
    return [(row[0].mark.value, row[0].mark.reason, row[0].fields) for row in report.sittings]


CASES = {
    "outside": (lambda: lm_of(Warns(False)), None),
    "in process": (lambda: lm_of(Warns(True)), None),
    "adapter": (lambda: lm_of(Warns(False)), WarningAdapter()),
    "unreadable": (lambda: lm_of(Warns(True)), Unreadable()),
    "embedded": (lambda: embedded_lm("embedded/teacher"), None),
}


@pytest.mark.parametrize("larger", [False, True], ids=["alone", "larger program"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore")
def test_every_warning_an_error_results_the_same(case, larger, program):
    """Of clients, adapters, graders and programs."""
    lm, adapter = CASES[case]
    tested = Larger() if larger else program
    expected = marks(tested, lm(), adapter)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("error")
        assert marks(tested, lm(), adapter) == expected
        with pytest.raises(DeprecationWarning):
            warn()  # outside of calls the user's filters hold
    assert [value for value, _, _ in expected] == [0.0] * 6 or case != "unreadable"


@pytest.mark.parametrize("client", ["lean", "litellm"])
@pytest.mark.filterwarnings("ignore")
def test_clients_give_the_same_when_every_warning_is_an_error(client, program, monkeypatch):
    def answered():
        with recording(lambda body: completion(YES)) as (url, recorder):
            (lm,) = LMRoles(client=client).lms([f"hosted_vllm/m@{url}"])
            engine = type(engine_of(lm))
            ask = engine.ask

            async def warning_ask(self, *args):
                warn()
                return await ask(self, *args)

            monkeypatch.setattr(engine, "ask", warning_ask)
            return marks(program, lm), len(recorder.raw)

    expected = answered()
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("error")
        assert answered() == expected == ([(1.0, None, {"label": "Yes"})] * 6, 6)


@pytest.mark.slow
def test_a_whole_run_where_every_warning_is_an_error(tmp_path):
    """Nothing that is imported, and nothing that a run does, fails by it."""
    command = [
        "-m", "lbt_dspy.benchmarks.run", "--task", "fallacy", "--rounds", "1", "--selection-examples", "20", "--seeds",
        "0", "--quiet", "--json", "-", "--out",
    ]  # fmt: skip
    runs = []
    for i, flags in enumerate(([], ["-W", "error"])):
        done = subprocess.run(
            [sys.executable, *flags, *command, str(tmp_path / str(i))], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        runs.append(json.loads(done.stdout)["results"])
    assert runs[0] == runs[1]


def test_warnings_are_shown_as_the_filters_say():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=FutureWarning)
        with warnings_shown():
            warnings.warn("one", UserWarning, stacklevel=1)
            warnings.warn("two", FutureWarning, stacklevel=1)
        with pytest.raises(UserWarning):
            warnings.warn("three", UserWarning, stacklevel=1)
        warnings.simplefilter("error", DeprecationWarning)  # put before all others, after the first time
        with warnings_shown():
            warnings.warn("four", DeprecationWarning, stacklevel=1)
    assert [str(w.message) for w in shown] == ["one", "four"]


def test_filters_by_text_and_module_hold_too():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message="three", module=__name__)
        with warnings_shown():
            for text in ("one", "three"):
                warnings.warn(text, UserWarning, stacklevel=1)
    assert [str(w.message) for w in shown] == ["three"]


def test_other_threads_and_tasks_keep_their_filters():
    """While one is inside of a call, another that is not still meets its errors."""
    inside, over = threading.Event(), threading.Event()

    def call():
        with warnings_shown():
            inside.set()
            over.wait(10)
            warnings.warn("mine", UserWarning, stacklevel=1)
            return "went on"

    async def tasks():
        async def task():
            with warnings_shown():
                await asyncio.sleep(0)
                warnings.warn("of a task", UserWarning, stacklevel=1)

        running = asyncio.ensure_future(task())
        await asyncio.sleep(0)
        with pytest.raises(UserWarning):
            warnings.warn("beside it", UserWarning, stacklevel=1)
        await running

    with warnings.catch_warnings(record=True), ThreadPoolExecutor(1) as pool:
        warnings.simplefilter("error")
        going = pool.submit(call)
        assert inside.wait(10)
        with pytest.raises(UserWarning):
            warnings.warn("another's", UserWarning, stacklevel=1)
        over.set()
        assert going.result() == "went on"
        asyncio.run(tasks())
