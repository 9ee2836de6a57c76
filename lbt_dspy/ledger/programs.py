"""Programs of any shape, all of whose calls go through the ledger."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import dspy
from dspy.utils.exceptions import AdapterParseError

from lbt_dspy.errors import CallFailedError, LbTError, NoAnswerError, UserError
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.calls import call_of
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.ledger.raised import described, from_outside, is_mistake, mistake, place_of, tell_if_all_alike
from lbt_dspy.lms.engine import AsyncEngine, Request, Response, as_response
from lbt_dspy.lms.faults import EMPTY
from lbt_dspy.lms.settings import asked, sampling_of, split, with_extensions
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.warned import warnings_shown

T = TypeVar("T")


@dataclass
class Meter:
    """What came of the calls of one run of a program."""

    lost: list[LbTError] = field(default_factory=list)
    answered: bool = False
    """Whether a model has answered."""
    empty: list[str] = field(default_factory=list)
    """Why answers were empty, where there is more to say."""


_meter: contextvars.ContextVar[Meter] = contextvars.ContextVar("of this run of the program")


@dataclass(frozen=True, kw_only=True)
class PaidEngine:
    """A DSPy engine that sends each request through the ledger, under one role and account."""

    lm: dspy.LM
    ledger: Ledger
    role: str
    account: Account
    sitting: int
    others: Mapping[str, Any] = field(default_factory=dict)
    """Settings that DSPy's record of a request has no fields for."""
    stray: Meter = field(default_factory=Meter)
    """Of calls from threads that the program started without its context: nobody knows which run they are of."""

    def complete(self, request: Request) -> Response:
        """Pay for one request.

        Raises:
            CallFailedError: It got no usable reply.
        """
        meter = _meter.get(self.stray)
        call = call_of(with_extensions(request, self.others), engine_of(self.lm), self.sitting)
        try:
            (reply,) = self.ledger.ask([call], role=self.role, account=self.account)
            if reply.text is None:
                raise CallFailedError(reply.reason)
        except LbTError as error:
            meter.lost.append(error)
            raise
        meter.answered = True
        if not reply.text.strip() and reply.reason not in (None, EMPTY):
            meter.empty.append(str(reply.reason))
        return as_response(request.model, reply.text, reply.input_tokens, reply.output_tokens)

    def __deepcopy__(self, memo: dict[int, Any]) -> PaidEngine:
        return self


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a program."""

    prediction: dspy.Prediction | None
    """`None`: it came to no answer that could be used."""
    reason: str | None = None
    """Why there is no prediction."""
    measured: bool = True
    """False: a call was lost, or something outside failed, so nothing is known of the model's answer."""
    trace: Sequence[tuple[dspy.Predict, dict[str, Any], dspy.Prediction]] = ()
    """What each predictor was asked and answered, in order, as DSPy traces it."""


