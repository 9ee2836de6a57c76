"""The settings of a request, all that `dspy.LM` takes: DSPy's record of a request has fields for the common ones alone.

Others (`min_p`, `extra_body`, `chat_template_kwargs`, LiteLLM's `drop_params`, ...) stand in the record's extensions:
they are sent as they are and, as part of the request, belong to what its reply is journalled under. Credentials stay
with the engine that sends the request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import dspy
from dspy.lm15 import LM15Error, Request, request_from_openai_chat

from lbt_dspy.dspy_private import response_format_of
from lbt_dspy.errors import UserError
from lbt_dspy.lms.config import CONNECTION_SETTINGS
from lbt_dspy.lms.redaction import is_credential


def sampling_of(lm: dspy.LM, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a call: the LM's own, overlaid by `config`; nothing about its connection."""
    return {k: v for k, v in asked({**lm.kwargs, **config}).items() if not is_credential(k, v)}


def asked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that say what is asked, and those credentials that no client takes with its connection."""
    return {k: v for k, v in settings.items() if v is not None and k not in CONNECTION_SETTINGS}


def credentials_of(lm: dspy.LM) -> dict[str, Any]:
    """Return an LM's credentials that must be added to a request when it is sent, such as `azure_ad_token`."""
    return {k: v for k, v in asked(lm.kwargs).items() if is_credential(k, v)}


def split(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings that DSPy's record of a request has fields for, and the others as JSON has them.

    Raises:
        UserError: One of the others is nothing that JSON can hold.
    """
    known = dict(settings)
    if "response_format" in known:
        known["response_format"] = response_format_of(known["response_format"])
    if has_fields(known):
        return known, {}
    carried: dict[str, Any] = {}
    for _ in range(2):  # what goes with another setting alone, such as top_logprobs, is taken after that
        for name, value in known.items():
            if name not in carried and has_fields({**carried, name: value}):
                carried[name] = value
    return carried, {name: _as_json(name, value) for name, value in known.items() if name not in carried}


def with_extensions(request: Request, others: Mapping[str, Any]) -> Request:
    """Return a request with further settings, which its record has no fields for."""
    if not others:
        return request
    extensions = {**(request.config.extensions or {}), **{name: others[name] for name in sorted(others)}}
    return replace(request, config=replace(request.config, extensions=extensions))


def has_fields(settings: Mapping[str, Any]) -> bool:
    """Return whether DSPy's record of a request has fields for the settings, with these values."""
    try:
        request_from_openai_chat({"model": "-", "messages": [{"role": "user", "content": "-"}], **settings})
    except (LM15Error, TypeError, ValueError):
        return False
    return True


def _as_json(name: str, value: Any) -> Any:
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        raise UserError(
            f"the setting {name} of a model must be what JSON can hold but is a {type(value).__name__}; give texts, "
            "numbers, lists and mappings, or leave it out"
        ) from None
