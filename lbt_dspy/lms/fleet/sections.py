"""The parts of a YAML that this library does not know: named once in a warning, or refused where they could mislead."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from lbt_dspy.errors import UserError

logger = logging.getLogger(__name__)
SECTIONS = ("model_list", "router_settings", "litellm_settings", "credential_list", "environment_variables")
PROXY_ONLY = frozenset({"general_settings"})
"""Of the proxy's own affairs: its master key, its database. Nothing in it is about how models are asked."""
ENTRY = ("model_name", "litellm_params", "model_info")
CONNECTION = ("api_base", "base_url", "api_key", "api_version", "custom_llm_provider", "litellm_credential_name")
SPELLINGS = {"endpoint": "api_base", "url": "api_base", "host": "api_base", "address": "api_base", "key": "api_key"}
GLOBAL = frozenset({"api_base", "api_key", "openai_key", "azure_key", "model_alias_map", "use_litellm_proxy"})
"""Of `litellm_settings`: LiteLLM would use them for every model of the process, also for those of other files."""
JOURNAL = frozenset({"cache", "cache_params", "cache_responses", "cache_kwargs", "caching_groups"})
"""LiteLLM's caches, which would answer instead of the model: replies are kept by the journal."""
ELSEWHERE = {
    "fallbacks": "router_settings", "context_window_fallbacks": "router_settings",
    "content_policy_fallbacks": "router_settings", "context_window_fallback_dict": "router_settings",
    "model_list": "the top level of the file", "silent_model": "an entry of its own",
    "use_litellm_proxy": "model: litellm_proxy/NAME",
}  # fmt: skip
"""Settings of a model by which LiteLLM would ask other models, or elsewhere, uncounted; and where they belong."""
MONEY = ("n", "best_of", "max_tokens", "max_completion_tokens", "extra_body", "service_tier")
"""Settings that decide what a request can cost."""
OF_TEAMS = ("team_id", "team_public_model_name", "supported_environments")
"""In `model_info`: whom LiteLLM's proxy serves."""
_said: set[str] = set()


def warn_once(line: str) -> None:
    """Say one line, once in a process."""
    if line not in _said:
        _said.add(line)
        logger.warning(line)


def check_sections(loaded: Mapping[str, Any], where: str) -> None:
    """Warn of top-level sections that are not used.

    Raises:
        UserError: There is an `include`, or something that is no section and would change where models are asked.
    """
    if "include" in loaded:
        raise UserError(f"{where}: include is not supported; write all models into one file")
    for name in map(str, loaded):
        if name in CONNECTION or name in ENTRY[1:]:
            raise UserError(f"{where}: {name} stands at the top level; put it under a model's litellm_params")
        near = difflib.get_close_matches(name, SECTIONS, n=1, cutoff=0.8)
        if name not in SECTIONS and near:
            raise UserError(f"{where}: unknown section {name!r}; did you mean {near[0]}?")
        if name not in SECTIONS and name not in PROXY_ONLY:
            warn_once(f"{where}: the section {name} is not used here")


def check_entry(entry: Mapping[str, Any], where: str) -> None:
    """Warn of keys beside `litellm_params` that are not used.

    Raises:
        UserError: One says where or how a model is asked, but stands in the wrong place.
    """
    for key in map(str, entry):
        if key in ENTRY:
            continue
        if key in CONNECTION or _is_address(entry[key]) or key in SPELLINGS:
            raise UserError(f"{where}: {key} stands beside litellm_params; put it under litellm_params")
        near = difflib.get_close_matches(key, ENTRY, n=1, cutoff=0.8)
        if near:
            raise UserError(f"{where}: unknown key {key!r}; did you mean {near[0]}?")
        warn_once(f"{where}: the key {key} beside litellm_params is not used")


def check_info(info: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return `model_info` without what is about the proxy's teams, of which it warns.

    Raises:
        UserError: The entry is blocked.
    """
    if info.get("blocked"):
        raise UserError(f"{where} is blocked in its model_info; take that out, or name another model")
    for name in OF_TEAMS:
        if info.get(name):
            warn_once(f"{where}: {name} is of LiteLLM's proxy, and not used here")
    return {name: value for name, value in info.items() if name not in OF_TEAMS}


def check_params(params: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Refuse a misspelt address or key: without it the model would be asked somewhere else.

    Args:
        params: `litellm_params`.
        known: All names that LiteLLM knows.
        where: Names the model, for messages.
    """
    for key in ELSEWHERE:
        if params.get(key):
            raise UserError(f"{where}: {key} is not for litellm_params; write it as {ELSEWHERE[key]}, or leave it out")
    names = set(known)
    for key, value in params.items():
        key = str(key)
        if key in names or key in CONNECTION:
            continue
        meant = _meant(key)
        if meant is not None or _is_address(value):
            raise UserError(f"{where}: unknown setting {key!r}; did you mean {meant or 'api_base'}?")


def check_globals(settings: dict[str, Any], where: str) -> None:
    """Take out what LiteLLM must not be told for the whole process.

    Raises:
        UserError: It is an address or a key.
    """
    for name in sorted(GLOBAL & set(settings)):
        way_out = "router_settings: model_group_alias" if name == "model_alias_map" else "a model's litellm_params"
        raise UserError(f"{where}: {name} would hold for every model of the process; put it under {way_out}")
    defaults = settings.get("default_litellm_params") or {}
    for name in sorted(set(defaults) & {*CONNECTION, *ELSEWHERE, *MONEY} if isinstance(defaults, dict) else ()):
        raise UserError(f"{where}: default_litellm_params: {name} belongs to a model; put it under its litellm_params")
    for name in sorted(JOURNAL & set(settings)):
        if settings.pop(name):
            warn_once(f"{where}: {name} is not used, replies are kept by the journal")


def _meant(key: str) -> str | None:
    plain = key.lower().replace("-", "_")
    if plain in CONNECTION or plain in SPELLINGS:
        return SPELLINGS.get(plain, plain)
    return next(iter(difflib.get_close_matches(plain, CONNECTION, n=1, cutoff=0.8)), None)


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("http://", "https://"))
