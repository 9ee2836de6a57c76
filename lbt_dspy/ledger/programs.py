"""Programs of any shape, all of whose calls go through the ledger."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import dspy
from dspy.utils.exceptions import AdapterParseError

from lbt_dspy.errors import CallFailedError, LbTError
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.calls import call_of
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.lms.engine import AsyncEngine, Request, Response, as_response
from lbt_dspy.lms.faults import EMPTY
from lbt_dspy.lms.settings import asked, sampling_of, split, with_extensions
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.warned import warnings_shown

T = TypeVar("T")
_empty: contextvars.ContextVar[list[str]] = contextvars.ContextVar("why answers of this run of the program are empty")
_lost: contextvars.ContextVar[list[LbTError]] = contextvars.ContextVar("lost calls of this run of the program")


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

    def complete(self, request: Request) -> Response:
        """Pay for one request.

        Raises:
            CallFailedError: It got no usable reply.
        """
        call = call_of(with_extensions(request, self.others), engine_of(self.lm), self.sitting)
        try:
            (reply,) = self.ledger.ask([call], role=self.role, account=self.account)
            if reply.text is None:
                raise CallFailedError(reply.reason)
        except LbTError as error:
            lost = _lost.get(None)  # None in a thread that the program started without its context
            if lost is not None:
                lost.append(error)
            raise
        if not reply.text.strip() and reply.reason not in (None, EMPTY):
            _empty.get([]).append(str(reply.reason))
        return as_response(request.model, reply.text, reply.input_tokens, reply.output_tokens)

    def __deepcopy__(self, memo: dict[int, Any]) -> PaidEngine:
        return self


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a program."""

    prediction: dspy.Prediction | None
    """`None`: it came to no answer."""
    reason: str | None = None
    """Why there is no prediction."""
    measured: bool = True
    """False: a call was lost, or the program itself failed, so nothing is known of the model's answer."""
    trace: Sequence[tuple[dspy.Predict, dict[str, Any], dspy.Prediction]] = ()
    """What each predictor was asked and answered, in order, as DSPy traces it."""


@dataclass(frozen=True, kw_only=True)
class PaidProgram:
    """Makes copies of a program whose calls are paid for, and runs them."""

    program: dspy.Module
    adapter: dspy.Adapter
    ledger: Ledger
    account: Account

    def paid(self, lm: dspy.LM, role: str, sitting: int, config: Mapping[str, Any]) -> dspy.LM:
        """Return the LM whose requests the ledger pays for, with these settings over its own."""
        kept, others = split(sampling_of(lm, config))
        engine = PaidEngine(lm=lm, ledger=self.ledger, role=role, account=self.account, sitting=sitting, others=others)
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
        """Run a copy once. An answer that cannot be read is an answer; a run with a lost call is not measured.

        Raises:
            LbTError: The budget is spent, the ledger was stopped, or a model is refused or out of reach.
        """
        lost: list[LbTError] = []
        trace: list[Any] = []
        token = _lost.set(lost)
        empty: list[str] = []
        why = _empty.set(empty)
        try:
            with warnings_shown(), dspy.context(lm=default, adapter=self.adapter, trace=trace, disable_history=True):
                outcome = Run(prediction=program(**inputs), trace=trace)
        except AdapterParseError:
            outcome = Run(prediction=None, reason=next(iter(empty), "unreadable answer"))
        except Exception as error:
            outcome = Run(prediction=None, reason=f"{type(error).__name__}: {error}", measured=False)
        finally:
            _lost.reset(token)
            _empty.reset(why)
        for loss in lost:
            if not isinstance(loss, CallFailedError):
                raise loss
        return Run(prediction=None, reason=str(lost[0]), measured=False) if lost else outcome


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
