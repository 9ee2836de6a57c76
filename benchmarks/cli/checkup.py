"""What `lbt doctor` looks at: each model by one call, the sandbox, the extras."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, NamedTuple

import dspy
from rich import box
from rich.table import Table

from lbt_dspy.benchmarks.shared.console import asked_at
from lbt_dspy.benchmarks.shared.format import dollars
from lbt_dspy.benchmarks.tasks.names import CODE
from lbt_dspy.errors import LbTError
from lbt_dspy.exam.likelihood import ASK, label_probabilities
from lbt_dspy.exam.render import Renderer, UnreadableError, current_adapter
from lbt_dspy.lms.engine import Answer, ModelEngine
from lbt_dspy.lms.faults import fault_of
from lbt_dspy.lms.replies.thoughts import answer_in
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.metrics.sandbox import strongest
from lbt_dspy.signatures import classification

LABELS = ("Yes", "No")
QUESTION = "Is this a complaint?"
SHOWN = (("The parcel came too late again.", "Yes"), ("Thank you, it works well.", "No"))
ASKED = "My order never came, and nobody answers."
MOST_TOKENS = 1024
"""Of the answer: enough for short thoughts before it."""
EXTRAS = ("dpo", "vllm", "postgres", "train")
NEEDED_EXTRAS = {"m2": "dpo"}


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """How one model did at its call."""

    name: str
    reachable: bool
    readable: bool = False
    seconds: float | None = None
    logprobs: str = "-"
    price: str = "-"
    usage: str = "-"
    cache: str = "-"
    notes: Sequence[str] = ()

    @property
    def well(self) -> bool:
        """Whether a run can use it."""
        return self.reachable and self.readable


class Check(NamedTuple):
    """Something of this machine."""

    name: str
    there: bool
    needed: bool
    line: str


def plan(lms: Sequence[dspy.LM]) -> str | None:
    """Say what will be asked, where, and what it costs at most; `None`: nothing leaves this process."""
    away = [lm for lm in lms if not engine_of(lm).in_process]
    if not away:
        return None
    worst = [engine_of(lm).worst_cost(engine_of(lm).limited(request_to(lm))) for lm in away]
    cost = "at an unknown price" if None in worst else f"at most {dollars(sum(c or 0.0 for c in worst))} in all"
    where = asked_at([("model", lm) for lm in away])
    return f"Calls to be made: {len(away)}, one to each model, {cost}. {where or ''}".strip()


def request_to(lm: dspy.LM) -> Any:
    """Return the one request: a label for a short text, after two examples."""
    renderer = Renderer(classification(QUESTION, LABELS), current_adapter())
    engine = engine_of(lm)
    shown = [dspy.Example(text=text, label=label).with_inputs("text") for text, label in SHOWN]
    settings = {"max_tokens": MOST_TOKENS, **({"temperature": 0.0} if engine.takes_temperature else {})}
    if engine.gives_logprobs:
        settings |= ASK
    return renderer.prefix(shown, lm, engine, settings, 0).call({"text": ASKED}).request


def check_models(lms: Sequence[dspy.LM]) -> list[Checkup]:
    """Ask each model once; those of this process need no call."""
    return [_here(lm) if engine_of(lm).in_process else _checkup(lm) for lm in lms]


def _here(lm: dspy.LM) -> Checkup:
    engine = engine_of(lm)
    given = "yes" if engine.gives_logprobs else "no"
    return Checkup(
        name=engine.name, reachable=True, readable=True, logprobs=given, notes=("in this process, for nothing",)
    )


def _checkup(lm: dspy.LM) -> Checkup:
    engine, notes = engine_of(lm), _Notes()
    request = engine.limited(request_to(lm))
    price = "known" if engine.worst_cost(request) is not None else "unknown"
    begun = time.monotonic()
    try:
        with notes:
            answer = engine.answer(request)
    except LbTError as error:
        return Checkup(name=engine.name, reachable=False, price=price, notes=(str(error),))
    except Exception as error:  # whatever a client raises
        reason = fault_of(error, engine.secrets).reason
        return Checkup(name=engine.name, reachable=False, price=price, notes=(f"no answer: {reason}",))
    seconds = time.monotonic() - begun
    if answer.finish != "stop":
        notes.said.append(answer.reason or f"the answer ended with {answer.finish!r}; give it more max_tokens")
    label = _label(answer, notes)
    return Checkup(
        name=engine.name, reachable=True, readable=label is not None, seconds=seconds, price=price, notes=notes.said,
        logprobs=_logprobs(engine, answer, label), usage=_usage(answer), cache=_cache(answer),
    )  # fmt: skip


def _label(answer: Answer, notes: _Notes) -> str | None:
    """Return the label that was read; `None`: none could be."""
    renderer = Renderer(classification(QUESTION, LABELS), current_adapter())
    if answer.finish != "stop":
        return None
    try:
        return str(renderer.parse(answer_in(answer.text))["label"])
    except UnreadableError as error:
        start = " ".join(answer.text.split())[:80]
        notes.said.append(f"its answer cannot be read ({error}): {start!r}; another adapter may suit it better")
        return None


def _logprobs(engine: ModelEngine, answer: Answer, label: str | None) -> str:
    if answer.logprobs is None:
        return "no" if engine.gives_logprobs is not None else "not known"
    found = None if label is None else label_probabilities(answer.logprobs, label, LABELS)
    return "yes" if found else "yes, not of the labels"


def _usage(answer: Answer) -> str:
    return f"{answer.input_tokens}+{answer.output_tokens}" if answer.input_tokens else "not told"


def _cache(answer: Answer) -> str:
    return "not told" if answer.cached_tokens is None else f"{answer.cached_tokens} tokens"


class _Notes(logging.Handler):
    """Keeps what the library warns of meanwhile: unknown finish reasons, missing keys."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []
        self._logger = logging.getLogger("lbt_dspy")

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning."""
        self.said.append(record.getMessage())

    def __enter__(self) -> None:
        self._logger.addHandler(self)

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)


def table(found: Sequence[Checkup]) -> Table:
    """Return a table of the models."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    headings = ("model", "reachable", "seconds", "readable", "log-probabilities", "price", "tokens", "cached")
    for i, heading in enumerate(headings):
        shown.add_column(heading, overflow="fold", justify="right" if i == 2 else "left")
    for c in found:
        seconds = "-" if c.seconds is None else f"{c.seconds:.2f}"
        shown.add_row(
            c.name, "yes" if c.reachable else "NO", seconds, "yes" if c.readable else "NO", c.logprobs, c.price,
            c.usage, c.cache,
        )  # fmt: skip
    return shown


def machine(task: str | None) -> list[Check]:
    """Look which sandbox works here: programs of the task code need one."""
    needed = task == CODE
    try:
        isolation, why = strongest(allow_weak=False), ""
    except LbTError as error:
        isolation, why = None, str(error)
    line = f"sandbox: {isolation or 'none'}" + (f" ({why})" if needed and why else "")
    return [Check("a sandbox for programs", isolation is not None, needed, line)]


def extras(method: str | None) -> list[Check]:
    """Look which extras are installed."""
    there = {name: _installed(name) for name in EXTRAS}
    needed = NEEDED_EXTRAS.get(method or "")
    said = ", ".join(f"{name} {'yes' if found else 'no'}" for name, found in there.items())
    line = f"extras: {said} (pip install 'lbt_dspy[NAME]')"
    name = "extras" if needed is None else f"the extra {needed}"
    return [Check(name, there.get(needed or "", True), needed is not None, line)]


def _installed(extra: str) -> bool:
    """Return whether all that an extra names is installed."""
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in metadata.requires("lbt_dspy") or ()]
    named = [r for r in wanted if r.marker is not None and r.marker.evaluate({"extra": extra})]
    return all(_version(r.name) is not None for r in named)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
