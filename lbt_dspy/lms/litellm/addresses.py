"""Where a deployment is asked, and with which key: a key of the environment goes to its provider's own address alone.

LiteLLM sends, to whatever address a YAML gives, the key that the environment has for the provider in the model's name.
Here such a key goes to that provider, to the address that the environment itself names beside the key
(`OPENAI_API_BASE`), and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from lbt_dspy.errors import UserError
from lbt_dspy.lms.config import Deployment
from lbt_dspy.lms.fleet.environment import REFERENCE, Environment
from lbt_dspy.lms.fleet.sections import check_params, warn_once
from lbt_dspy.lms.litellm.private import known_settings, provider_and_address
from lbt_dspy.lms.litellm.setup import litellm
from lbt_dspy.lms.redaction import public_url

ADDRESSES = ("api_base", "base_url")
AZURE = ("azure.com", "azure.us", "azure.cn")
HOMES: Mapping[str, tuple[str, ...]] = {
    "openai": ("api.openai.com", "openai.com"), "text-completion-openai": ("api.openai.com", "openai.com"),
    "anthropic": ("api.anthropic.com", "anthropic.com"), "gemini": ("generativelanguage.googleapis.com",),
    "azure": AZURE, "azure_ai": AZURE, "azure_text": AZURE, "cohere": ("cohere.com", "cohere.ai"),
    "cohere_chat": ("cohere.com", "cohere.ai"), "openrouter": ("openrouter.ai",), "replicate": ("replicate.com",),
    "huggingface": ("huggingface.co", "huggingface.cloud"), "databricks": ("databricks.com", "azuredatabricks.net"),
}  # fmt: skip
"""By provider, hosts of its own, beside the one that LiteLLM asks when nothing is said."""
ANYWHERE = frozenset(
    {"hosted_vllm", "vllm", "ollama", "ollama_chat", "lm_studio", "litellm_proxy", "openai_like", "custom_openai",
     "llamafile", "xinference", "oobabooga", "triton", "docker_model_runner", "lemonade"}
)  # fmt: skip
"""Servers that users run themselves: the environment's key with such a name is for whatever address is named."""
NEEDS_ADDRESS = frozenset({"hosted_vllm", "lm_studio", "litellm_proxy", "openai_like", "custom_openai"})
"""Those of which LiteLLM would otherwise look for an address elsewhere."""
OTHER_SECRETS = frozenset(
    {"bedrock", "bedrock_converse", "sagemaker", "sagemaker_chat", "vertex_ai", "vertex_ai_beta", "watsonx", "oci",
     "snowflake", "sap", "github_copilot", "chatgpt"}
)  # fmt: skip
"""They sign requests, or log in: there is no key to be sent."""
SIGNS = ("azure_ad_token", "client_secret", "tenant_id", "azure_username")


def reachable(deployment: Deployment, environment: Environment) -> Deployment:
    """Return a deployment with the address and the key that the YAML itself gives, or without a key.

    Raises:
        UserError: Its address is none, or nowhere.
    """
    params, where = dict(deployment.params), f"the model {deployment.name}"
    check_params(params, known_settings(), where)
    given = _given(params, where)
    provider, _ = _provider(deployment, given, where)
    own = next(filter(None, map(environment.given, address_variables(provider))), None)
    if given is None and own is not None:
        params["api_base"] = given = _checked(own, where)
    if provider in NEEDS_ADDRESS and given is None and _of_environment(provider) is None:
        raise UserError(
            f"{where} needs the address of its server: {params['model']}@http://host:port/v1, api_base in "
            f"the YAML, or export {address_variables(provider)[0]}=..."
        )
    key = environment.given(key_variable(provider))
    if not params.get("api_key") and key is not None:
        params["api_key"] = key
    if params.get("api_key") is not None and not isinstance(params["api_key"], str):
        params["api_key"] = str(params["api_key"])
    keyless = given is not None and not params.get("api_key") and not _takes_key(provider, given, params)
    if keyless and os.environ.get(key_variable(provider)):
        warn_once(_withheld(deployment.name, provider, given or ""))
    return replace(deployment, params=params, keyless=keyless)


