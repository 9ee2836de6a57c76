"""Names to language models: LiteLLM YAML names, model strings, vLLM addresses, embedded and recorded models."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import dspy

from lbt_dspy.errors import UserError, check_choice
from lbt_dspy.lms.config import CLIENTS, Deployment, LMConfig, read_config, usable
from lbt_dspy.lms.embedded import NAMES, PREFIX, embedded_lm
from lbt_dspy.lms.engine import ModelEngine, lm_of
from lbt_dspy.lms.fleet.environment import REFERENCE
from lbt_dspy.lms.fleet.sections import warn_once
from lbt_dspy.lms.recorded import PREFIX as RECORDED
from lbt_dspy.lms.recorded import recorded_lm
from lbt_dspy.warned import warnings_shown

ADDRESSED = re.compile(r"^(?P<model>(?P<provider>[\w-]+)/.+)@(?P<url>https?://.+)$")
BARE_ADDRESS = re.compile(r"^[\w-]+/.+@(?P<url>(?:localhost|[\w.-]+:\d+|[\w.-]+(?=/v\d))(?:[:/].*)?)$")
SECRET_LENGTH = 8
"""Shorter keys of the environment stand in ordinary words."""
CREDENTIALS = re.compile(r"(?<=//)[^/@]*@")
"""User and password of an address, which no message may hold."""


class LMRoles:
    """Gives the `dspy.LM` of a name.

    A name is, in this order: (a) a `model_name` or alias of the YAML; (b) an `embedded/...` model; (c) `recorded/DIR`
    or `recorded/DIR@FILE`, outputs recorded before (see `RecordedEngine`); (d)
    `hosted_vllm/MODEL@http://host:port/v1` (any provider that takes an address); (e) what a wildcard of the YAML
    matches (`openai/*`); (f) any LiteLLM model string such as `openai/gpt-4o-mini`. Those of (a), (d), (e) and (f) go
    out through one of two clients, which send the same requests.

    Args:
        config: A LiteLLM proxy-style YAML; `None`: no names of kind (a).
        client: `auto`: what has an address and speaks OpenAI's chat API goes through the lean client, unless the YAML
            asks for something of LiteLLM's (fallbacks, limits, routing), the rest through one LiteLLM Router;
            `litellm`: all through the Router; `lean`: all through the lean client.
        dry: The models are looked up and never asked: keys and other variables of the environment may be missing.

    Raises:
        UserError: The YAML cannot be used, or there is no such client.
    """

    def __init__(self, config: str | Path | None = None, *, client: str = "auto", dry: bool = False) -> None:
        check_choice("client", client, CLIENTS)
        self._client = client
        self._dry = dry
        self._where = f"config {config}"
        self._config = LMConfig() if config is None else read_config(config, lenient=dry)
        if self._config.fallbacks or self._config.aliases:
            from lbt_dspy.lms.litellm.routes import check_names

            check_names(self._config, self._where)

    def lms(self, names: Sequence[str]) -> list[dspy.LM]:
        """Return one LM per name; equal names share one.

        Raises:
            UserError: A name is unknown, or its key is missing.
        """
        wanted = {name: self._deployments(name) for name in dict.fromkeys(names)}
        outside = [d for group in wanted.values() for d in group]
        found: dict[str, dspy.LM] = {}
        if outside:
            asked_after = self._fallbacks(wanted)
            fallbacks = [d for name in asked_after if name not in wanted for d in self._covered(name)]
            ready = [self._ready(d) for d in (*outside, *fallbacks)]
            for name in self._config.environment.unused():
                warn_once(f"{self._where}: environment_variables: {name} is not used by these models")
            config = replace(self._config, secrets=self._secrets())
            groups = {name: [d for d in ready if d.name == name] for name, group in wanted.items() if group}
            with warnings_shown():
                found.update(self._engines(groups, ready, asked_after, config))
        for name, group in wanted.items():
            if not group:
                found[name] = recorded_lm(name) if name.startswith(RECORDED) else embedded_lm(name)
        return [found[name] for name in names]

    def _ready(self, deployment: Deployment) -> Deployment:
        """Return a deployment as it can be asked: with its variables, its address and its key, if it has one."""
        from lbt_dspy.lms.litellm.addresses import check_key, reachable

        found = reachable(usable(deployment, self._config), self._config.environment)
        if self._dry:
            return replace(found, params={k: v for k, v in found.params.items() if not _is_unset(v)})
        check_key(found)
        return found

    def _secrets(self) -> tuple[str, ...]:
        """Return what must never be written: what the YAML names as secret, and the keys of the environment."""
        keys = {v for k, v in os.environ.items() if k.endswith(("_API_KEY", "_TOKEN")) and len(v) >= SECRET_LENGTH}
        return tuple(sorted(self._config.environment.secrets | keys, key=len, reverse=True))

    def _engines(
        self,
        groups: Mapping[str, Sequence[Deployment]],
        ready: Sequence[Deployment],
        asked_after: Sequence[str],
        config: LMConfig,
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
                    routed = [with_id(d) for d in ready if d.name not in lean or d.name in asked_after]
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
            raise UserError(f"client lean cannot ask {name}: {reason}; leave it out, or take litellm")
        return reason is None

    def _deployments(self, name: str) -> list[Deployment]:
        """Return the deployments of a name; none for a model in this process."""
        listed = self._listed(name)
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
                    "written into run folders; put the address into a LiteLLM YAML, as api_base"
                )
            return [Deployment(name=name, params={"model": addressed["model"], "api_base": addressed["url"]})]
        bare = BARE_ADDRESS.match(name)
        if bare and "://" not in name:
            address = bare["url"]
            raise UserError(f"the address {address!r} must begin with http:// or https://; write @http://{address}")
        matched = self._matched(name)
        if matched:
            return matched
        if "/" in name and _known_provider(name):
            return [Deployment(name=name, params={"model": name})]
        public = CREDENTIALS.sub("", name)
        raise UserError(f"unknown model {public!r}; {self._known(public)}")

    def _listed(self, name: str) -> list[Deployment]:
        """Return the deployments of a name that the YAML spells out."""
        if name not in self._config.names:
            return []
        from lbt_dspy.lms.litellm.routes import exact

        return exact(self._config, name)

    def _matched(self, name: str) -> list[Deployment]:
        """Return the deployments of the YAML's wildcard that a name matches.

        Raises:
            UserError: It is a group of models.
        """
        if not self._config.deployments:
            return []
        from lbt_dspy.lms.litellm.routes import by_pattern, check_group

        check_group(self._config, name)
        return by_pattern(self._config, name)

    def _fallbacks(self, names: Iterable[str]) -> list[str]:
        """Return the models that may be asked after others."""
        if not self._config.fallbacks:
            return []
        from lbt_dspy.lms.litellm.routes import all_fallbacks

        return all_fallbacks(self._config, names)

    def _covered(self, name: str) -> list[Deployment]:
        from lbt_dspy.lms.litellm.routes import covered

        return covered(self._config, name)

    def _known(self, name: str) -> str:
        names = [*self._config.names, *NAMES]
        near = difflib.get_close_matches(name, names, n=1) or _near_provider(name)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return (
            f"{hint}known: {', '.join(names)}; or a LiteLLM model string such as openai/gpt-4o-mini, or "
            f"hosted_vllm/MODEL@http://host:port/v1, or {RECORDED}DIR"
        )


def _is_unset(value: object) -> bool:
    return isinstance(value, str) and value.startswith(REFERENCE)


def _asks_litellm(name: str, config: LMConfig) -> str | None:
    """Return what a YAML asks for that only LiteLLM does."""
    if config.fallbacks:
        from lbt_dspy.lms.litellm.routes import fallbacks_of

        if any(fallbacks_of(config, kind, name) for kind in config.fallbacks):
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
