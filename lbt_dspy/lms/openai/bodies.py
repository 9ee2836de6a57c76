"""Requests as the JSON of OpenAI's chat API; what the questions of an exam share is written once."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from dspy.lm15 import Request

from lbt_dspy.dspy_private import chat_body

CACHED_PREFIXES = 512
OUTPUT_LIMIT, REASONING_LIMIT = "max_tokens", "max_completion_tokens"
"""The name that all servers know, and the only one that OpenAI's reasoning models take."""


class ChatBodies:
    """Writes requests as JSON without the opening brace and the model; what requests share is written once.

    Args:
        limit: Name of the limit of new tokens.
    """

    def __init__(self, limit: str) -> None:
        self._limit = limit
        self._prefixes: OrderedDict[tuple[int, ...], tuple[Request, str | None]] = OrderedDict()

    def of(self, request: Request, extra: Mapping[str, Any] | None = None) -> str:
        """Return the body of a request, with `extra` settings."""
        last = request.messages[-1]
        text = last.text if last.role == "user" and len(last.parts) == 1 and extra is None else None
        prefix = None if text is None else self._prefix(request, text)
        if prefix is None:
            return json.dumps(_settings(request, self._limit) | dict(extra or {}))[1:]
        return f'{prefix}{{"role": "user", "content": {json.dumps(text)}}}]}}'

    def _prefix(self, request: Request, text: str) -> str | None:
        """Return all before the last message; `None` where the last message is more than a text."""
        key = (id(request.system), id(request.config), id(request.tools), *map(id, request.messages[:-1]))
        hit = self._prefixes.get(key)
        if hit is None:
            settings = _settings(request, self._limit)
            *shared, last = settings.pop("messages")
            head = json.dumps({**settings, "messages": shared})[1:-2] + (", " if shared else "")
            plain = last == {"role": "user", "content": text}
            hit = self._prefixes[key] = (request, head if plain else None)  # the request keeps its parts' ids
            if len(self._prefixes) > CACHED_PREFIXES:
                self._prefixes.popitem(last=False)
        return hit[1]


def _settings(request: Request, limit: str) -> dict[str, Any]:
    data = chat_body(request)
    if "max_completion_tokens" in data:
        data[limit] = data.pop("max_completion_tokens")
    if request.config.top_k is not None:
        data["top_k"] = request.config.top_k
    return data | (data.pop("extra_body", None) or {})
