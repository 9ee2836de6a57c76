"""Any `dspy.LM` behind the ledger's engine contract."""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import dspy
from dspy import lm15
from dspy.lm15 import Request

from lbt_dspy.lms.config import SECRET_NAME
from lbt_dspy.lms.engine import Answer, ModelEngine
from lbt_dspy.lms.faults import Fault
from lbt_dspy.lms.logprobs import encode

REQUEST_TIMEOUT = 60.0
_engines: weakref.WeakKeyDictionary[Any, ModelEngine] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


class UserEngine(ModelEngine):
    """A `dspy.LM` of the user's own, asked without its cache and its retries: the journal and the ledger do both.

    Args:
        lm: The LM. Its connection settings stay with it; its sampling settings are rendered into each request.
    """

    gives_logprobs = None

    def __init__(self, lm: dspy.LM) -> None:
        super().__init__(lm.model, identity_of(lm))
        changes: dict[str, Any] = {"cache": False, "num_retries": 0}
        if isinstance(lm.engine, str) and lm.kwargs.get("timeout") is None:
            changes["timeout"] = REQUEST_TIMEOUT
        self._lm = lm.copy(**changes)
        self.secrets = secrets_of(lm)

    def answer(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        """Send the request once."""
        try:
            with dspy.context(disable_history=True):
                response = self._lm(request)
        except dspy.utils.exceptions.LMError as error:
            raise error.__cause__ if isinstance(error.__cause__, lm15.LM15Error) else error from None
        usage = response.usage
        listed = response.logprobs or ()
        return Answer(
            response.text or "", response.finish_reason, usage.input_tokens or 0, usage.output_tokens or 0, None,
            encode((t.token, t.logprob, {top.token: top.logprob for top in t.top}) for t in listed) if listed else None,
        )  # fmt: skip

    def likely_cost(self, request: Request, output_tokens: int) -> float | None:
        """Return `None`: the price is unknown."""
        return None

    @property
    def priced(self) -> bool:
        """Never: the price of a user's own LM is not known here; name it in a LiteLLM YAML to have it."""
        return False

    def worst_cost(self, request: Request, choices: int = 1) -> float | None:
        """Return `None`: the price is unknown."""
        return None


def engine_of(lm: dspy.LM) -> ModelEngine:
    """Return the engine through which the ledger asks `lm`; the same LM always gives the same engine.

    An LM at an address that speaks OpenAI's chat API is asked by the lean client, unless its `engine` says otherwise.
    """
    if isinstance(lm.engine, ModelEngine):
        return lm.engine
    with _lock:
        engine = _engines.get(lm)
        if engine is None:
            from lbt_dspy.lms.openai_compatible import lean_engine

            engine = _engines[lm] = lean_engine(lm) or UserEngine(lm)
        return engine


def identity_of(lm: dspy.LM) -> str:
    """Name an LM of the user's own and where it is, without anything secret."""
    address = lm.kwargs.get("api_base") or lm.kwargs.get("base_url")
    own = type(lm.engine).__name__ if not isinstance(lm.engine, str) else ""
    return "|".join(filter(None, [lm.model, own, public_url(str(address or ""))]))


def secrets_of(lm: dspy.LM) -> tuple[str, ...]:
    """Return the keys and headers of an LM."""
    named = {k: v for k, v in lm.kwargs.items() if v and ("key" in k.lower() or k.lower() == "token")}
    headers = [v for name in ("headers", "extra_headers") for v in (lm.kwargs.get(name) or {}).values()]
    return tuple(str(value) for value in (*named.values(), *headers) if len(str(value)) >= 4)


def without_secrets(program: dspy.Module) -> dspy.Module:
    """Return a copy of a program for a file: its LMs without keys, tokens and headers, which they then lack."""
    copy = program.deepcopy()
    for predictor in copy.predictors():
        if predictor.lm is not None:
            public = public_settings(predictor.lm.kwargs)
            predictor.lm = predictor.lm.copy(**{name: public.get(name) for name in predictor.lm.kwargs})
    return copy


def public_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without what a telling name holds (numbers, as in `max_tokens`, aside), addresses cleaned."""
    public: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            value = public_settings(value)
        elif isinstance(value, str) and "://" in value:
            value = public_url(value)
        if isinstance(value, int | float) or not SECRET_NAME.search(name):
            public[name] = value
    return public


def public_url(url: str) -> str:
    """Return a URL without user, password, query and fragment."""
    return re.sub(r"//[^/@]*@", "//", url.split("?")[0].split("#")[0]).rstrip("/")
