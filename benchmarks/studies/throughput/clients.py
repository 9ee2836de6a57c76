"""The clients whose throughput is compared: each asks the same prompts, one lesson and one exam problem in each.

A client takes the work and says what it did: the requests it sent, and the sittings it held with them. `aiohttp` and
`litellm` are given the prompts ready to be sent, and throw the answers away; the others render the prompts and read the
answers, and our own grade and journal them too.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import dspy

from lbt_dspy.benchmarks.studies.throughput.echo_server import LABELS, MODEL
from lbt_dspy.benchmarks.studies.throughput.names import EXAM_PROBLEMS
from lbt_dspy.exam.examiner import Examiner
from lbt_dspy.exam.grading import ExactMatch
from lbt_dspy.exam.render import Renderer, current_adapter
from lbt_dspy.ledger.journal import Journal
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.lms.roles import LMRoles
from lbt_dspy.signatures import classification
from lbt_dspy.types import Exam, ExamProblem

SITTINGS = 3
"""Of `lbt-lean-3`, in one request."""
WORDS = 60
"""In a lesson, and in a problem."""
KEY = "not-needed"
VOCABULARY = [f"premise{i % 1000}" for i in range(1000 + WORDS)]
Messages = list[dict[str, Any]]


class Work(NamedTuple):
    """What is to be asked, in the three forms that the clients want."""

    exams: list[Exam]
    examples: list[dspy.Example]
    """Inputs `question` and `demos`: the lesson."""
    prompts: list[Messages]


class Done(NamedTuple):
    """What a client says it did."""

    requests: int
    sittings: int


def program() -> dspy.Module:
    """Return what all clients ask: a question; the answer is a reasoning and a label."""
    return dspy.ChainOfThought(classification("Does the conclusion follow?", LABELS, text_field="question"))


def problem(number: int) -> dspy.Example:
    """Return a problem with its label and a reasoning, which make it a lesson."""
    start = number * 7 % 1000
    words = " ".join(VOCABULARY[start : start + WORDS])
    label = LABELS[number % len(LABELS)]
    return dspy.Example(question=f"Passage {number}: {words}", reasoning=f"Of {words}.", label=label)


def exams_of(requests: int) -> list[Exam]:
    """Return exams with so many questions in all: each has a lesson of its own, and their problems are the same."""
    asked = [ExamProblem(example=problem(-1 - i).with_inputs("question")) for i in range(EXAM_PROBLEMS)]
    return [
        Exam(material=(problem(start // EXAM_PROBLEMS),), problems=asked[: requests - start])
        for start in range(0, requests, EXAM_PROBLEMS)
    ]


def work_of(requests: int) -> Work:
    """Return the work that takes so many requests of one choice each."""
    exams = exams_of(requests)
    renderer = Renderer(program().predictors()[0].signature, current_adapter())
    seats = [(exam.material, p.example) for exam in exams for p in exam.problems]
    return Work(
        exams=exams,
        examples=[dspy.Example(**e, demos=list(lesson)).with_inputs("question", "demos") for lesson, e in seats],
        prompts=[renderer.messages(lesson, e.inputs()) for lesson, e in seats],
    )


@functools.cache
def event_loop() -> asyncio.Runner:
    """Return the one event loop of this process, so that a client may keep its connections between runs."""
    return asyncio.Runner()


async def ask_all(ask: Callable[[Messages], Awaitable[Any]], prompts: Sequence[Messages], concurrency: int) -> None:
    """Ask every prompt, at most `concurrency` at once."""
    rest = iter(prompts)

    async def worker() -> None:
        for prompt in rest:
            await ask(prompt)

    await asyncio.gather(*(worker() for _ in range(concurrency)))


@dataclass(frozen=True)
class Aiohttp:
    """Plain posts: about the most that Python can do."""

    def __call__(self, url: str, work: Work, concurrency: int) -> Done:
        """Post every prompt and read the JSON."""
        event_loop().run(self._all(url, work.prompts, concurrency))
        return Done(len(work.prompts), len(work.prompts))

    async def _all(self, url: str, prompts: Sequence[Messages], concurrency: int) -> None:
        import aiohttp

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def ask(prompt: Messages) -> None:
                body = {"model": MODEL, "messages": prompt}
                async with session.post(f"{url}/chat/completions", json=body) as response:
                    response.raise_for_status()
                    await response.json()

            await ask_all(ask, prompts, concurrency)


@dataclass(frozen=True)
class LiteLLM:
    """`litellm.acompletion`."""

    def __call__(self, url: str, work: Work, concurrency: int) -> Done:
        """Ask every prompt."""
        from lbt_dspy.lms.litellm.setup import litellm

        async def ask(prompt: Messages) -> None:
            await litellm.acompletion(model=f"openai/{MODEL}", messages=prompt, api_base=url, api_key=KEY)

        event_loop().run(ask_all(ask, work.prompts, concurrency))
        return Done(len(work.prompts), len(work.prompts))


@dataclass(frozen=True)
class DSPy:
    """`dspy.Evaluate` or `dspy.Parallel` over `dspy.ChainOfThought`."""

    parallel: bool = False
    lean: bool = False
    """With our engine behind the LM, instead of DSPy's own choice."""

    def __call__(self, url: str, work: Work, concurrency: int) -> Done:
        """Answer every example."""
        logging.getLogger("dspy").setLevel(logging.WARNING)  # not a line for each evaluation
        with dspy.context(lm=our_lm(url, "lean") if self.lean else dspy_lm(url)):
            (self._in_parallel if self.parallel else self._evaluate)(work.examples, concurrency)
        return Done(len(work.examples), len(work.examples))

    def _evaluate(self, examples: list[dspy.Example], threads: int) -> None:
        dspy.Evaluate(devset=examples, metric=_right, num_threads=threads, display_progress=False)(program())

    def _in_parallel(self, examples: list[dspy.Example], threads: int) -> None:
        asked = program()
        dspy.Parallel(num_threads=threads, disable_progress_bar=True)([(asked, example) for example in examples])