def check_key(deployment: Deployment) -> None:
    """Raise `UserError` when the provider's key is nowhere."""
    params = deployment.params
    if deployment.keyless or params.get("api_key") is not None:
        return
    model = str(params["model"])
    wanted = litellm.validate_environment(
        model=model, api_base=params.get("api_base"), api_version=params.get("api_version")
    )
    local = model.split("/")[0] in ANYWHERE and _given(params, "") is not None
    missing = [] if local else [key for key in wanted["missing_keys"] if "KEY" in key or "TOKEN" in key]
    if missing and not wanted["keys_in_environment"]:
        raise UserError(
            f"the model {deployment.name} needs a key: export {missing[0]}=... (keys are read from the environment)"
        )


def address_of(deployment: Deployment) -> str:
    """Return where a deployment is asked, for people; nothing secret is in it."""
    params = deployment.params
    named = next((params[name] for name in ADDRESSES if params.get(name)), None)
    if named is None:
        place = deployment.place or {}
        unset = next((place[name] for name in ADDRESSES if str(place.get(name) or "").startswith(REFERENCE)), None)
        if unset is not None:
            return f"${unset.removeprefix(REFERENCE)} (not set)"
    provider, default = provider_and_address(str(params["model"]), params.get("custom_llm_provider"))
    found = named or _of_environment(provider or "") or default
    return public_url(str(found)) if found else HOMES.get(provider or "", (f"{provider}'s own address",))[0]


def address_variables(provider: str) -> tuple[str, ...]:
    """Return the variables in which the environment may name a provider's address."""
    return (f"{_upper(provider)}_API_BASE", *(("OPENAI_BASE_URL",) if provider == "openai" else ()))


def key_variable(provider: str) -> str:
    """Return the variable in which the environment has a provider's key."""
    return f"{_upper(provider)}_API_KEY"


def is_own(provider: str, address: str) -> bool:
    """Return whether an address is the provider's own, or the one that the environment names beside its key."""
    host = (urlsplit(address).hostname or "").lower()
    _, default = provider_and_address(f"{provider}/m")
    homes = (*HOMES.get(provider, ()), *([urlsplit(default).hostname or ""] if default else ()))
    return public_url(address) == public_url(_of_environment(provider) or "") or any(
        home and (host == home or host.endswith(f".{home}")) for home in homes
    )


def _provider(deployment: Deployment, address: str | None, where: str) -> tuple[str, str | None]:
    model, named = str(deployment.params["model"]), deployment.params.get("custom_llm_provider")
    provider, default = provider_and_address(model, named)
    if provider is None and address is not None:
        provider, _ = provider_and_address(model, named, address)
    if provider is None:
        raise UserError(
            f"{where} asks for {model!r}, which names no provider that LiteLLM knows; write openai/{model} for a "
            "server that speaks OpenAI's chat API"
        )
    return provider, default


def _takes_key(provider: str, address: str, params: Mapping[str, Any]) -> bool:
    """Return whether an endpoint without a key of its own has one, or needs none, that the environment may give."""
    if provider in OTHER_SECRETS or any(params.get(name) for name in SIGNS):
        return True
    return bool(os.environ.get(key_variable(provider))) if provider in ANYWHERE else is_own(provider, address)


def _given(params: Mapping[str, Any], where: str) -> str | None:
    found = {str(params[name]) for name in ADDRESSES if params.get(name)}
    if len(found) > 1:
        raise UserError(f"{where} has two addresses, api_base and base_url; leave one out")
    return _checked(found.pop(), where) if found else None


def _checked(address: str, where: str) -> str:
    if not address.startswith(("http://", "https://", REFERENCE)) or any(map(str.isspace, address)):
        raise UserError(
            f"{where}: its address {public_url(address)!r} must begin with http:// or https://; mend api_base"
        )
    return address


def _of_environment(provider: str) -> str | None:
    return next(filter(None, map(os.environ.get, reversed(address_variables(provider)))), None)


def _upper(provider: str) -> str:
    return provider.upper().replace("-", "_")


def _withheld(name: str, provider: str, address: str) -> str:
    place = public_url(address)
    return (
        f"{name} is asked at {place} without a key, since {key_variable(provider)} is for {provider}'s own address; to "
        f"send it there, write api_key: os.environ/{key_variable(provider)} in the YAML, or export "
        f"{address_variables(provider)[0]}={place}"
    )
