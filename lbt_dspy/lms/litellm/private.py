"""All that the library takes from LiteLLM beyond what LiteLLM documents: it may change in any release.

No other module of the library touches these names, so a release that breaks one is mended here;
`tests/test_private_names.py` says which. Deprecated names are not used at all.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lbt_dspy.lms.litellm.setup import litellm

NO_JSON = "Unable to get json response"
LOGGERS = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy")


def hush() -> None:
    """Let LiteLLM print, log and report nothing."""
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def providers() -> set[str]:
    """Return LiteLLM's names of all providers."""
    listed: Any = litellm.provider_list
    return {str(getattr(provider, "value", provider)) for provider in listed}


def listed_price(model: str) -> Mapping[str, Any]:
    """Return what the price map itself says of a model; nothing where it has no entry.

    (A Router adds entries with price 0 for models that are not in the map; `get_model_info` would return those.)
    """
    try:
        info = litellm.get_model_info(model)
    except Exception:  # plain Exception for a model that is not in the map
        return {}
    return dict(litellm.model_cost.get(info["key"]) or {})


class Heard:
    """What LiteLLM tells of a request while it is on its way: that it goes out, and the body of its reply."""

    def __init__(self) -> None:
        self.sent = False
        self._body = ""

    def __call__(self, details: Mapping[str, Any]) -> None:
        """Take note; what is told is a text once a reply with a status of success is there."""
        self.sent = True
        body = details.get("original_response")
        self._body = body if isinstance(body, str) else self._body

    def chat_body(self, error: Exception | None = None) -> dict[str, Any] | None:
        """Return the body as the server sent it, where it is one of OpenAI's chat API; else `None`.

        Args:
            error: What LiteLLM raised on it; one about its JSON holds.
        """
        if error is not None and NO_JSON in str(error):
            return None
        try:
            body = json.loads(self._body.removeprefix("\ufeff"))
        except (ValueError, RecursionError):
            return None
        fits = isinstance(body, dict) and ("choices" in body or "error" in body or body.get("object") == "error")
        return body if fits else None


def routing(avoided: Iterable[str], heard: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """Return what a request to a Router says besides its content.

    Args:
        avoided: Ids of deployments that must not be picked, as the Router's own retries name them to it.
        heard: Called just before the request goes out, and when there is a reply; see `Heard`.
    """
    without = list(avoided)
    told: dict[str, Any] = {"logger_fn": heard}
    return {**told, "_excluded_deployment_ids": without} if without else told


def told_of(reply: Any) -> tuple[str | None, float | None]:
    """Return the id of the deployment that replied, and what LiteLLM thinks that cost in US dollars."""
    hidden = getattr(reply, "_hidden_params", None) or {}
    return hidden.get("model_id"), hidden.get("response_cost")


def cooldown_of(error: Exception) -> float | None:
    """Return for how many seconds all deployments cool down; `None`: the error says something else."""
    if not type(error).__name__.startswith("RouterRateLimitError"):
        return None
    return float(getattr(error, "cooldown_time", 1.0))


def is_forked(error: Exception) -> bool:
    """Return whether LiteLLM refuses to work because this process was forked from one in which it has worked."""
    return type(error).__name__ == "ForkedAfterNativeRuntimeStarted"


def failed_deployment(error: Exception) -> str | None:
    """Return the id of the deployment whose request failed; `None`: not known."""
    named: str | None = getattr(error, "failed_deployment_id", None)
    return named


def response_header(error: Exception, name: str) -> str | None:
    """Return a header (its name in small letters) of the response that an error came with; `None`: it has none."""
    headers = getattr(error, "litellm_response_headers", None) or {}
    value: str | None = headers.get(name)
    return value