@dataclass(frozen=True)
class Exams:
    """Our exams: rendering, asking, parsing, grading, and journalling into a file."""

    client: str
    sittings: int = 1

    def __call__(self, url: str, work: Work, concurrency: int) -> Done:
        """Hold every exam.

        Raises:
            RuntimeError: A sitting was not measured.
        """
        student = our_lm(url, self.client)
        with tempfile.TemporaryDirectory() as folder:
            ledger = Ledger(Journal(Path(folder) / "journal.sqlite"), workers=concurrency)
            examiner = Examiner(program(), grader=ExactMatch("label"), ledger=ledger)
            reports = examiner.examine(work.exams, [student], sittings=self.sittings)
            ledger.finish()
            sent = ledger.journal.sent()
            ledger.close()
        flat = list(itertools.chain.from_iterable(reports))
        if any(report.coverage < 1 for report in flat):
            raise RuntimeError("some sittings were not measured")
        return Done(sent, sum(len(report.marks) for report in flat))


@functools.cache
def dspy_lm(url: str) -> dspy.LM:
    """Return DSPy's own LM, the same for all runs, so that connections are kept as in a real program."""
    return dspy.LM(f"openai/{MODEL}", api_base=url, api_key=KEY, cache=False, engine="auto")


@functools.cache
def our_lm(url: str, client: str) -> dspy.LM:
    """Return our LM for the server, the same for all runs."""
    os.environ["OPENAI_API_KEY"] = KEY
    return LMRoles(client=client).lms([f"openai/{MODEL}@{url}"])[0]


def _right(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
    return float(example.label == prediction.label)


CLIENTS: Mapping[str, Callable[[str, Work, int], Done]] = {
    "aiohttp": Aiohttp(),
    "litellm": LiteLLM(),
    "dspy-evaluate": DSPy(),
    "dspy-parallel": DSPy(parallel=True),
    "lbt-litellm": Exams("litellm"),
    "dspy-lean": DSPy(lean=True),
    "lbt-lean": Exams("lean"),
    "lbt-lean-3": Exams("lean", SITTINGS),
}
