"""An optimiser of DSPy seen from outside: its calls counted and bounded, its evaluations noted, its output hushed."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback

from lbt_dspy.ledger.calls import open_settings, sampling_of
from lbt_dspy.lms.engine import Answer, ModelEngine, Request, lm_of
from lbt_dspy.lms.faults import Fault
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.sampling import request_seed

RETRIES = 3


class CallsSpent(BaseException):
    """The next call would exceed the budget. No `Exception`, since optimisers swallow those and go on."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The best candidate of an optimiser after a number of model calls."""

    calls: int
    program: dspy.Module
    """With its demonstrations, and its instructions where they were changed; without an LM of its own."""
    score: float | None
    """Percent right by the optimiser's own selection; `None` where nothing was measured."""


class MeteredEngine(ModelEngine):
    """Another engine whose calls are counted and end at a budget. Thread-safe.

    Args:
        inner: Answers.
        budget: Most calls; the next one raises `CallsSpent`.
    """

    def __init__(self, inner: ModelEngine, budget: int) -> None:
        super().__init__(inner.name, inner.identity)
        self.in_process = inner.in_process
        self.calls = 0
        self.budget = budget
        self._inner = inner
        self._lock = threading.Lock()

    def answer(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        """Count the request, then have it answered."""
        with self._lock:
            if self.calls >= self.budget:
                raise CallsSpent
            self.calls += 1
        return self._inner.answer(request, faults)


def metered(lm: dspy.LM, budget: int, seed: int) -> tuple[MeteredEngine, dspy.LM]:
    """Return a meter and the LM that runs through it.

    Args:
        lm: What it leaves open is set as in exams: temperature 0, and a seed where its engine takes one.
        budget: Most calls. Nothing is cached, and each retry of a failed request is a call.
        seed: Goes with every request.
    """
    inner = engine_of(lm)
    engine = MeteredEngine(inner, budget)
    settings = open_settings(lm, inner, {"temperature": 0.0}, request_seed(seed, "rival"))
    return engine, lm_of(engine, **sampling_of(lm, settings)).copy(num_retries=RETRIES)


class Watch(BaseCallback):  # type: ignore[misc]
    """Notes the best program so far whenever an optimiser has evaluated one on the whole validation set.

    Args:
        meter: Knows the calls so far.
        valset: The validation set; evaluations on other examples (minibatches) are passed over.
    """

    def __init__(self, meter: MeteredEngine, valset: Sequence[dspy.Example]) -> None:
        self.checkpoints: list[Checkpoint] = []
        self._meter = meter
        self._all = sorted(map(id, valset))
        self._running: dict[str, tuple[dspy.Module | None, Any]] = {}

    def on_evaluate_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Keep the program until its score is known; step aside meanwhile, since a callback slows every call."""
        examples = instance.devset if inputs["devset"] is None else inputs["devset"]
        whole = sorted(map(id, examples)) == self._all
        aside = dspy.context(callbacks=[c for c in dspy.settings.callbacks if c is not self])
        aside.__enter__()
        self._running[call_id] = (inputs["program"] if whole else None, aside)

    def on_evaluate_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        """Note the better one of the best so far and this program."""
        program, aside = self._running.pop(call_id)
        aside.__exit__(None, None, None)
        if program is not None and outputs is not None:
            self.checkpoints.append(self._better(program, outputs.score))

    def _better(self, program: dspy.Module, score: float) -> Checkpoint:
        best = self.checkpoints[-1] if self.checkpoints else None
        if best is None or best.score is None or score > best.score:
            return Checkpoint(calls=self._meter.calls, program=bare(program), score=score)
        return dataclasses.replace(best, calls=self._meter.calls)


class ThriftyAdapter(dspy.ChatAdapter):  # type: ignore[misc]
    """DSPy's default adapter with the same messages, of which it writes those that questions share only once.

    Demonstrations must not be changed in place while it is in use.
    """

    def __init__(self) -> None:
        super().__init__()
        self._systems: dict[type[dspy.Signature], str] = {}
        self._demos: dict[tuple[Any, ...], tuple[list[Any], list[dict[str, Any]]]] = {}

    def format_system_message(self, signature: type[dspy.Signature]) -> str:
        """Describe the task."""
        if signature not in self._systems:
            self._systems[signature] = super().format_system_message(signature)
        return self._systems[signature]

    def format_demos(self, signature: type[dspy.Signature], demos: list[Any]) -> list[dict[str, Any]]:
        """Write the demonstrations."""
        key = (signature, *map(id, demos))
        if key not in self._demos:  # the demonstrations are kept, so that their ids stay theirs
            self._demos[key] = (list(demos), super().format_demos(signature, demos))
        return [dict(message) for message in self._demos[key][1]]


def bare(program: dspy.Module) -> dspy.Module:
    """Return a copy of the program without LMs."""
    copy = program.deepcopy()
    copy.set_lm(None)
    return copy


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Let nothing through to stdout, stderr, loggers and warnings, in the whole process; all is restored afterwards."""
    import optuna

    verbosity, disabled = optuna.logging.get_verbosity(), logging.root.manager.disable
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(disabled)
            optuna.logging.set_verbosity(verbosity)
