"""All that the library takes from DSPy's inside: names that DSPy does not document and may change in any release.

No other module of the library touches them, so a release that breaks one is mended here; `tests/test_private_names.py`
says which. They are imported where they are used: one that is gone breaks what needs it, and nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import dspy
import pydantic
from dspy.lm15 import Message, Request
from dspy.predict.parameter import Parameter
from pydantic_core import PydanticUndefined

__all__ = [
    "CUSTOM_TYPE",
    "Parameter",
    "chat_body",
    "default_inputs",
    "dump_engine",
    "input_names",
    "is_reasoning_model",
    "lm15_error",
    "load_engine",
    "response_format_of",
    "retry_after_seconds",
    "set_compiled",
    "streamed",
    "with_last_message",
]

CUSTOM_TYPE = "<<CUSTOM-TYPE"
"""How a text begins that DSPy's adapters read as something else than text, such as a picture."""

KEPT = tuple(field.name for field in dataclasses.fields(Request) if field.name != "messages")


def chat_body(request: Request) -> dict[str, Any]:
    """Return a request as the JSON body of OpenAI's chat API, but for its model."""
    from dspy.clients.lm15_boundary import request_kwargs

    return dict(request_kwargs(request, "chat"))


def with_last_message(request: Request, message: Message) -> Request:
    """Return the request with another last message.

    `dataclasses.replace` would check all messages anew, once for each of the many questions that share the others.
    """
    changed = object.__new__(Request)
    for name in KEPT:
        object.__setattr__(changed, name, getattr(request, name))
    object.__setattr__(changed, "messages", (*request.messages[:-1], message))
    return changed


def lm15_error(error: Exception) -> Exception:
    """Return DSPy's error for one of LiteLLM's; any other error as it is."""
    from dspy.clients.engines.litellm_errors import to_lm15_error

    translated: Exception = to_lm15_error(error)
    return translated


def streamed(request: Request, connection: Mapping[str, Any]) -> Iterator[Any]:
    """Ask for an answer in pieces, through LiteLLM; give them as DSPy's events."""
    from dspy.clients.engines import LiteLLMEngine

    yield from LiteLLMEngine(**connection).stream(request)


def retry_after_seconds(header: str | None) -> float | None:
    """Return how long a server's `Retry-After` asks to wait, in seconds from now; `None`: it does not say."""
    from dspy.clients._http import retry_after_seconds as read

    seconds: float | None = read(header)
    return seconds


def response_format_of(given: Any) -> Any:
    """Return a `response_format` as JSON: DSPy takes a pydantic class as well, and sends its schema."""
    from dspy.clients.legacy_requests import _strict_json_schema

    if not (isinstance(given, type) and issubclass(given, pydantic.BaseModel)):
        return given
    schema = {"name": given.__name__, "schema": _strict_json_schema(given.model_json_schema()), "strict": True}
    return {"type": "json_schema", "json_schema": schema}


def is_reasoning_model(model: str) -> bool:
    """Return whether a LiteLLM model string names a reasoning model of OpenAI's, which refuses a temperature."""
    from dspy.clients.lm import _is_openai_reasoning_model

    return bool(_is_openai_reasoning_model(model))


def dump_engine(engine: Any) -> dict[str, Any]:
    """Return what DSPy saves of the engine of an LM."""
    from dspy.clients.lm import _dump_engine

    return dict(_dump_engine(engine, "engine"))


def load_engine(state: Mapping[str, Any]) -> Any:
    """Rebuild the engine of an LM from what DSPy saved."""
    from dspy.clients.lm import _load_engine

    return _load_engine(state, "engine", allow_custom_lm_class=True)


def default_inputs(signature: type[dspy.Signature]) -> dict[str, Any]:
    """Return the inputs of a signature that have a default, which DSPy fills in."""
    return {
        name: field.default for name, field in signature.input_fields.items() if field.default is not PydanticUndefined
    }


def input_names(example: dspy.Example) -> set[str] | None:
    """Return which fields of an example are its inputs; `None` where `with_inputs` was never called."""
    return None if example._input_keys is None else set(example._input_keys)


def set_compiled(program: dspy.Module, compiled: bool) -> None:
    """Mark a program as compiled (DSPy's optimisers and `save` leave the parts of compiled modules alone), or not."""
    program._compiled = compiled
