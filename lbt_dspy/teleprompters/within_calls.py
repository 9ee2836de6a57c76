"""Any optimiser of DSPy within a number of model calls, and the best program that it had found by then.

Optimisers are planned in trials, candidates or metric calls; what they cost is known afterwards. Here the first call
too many ends the search, whatever was planned, and the best candidate so far is what comes out.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback

from lbt_dspy.errors import NoCandidateError, check_at_least
from lbt_dspy.ledger.calls import open_settings
from lbt_dspy.lms.engine import Answer, ModelEngine, Request, lm_of
from lbt_dspy.lms.faults import Fault
from lbt_dspy.lms.settings import sampling_of
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.sampling import request_seed

RETRIES = 3


class CallsSpent(BaseException):
    """The next call would exceed the number. No `Exception`, since optimisers swallow those and go on."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The best candidate of an optimiser after a number of model calls."""

    calls: int
    program: dspy.Module
    """With its demonstrations, and its instructions where they were changed; without an LM of its own."""
    score: float | None
    """Percent, by the optimiser's own selection; `None` where nothing was measured."""


@dataclass(frozen=True, kw_only=True)
class SearchWithinCalls:
    """What an optimiser found within its calls."""

    program: dspy.Module
    """What it compiled or, where the calls ended it, its best candidate until then; without an LM of its own."""
    finished: bool
    """Whether it came to its own end."""
    calls: int
    """Requests that were sent, retries included."""
    checkpoints: Sequence[Checkpoint]
    """The best candidate after each evaluation on the whole validation set, in the order of calls."""


class Meter:
    """Counts the calls of LMs, and ends a search at the first one too many. Thread-safe.

    Attributes:
        lm: The LM to search with.
        budget: Most calls.
        calls: Those so far.
    """

    def __init__(self, lm: dspy.LM, budget: int, seed: int) -> None:
        self.budget = budget
        self.calls = 0
        self._seed = seed
        self._lock = threading.Lock()
        self.in_process = engine_of(lm).in_process
        self.lm = self.metered(lm)

    @property
    def left(self) -> int:
        """Calls that may still be made."""
        return self.budget - self.calls

    def metered(self, lm: dspy.LM) -> dspy.LM:
        """Return an LM whose calls count here: for the reflection of GEPA, or a prompt model that is another one.

        What the LM leaves open is set as in exams: temperature 0, and a seed where its engine takes one. Nothing is
        cached, and each retry of a failed request is a call.
        """
        inner = engine_of(lm)
        settings = open_settings(lm, inner, {"temperature": 0.0}, request_seed(self._seed, "rival"))
        return lm_of(_MeteredEngine(inner, self), **sampling_of(lm, settings)).copy(num_retries=RETRIES)

    def count(self) -> None:
        """Count a call that is about to be made.

        Raises:
            CallsSpent: It would be one too many.
        """
        with self._lock:
            if self.calls >= self.budget:
                raise CallsSpent
            self.calls += 1


class _MeteredEngine(ModelEngine):
    def __init__(self, inner: ModelEngine, meter: Meter) -> None:
        super().__init__(inner.name, inner.identity)
        self.in_process = inner.in_process
        self._inner = inner
        self._meter = meter

    def answer(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        self._meter.count()
        return self._inner.answer(request, faults)


def within_calls(
    search: Callable[[Meter], dspy.Module],
    lm: dspy.LM,
    *,
    calls: int,
    valset: Sequence[dspy.Example],
    seed: int = 0,
) -> SearchWithinCalls:
    """Run an optimiser of DSPy until it ends, or until the next call would be one too many.

    Args:
        search: Compiles a program. It is given the meter, whose `lm` is the configured one meanwhile; the program
            should have no LM of its own. Other LMs of the optimiser count too if they are `meter.metered(lm)`.
        lm: Answers.
        calls: Most completions that may be asked, at least 1; bootstrapping, reflection and retries count.
        valset: What the optimiser selects on: its candidates are noted when they have been evaluated on all of it.
        seed: Goes with every request.

    Raises:
        UserError: An option is out of bounds.
        NoCandidateError: The calls ended the search before one candidate was evaluated.

    Example:
        >>> import dspy
        >>> from lbt_dspy import within_calls
        >>> from lbt_dspy.testing import scripted_lm
        >>> def answer(inputs, lessons, seed):  # right for all numbers once it has seen an example
        ...     number = int(inputs["number"])
        ...     return {"double": 2 * number if lessons or number < 3 else 0}
        >>> rows = [dspy.Example(number=n, double=2 * n).with_inputs("number") for n in range(6)]
        >>> def search(meter):  # any optimiser of DSPy will do
        ...     program = dspy.Predict("number: int -> double: int")
        ...     shown = [dspy.LabeledFewShot(k=k).compile(program, trainset=rows) for k in (0, 1, 2, 3, 4, 5, 6)]
        ...     evaluate = dspy.Evaluate(devset=rows, metric=lambda e, p: e.double == p.double, num_threads=1)
        ...     return max(shown, key=lambda candidate: evaluate(candidate).score)
        >>> found = within_calls(search, scripted_lm(answer), calls=40, valset=rows)
        >>> found.finished, found.calls, [c.score for c in found.checkpoints][:2]
        (False, 40, [50.0, 100.0])
    """
    check_at_least("calls", calls, 1, "several times the validation set is useful")
    meter = Meter(lm, calls, seed)
    watch = _Watch(meter, valset)
    compiled: dspy.Module | None = None
    with dspy.context(lm=meter.lm, callbacks=[*dspy.settings.callbacks, watch], disable_history=True):
        try:
            compiled = bare(search(meter))
        except CallsSpent:
            pass
    program = watch.checkpoints[-1].program if compiled is None and watch.checkpoints else compiled
    if program is None:
        raise NoCandidateError(
            f"{calls} calls ended the search before one candidate was evaluated on all {len(valset)} validation "
            "examples; give more calls, or a smaller valset"
        )
    return SearchWithinCalls(
        program=program, finished=compiled is not None, calls=meter.calls, checkpoints=watch.checkpoints
    )


class _Watch(BaseCallback):  # type: ignore[misc]
    """Notes the best program so far whenever an optimiser has evaluated one on the whole validation set."""

    def __init__(self, meter: Meter, valset: Sequence[dspy.Example]) -> None:
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


def bare(program: dspy.Module) -> dspy.Module:
    """Return a copy of the program without LMs."""
    copy = program.deepcopy()
    copy.set_lm(None)
    return copy
