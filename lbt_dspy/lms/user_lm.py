"""Any `dspy.LM` behind the ledger's engine contract."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from typing import Any

import dspy
from dspy import lm15
from dspy.lm15 import Request

from lbt_dspy.lms.config import REQUEST_TIMEOUT
from lbt_dspy.lms.engine import Answer, ModelEngine
from lbt_dspy.lms.faults import Fault
from lbt_dspy.lms.logprobs import encode
from lbt_dspy.lms.openai.client import lean_engine
from lbt_dspy.lms.redaction import identity_of, public_url, secrets_of
from lbt_dspy.lms.replies.chat import read_reply
from lbt_dspy.lms.settings import credentials_of, has_fields, with_extensions

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
        self._litellm = self._lm.copy(engine="litellm") if lm.engine == "auto" else self._lm
        """Asked with settings that DSPy's own clients have no fields for, as DSPy itself does it."""
        self._credentials = credentials_of(lm)
        self.secrets = secrets_of(lm)
        self.addresses = (place,) if (place := public_url(str(lm.kwargs.get("api_base") or ""))) else ()

    def answer(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        """Send the request once."""
        plain = not self._credentials and has_fields(request.config.extensions or {})
        lm = self._lm if plain else self._litellm
        try:
            with dspy.context(disable_history=True, send_stream=None):
                response = lm(with_extensions(request, self._credentials))
        except dspy.utils.exceptions.LMError as error:
            raise error.__cause__ if isinstance(error.__cause__, lm15.LM15Error) else error from None
        if "choices" in (response.provider_data or {}):  # it was read from a body of OpenAI's chat API
            return read_reply(response.provider_data, None)[0]
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
            engine = _engines[lm] = lean_engine(lm) or UserEngine(lm)
        return engine
