"""Names to language models: LiteLLM YAML names, model strings, vLLM addresses, embedded and recorded models."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import dspy

from lbt_dspy.errors import UserError, check_choice
from lbt_dspy.lms.config import CLIENTS, Deployment, LMConfig, read_config, targets, usable
from lbt_dspy.lms.embedded import NAMES, PREFIX, embedded_lm
from lbt_dspy.lms.engine import ModelEngine, lm_of
from lbt_dspy.lms.recorded import PREFIX as RECORDED
from lbt_dspy.lms.recorded import recorded_lm
from lbt_dspy.warned import warnings_shown

ADDRESSED = re.compile(r"^(?P<model>(?P<provider>[\w-]+)/.+)@(?P<url>https?://.+)$")
BARE_ADDRESS = re.compile(r"^[\w-]+/.+@(?P<url>(?:localhost|[\w.-]+:\d+|[\w.-]+(?=/v\d))(?:[:/].*)?)$")
CREDENTIALS = re.compile(r"(?<=//)[^/@]*@")
"""User and password of an address, which no message may hold."""
VLLM_ADDRESS = "HOSTED_VLLM_API_BASE"


class LMRoles:
    """Gives the `dspy.LM` of a name.

    A name is, in this order: (a) a `model_name` of the YAML; (b) an `embedded/...` model; (c) `recorded/DIR` or
    `recorded/DIR@FILE`, outputs recorded before (see `RecordedEngine`); (d) `hosted_vllm/MODEL@http://host:port/v1`
    (any provider that takes an address); (e) any LiteLLM model string such as `openai/gpt-4o-mini`. Those of (a), (d)
    and (e) go out through one of two clients, which send the same requests.

    Args:
        config: A LiteLLM proxy-style YAML; `None`: no names of kind (a).
        client: `auto`: what has an address and speaks OpenAI's chat API goes through the lean client, unless the YAML
            asks for something of LiteLLM's (fallbacks, limits, routing), the rest through one LiteLLM Router;
            `litellm`: all through the Router; `lean`: all through the lean client.

    Raises:
        UserError: The YAML cannot be used, or there is no such client.
    """

    def __init__(self, config: str | Path | None = None, *, client: str = "auto") -> None:
        check_choice("client", client, CLIENTS)
        self._client = client
        self._config = LMConfig() if config is None else read_config(config)

    def lms(self, names: Sequence[str]) -> list[dspy.LM]:
        """Return one LM per name; equal names share one.

        Raises:
            UserError: A name is unknown, or its key is missing.
        """
        secrets = set(self._config.secrets)
        wanted = {name: self._deployments(name) for name in dict.fromkeys(names)}
        outside = [d for group in wanted.values() for d in group]
        fallbacks = self._fallback_deployments({d.name for d in outside})
        ready = [usable(d, secrets) for d in (*outside, *fallbacks)]
        found: dict[str, dspy.LM] = {}
        if ready:
            for deployment in ready:
                _check_key(deployment, secrets)
            config = LMConfig(**{**self._config.__dict__, "secrets": tuple(sorted(secrets, key=len, reverse=True))})
            groups = {name: [d for d in ready if d.name == name] for name, group in wanted.items() if group}
            with warnings_shown():
                found.update(self._engines(groups, ready, config))
        for name, group in wanted.items():
            if not group:
                found[name] = recorded_lm(name) if name.startswith(RECORDED) else embedded_lm(name)
        return [found[name] for name in names]

    def _engines(
        self, groups: Mapping[str, Sequence[Deployment]], ready: Sequence[Deployment], config: LMConfig
    ) -> dict[str, dspy.LM]:
        """Return the LMs of models that are asked over HTTP, each through its client."""
        lean = {name for name, group in groups.items() if self._is_lean(name, group)}
        found = {}
        router, routed = None, list[Deployment]()
        for name, group in groups.items():
            engine: ModelEngine
            if name in lean:
                from lbt_dspy.lms.openai.client import OpenAICompatible

                engine = OpenAICompatible(name, group, secrets=config.secrets)
            else:
                from lbt_dspy.lms.litellm.router import RouterEngine, make_router, with_id

                if router is None:
                    routed = [with_id(d) for d in ready if d.name not in lean or _is_fallback(d.name, config)]
                    router = make_router(config, routed)
                engine = RouterEngine(name, router, config, routed)
            found[name] = lm_of(engine, **group[0].sampling)
        return found

    def _is_lean(self, name: str, group: Sequence[Deployment]) -> bool:
        """Return whether a model goes through the lean client.

        Raises:
            UserError: It was asked for, and cannot.
        """
        if self._client == "litellm":
            return False
        from lbt_dspy.lms.openai.client import why_not

        reason = next(filter(None, map(why_not, group)), None) or _asks_litellm(name, self._config)
        if reason is not None and self._client == "lean":
            raise UserError(f"--client lean cannot ask {name}: {reason}; leave --client out, or take litellm")
        return reason is None

    def _deployments(self, name: str) -> list[Deployment]:
        """Return the deployments of a name; none for a model in this process."""
        listed = [d for d in self._config.deployments if d.name == name]
        if listed:
            return listed
        if name.startswith(PREFIX):
            if name not in NAMES:
                raise UserError(f"unknown model {name!r}; {self._known(name)}")
            return []
        if name.startswith(RECORDED):
            return []
        addressed = ADDRESSED.match(name)
        if addressed and _known_provider(name):
            if CREDENTIALS.search(addressed["url"]):
                raise UserError(
                    f"the address of {CREDENTIALS.sub('', name)} holds a user and password, and names of models are "
                    "written into run folders; put the address into a --config YAML, as api_base"
                )
            return [Deployment(name=name, params={"model": addressed["model"], "api_base": addressed["url"]})]
        bare = BARE_ADDRESS.match(name)
        if bare and "://" not in name:
            address = bare["url"]
            raise UserError(f"the address {address!r} must begin with http:// or https://; write @http://{address}")
        if "/" in name and _known_provider(name):
            return [Deployment(name=name, params={"model": name})]
        public = CREDENTIALS.sub("", name)
        raise UserError(f"unknown model {public!r}; {self._known(public)}")

    def _fallback_deployments(self, names: set[str]) -> list[Deployment]:
        if not self._config.fallbacks:
            return []
        named = {target for value in self._config.fallbacks.values() for target in targets(value)}
        return [d for d in self._config.deployments if d.name in named - names]

    def _known(self, name: str) -> str:
        names = [*self._config.names, *NAMES]
        near = difflib.get_close_matches(name, names, n=1) or _near_provider(name)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return (
            f"{hint}known: {', '.join(names)}; or a LiteLLM model string such as openai/gpt-4o-mini, or "
            f"hosted_vllm/MODEL@http://host:port/v1, or {RECORDED}DIR"
        )


def _is_fallback(name: str, config: LMConfig) -> bool:
    return any(name in targets(value) for value in config.fallbacks.values())


def _asks_litellm(name: str, config: LMConfig) -> str | None:
    """Return what a YAML asks for that only LiteLLM does."""
    chains = [entry for value in config.fallbacks.values() if isinstance(value, list) for entry in value]
    if "default_fallbacks" in config.fallbacks or any(isinstance(chain, dict) and name in chain for chain in chains):
        return "it has fallbacks"
    settings = [*config.litellm_settings, *config.router_settings]
    return f"the setting {settings[0]} is LiteLLM's" if settings else None


def _known_provider(name: str) -> bool:
    from lbt_dspy.lms.litellm.private import providers

    return name.split("/")[0] in providers()


def _near_provider(name: str) -> list[str]:
    from lbt_dspy.lms.litellm.private import providers

    provider, slash, model = name.partition("/")
    near = difflib.get_close_matches(provider, sorted(providers()), n=1) if slash else []
    return [f"{found}/{model}" for found in near]


def _check_key(deployment: Deployment, secrets: set[str]) -> None:
    """Raise `UserError` when the provider's key or address is nowhere; note the key in the environment as a secret."""
    from lbt_dspy.lms.litellm.setup import litellm

    model = str(deployment.params["model"])
    if model.startswith("hosted_vllm/") and not (deployment.params.get("api_base") or os.environ.get(VLLM_ADDRESS)):
        raise UserError(
            f"the model {deployment.name} needs the address of its server: {model}@http://host:port/v1, api_base in "
            f"the YAML, or export {VLLM_ADDRESS}=..."
        )
    if deployment.params.get("api_key") is None:
        wanted = litellm.validate_environment(
            model=model, api_base=deployment.params.get("api_base"), api_version=deployment.params.get("api_version")
        )
        provider = model.split("/")[0]
        local = provider in ("hosted_vllm", "ollama", "ollama_chat", "lm_studio") and deployment.params.get("api_base")
        missing = [] if local else [key for key in wanted["missing_keys"] if "KEY" in key or "TOKEN" in key]
        if missing and not wanted["keys_in_environment"]:
            raise UserError(
                f"the model {deployment.name} needs a key: export {missing[0]}=... (keys are read from the environment)"
            )
        secrets.update(v for k, v in os.environ.items() if k.endswith(("_API_KEY", "_TOKEN")) and len(v) >= 8)