@dataclass(frozen=True, kw_only=True)
class PaidProgram:
    """Makes copies of a program whose calls are paid for, and runs them."""

    program: dspy.Module
    adapter: dspy.Adapter
    ledger: Ledger
    account: Account
    stray: Meter = field(default_factory=Meter)
    ends: list[str | None] = field(default_factory=list)
    """Of each run so far: kind and place of the error after which its answer could not be used, where there was one."""

    def paid(self, lm: dspy.LM, role: str, sitting: int, config: Mapping[str, Any]) -> dspy.LM:
        """Return the LM whose requests the ledger pays for, with these settings over its own."""
        kept, others = split(sampling_of(lm, config))
        engine = PaidEngine(lm=lm, ledger=self.ledger, role=role, account=self.account, sitting=sitting, others=others,
            stray=self.stray,
        )  # fmt: skip
        return dspy.LM(lm.model, engine=engine, async_engine=AsyncEngine(engine), cache=False, num_retries=0, **kept)

    def copy(
        self, lm_for: Callable[[str, dspy.LM | None], dspy.LM | None]
    ) -> tuple[dspy.Module, dict[int, str], dspy.LM | None]:
        """Return a copy of the program, the names of its predictors by id, and the LM of whatever has none.

        Args:
            lm_for: Gives the paid LM of a predictor (by name and own LM) or, for name "", of the configured LM.
        """
        copy = self.program.deepcopy()
        names = {id(predictor): name for name, predictor in copy.named_predictors()}
        default = lm_for("", dspy.settings.lm)
        for place, predictor in all_predictors(copy):
            predictor.lm = lm_for(names.setdefault(id(predictor), place), predictor.lm)
            predictor.config, others = split_config(predictor.config)
            if others and (predictor.lm or default) is not None:
                predictor.lm = with_others(predictor.lm or default, others)
        return copy, names, default

    def run(self, program: dspy.Module, default: dspy.LM | None, inputs: Mapping[str, Any]) -> Run:
        """Run a copy once. An answer that cannot be used is an answer; a run with a lost call is not measured.

        Raises:
            LbTError: The budget is spent, the ledger was stopped, or a model is refused or out of reach.
            UserError: The program has a mistake (see `raised`), or what it returned is no prediction.
        """
        meter = Meter()
        trace: list[Any] = []
        token = _meter.set(meter)
        answer: Any = None
        raised: Exception | None = None
        try:
            with (
                warnings_shown(),
                dspy.context(lm=default, adapter=self.adapter, trace=trace, disable_history=True, send_stream=None),
            ):
                answer = program(**inputs)
        except Exception as error:  # a program may raise anything
            raised = error
        finally:
            _meter.reset(token)
        for loss in meter.lost:
            if not isinstance(loss, CallFailedError):
                raise loss
        if meter.lost:
            return Run(prediction=None, reason=str(meter.lost[0]), measured=False)
        if raised is not None:
            return self._raised(raised, inputs, meter)
        self.ends.append(None)
        return Run(prediction=as_prediction(answer), trace=trace)

    def _raised(self, error: Exception, inputs: Mapping[str, Any], meter: Meter) -> Run:
        """Return a run that ended in an error, or raise what the user is to mend."""
        answered = meter.answered or self.stray.answered
        if isinstance(error, UserError):
            raise error
        if isinstance(error, NoAnswerError):  # of a program in this one
            return Run(prediction=None, reason=str(error), measured=error.measured)
        if from_outside(error):
            return Run(prediction=None, reason=described(error), measured=False)
        if not answered or is_mistake(error):
            raise mistake(error, inputs, answered=answered) from error
        if isinstance(error, AdapterParseError):
            return Run(prediction=None, reason=next(iter(meter.empty), "unreadable answer"))
        self.ends.append(f"{type(error).__name__} in {place_of(error)}")
        return Run(prediction=None, reason=f"the answer could not be used: {described(error)}")

    def tell_if_all_alike(self) -> None:
        """Warn where all runs so far ended in the same error."""
        tell_if_all_alike(self.ends)


def as_prediction(answer: object) -> dspy.Prediction:
    """Return what a program returned, a mapping as a prediction.

    Raises:
        UserError: It is neither.
    """
    if isinstance(answer, dspy.Prediction):
        return answer
    if isinstance(answer, dspy.Example | Mapping):
        return dspy.Prediction(**dict(answer.items()))
    if inspect.iscoroutine(answer):
        answer.close()
    raise UserError(
        f"the program's forward must return a dspy.Prediction but returned {str(answer)[:60]!r}, a "
        f"{type(answer).__name__}; end it with return dspy.Prediction(...), with all that it answers"
    )


def split_config(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a predictor's settings that DSPy passes on to an engine, and the others, which it would refuse."""
    others = split(asked(config))[1]
    return {name: value for name, value in config.items() if name not in others}, others


def with_others(lm: dspy.LM, others: Mapping[str, Any]) -> dspy.LM:
    """Return a paid LM that adds further settings to its requests."""
    engine = replace(lm.engine, others={**lm.engine.others, **others})
    return lm.copy(engine=engine, async_engine=AsyncEngine(engine))


def all_predictors(program: dspy.Module) -> list[tuple[str, dspy.Predict]]:
    """Return every predictor with its place, also of parts that DSPy leaves out because an optimiser compiled them."""
    return list(program.named_sub_modules(dspy.Predict))


def in_threads(ledger: Ledger, work: Sequence[Callable[[], T]], *, most: int | None = None) -> list[T]:
    """Do pieces of work that ask the ledger, in as many threads as it has workers (at most `most`); results in order.

    The first error, or Ctrl-C, stops the ledger and is raised.
    """
    if len(work) == 1:
        return [work[0]()]
    threads = min(ledger.workers, most or ledger.workers, len(work) or 1)
    with ThreadPoolExecutor(threads, thread_name_prefix="lbt-program") as pool:
        futures = [pool.submit(contextvars.copy_context().run, piece) for piece in work]
        try:
            ledger.map(futures)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]
