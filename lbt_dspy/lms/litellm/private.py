"""All that the library takes from LiteLLM beyond what LiteLLM documents: it may change in any release.

No other module of the library touches these names, so a release that breaks one is mended here;
`tests/test_private_names.py` says which. Deprecated names are not used at all.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
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


def controls() -> frozenset[str]:
    """Return the settings of a call that LiteLLM keeps to itself or translates: no server is sent them as they are."""
    from litellm.types.utils import all_litellm_params

    return frozenset({*all_litellm_params, "drop_params", "additional_drop_params", "thinking"})


def listed_price(model: str) -> Mapping[str, Any]:
    """Return what the price map itself says of a model; nothing where it has no entry.

    (A Router adds entries with price 0 for models that are not in the map; `get_model_info` would return those.)
    """
    if model.startswith(("ollama/", "ollama_chat/")):  # it would ask the server on this machine
        return dict(litellm.model_cost.get(model) or {})
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


def matched_pattern(patterns: Sequence[tuple[str, str]], name: str) -> tuple[str, list[str]] | None:
    """Return which wildcard a name matches, as LiteLLM's Router finds it, and the models that then are asked.

    Args:
        patterns: Of each deployment its `model_name` and its `model`.
        name: Whose deployments are looked for.
    """
    router = _module("pattern_match_deployments").PatternMatchRouter()
    for pattern, model in patterns:
        router.add_pattern(pattern, {"model_name": pattern, "litellm_params": {"model": model}})
    found = router.get_deployments_by_pattern(name) or []
    return (found[0]["model_name"], [d["litellm_params"]["model"] for d in found]) if found else None


def fallback_of(chains: Mapping[str, Sequence[str]], name: str) -> list[str]:
    """Return the models that are asked after a model, as LiteLLM's Router finds them."""
    from litellm.router_utils.fallback_event_handlers import get_fallback_model_group

    found, _ = get_fallback_model_group([{key: list(others)} for key, others in chains.items()], name)
    return [str(other) for other in found or ()]


def known_settings() -> set[str]:
    """Return the names of all that `litellm_params` may hold without being sent to the provider as it is."""
    from litellm.types.router import LiteLLM_Params
    from litellm.types.utils import all_litellm_params

    return {*LiteLLM_Params.model_fields, *all_litellm_params, *litellm.OPENAI_CHAT_COMPLETION_PARAMS}


def provider_and_address(
    model: str, provider: str | None = None, address: str | None = None
) -> tuple[str | None, str | None]:
    """Return whose model it is, and where that provider is asked when no address is given; `None`: LiteLLM is not sure.

    A variable of the environment that names the provider's address counts.
    """
    named = provider or model.partition("/")[0]
    if named in UNASKED:  # to look them up would log in
        return named, None
    try:
        _, found, _, asked = litellm.get_llm_provider(model, custom_llm_provider=provider, api_base=address)
    except Exception:  # plain Exception and BadRequestError for a name that it cannot place
        return None, None
    return str(found), asked or None


def callback_names() -> set[str]:
    """Return the callbacks that LiteLLM has by name."""
    return {*litellm._known_custom_logger_compatible_callbacks, *OLD_CALLBACKS}


def set_up_callback(name: str) -> None:
    """Make a callback ready, as LiteLLM does in the first call; what is missing is raised."""
    from litellm.litellm_core_utils import litellm_logging

    if name in OLD_CALLBACKS:
        litellm_logging.set_callbacks(callback_list=[name], function_id=None)
    elif litellm_logging._init_custom_logger_compatible_class(name, None, None) is None:
        raise ValueError("LiteLLM could not set it up")


OLD_CALLBACKS = frozenset(
    {"athina", "datadog", "dynamodb", "greenscale", "helicone", "langfuse", "logfire", "lunary", "openmeter",
     "promptlayer", "s3", "sentry", "slack", "supabase", "traceloop", "wandb"}
)  # fmt: skip
"""Those that LiteLLM sets up by a chain of comparisons, of which there is no list."""
UNASKED = ("github_copilot", "chatgpt")


def _module(name: str) -> Any:
    """Return a module that has moved between LiteLLM's versions."""
    homes = ("litellm.litellm_core_utils", "litellm.router_utils")
    home = next(home for home in homes if importlib.util.find_spec(f"{home}.{name}"))
    return importlib.import_module(f"{home}.{name}")


def routing(avoided: Iterable[str], heard: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """Return what a request to a Router says besides its content.

    Args:
        avoided: Ids of deployments that must not be picked, as the Router's own retries name them to it.
        heard: Called just before the request goes out, and when there is a reply; see `Heard`.
    """
    without = list(avoided)
    told: dict[str, Any] = {"logger_fn": heard}
    return {**told, "_excluded_deployment_ids": without} if without else told


def deployment_of(reply: Any) -> str | None:
    """Return the id of the deployment that replied; `None`: not known."""
    found: str | None = (getattr(reply, "_hidden_params", None) or {}).get("model_id")
    return found


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
