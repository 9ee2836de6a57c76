"""A LiteLLM proxy-style YAML, read and checked before any call."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lbt_dspy.errors import UserError

SAMPLING = frozenset({"temperature", "top_p", "top_k", "max_tokens", "stop"})
"""Rendered into each request; other settings of a deployment (min_p, extra_body, ...) are added by the Router."""
RETRY_SETTINGS = frozenset({"num_retries", "max_retries", "retry_policy", "model_group_retry_policy", "retry_after"})
"""Left to the ledger, which counts and pays for every request."""
FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "default_fallbacks")
REQUEST_TIMEOUT = 60.0
"""Seconds that a request may take where nothing else is said."""
SECRET_NAME = re.compile(r"(?i)key|token|secret|password|credential|authorization|headers")
LIMITS = frozenset({"rpm", "tpm", "timeout", "stream_timeout", "max_parallel_requests", "weight", "order", "tags"})
"""Settings that cannot change an answer."""
CONNECTION_SETTINGS = frozenset(
    {"api_key", "api_base", "base_url", "api_version", "headers", "extra_headers", "timeout", "organization", "project",
     "custom_llm_provider", "rollout_id", "n", "stream", "prompt_cache", "num_retries"}
)  # fmt: skip
"""Settings of a `dspy.LM` that say how it is reached and asked, not what."""
ENVIRONMENT = "os.environ/"
CLIENTS = ("auto", "lean", "litellm")
"""Who sends requests; see `LMRoles`."""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One entry of `model_list`."""

    name: str
    params: Mapping[str, Any]
    """`litellm_params`: where and what; environment references resolved, `sampling` and retry settings taken out."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """`model_info`: prices and limits."""
    sampling: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LMConfig:
    """What a YAML says, ready for a Router."""

    deployments: tuple[Deployment, ...] = ()
    router_settings: Mapping[str, Any] = field(default_factory=dict)
    litellm_settings: Mapping[str, Any] = field(default_factory=dict)
    fallbacks: Mapping[str, Any] = field(default_factory=dict)
    """The four kinds of fallbacks of LiteLLM, wherever in the file they stood."""
    secrets: tuple[str, ...] = ()
    """Values that must never be written anywhere."""

    @property
    def names(self) -> tuple[str, ...]:
        """The model names, in the order of the file."""
        return tuple(dict.fromkeys(d.name for d in self.deployments))


def read_config(path: str | Path) -> LMConfig:
    """Read a YAML with `model_list`, and optionally `router_settings` and `litellm_settings`.

    Raises:
        UserError: The file is missing or no such YAML, or it names an environment variable that is not set.
    """
    try:
        loaded = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--config {path} cannot be read: {error.strerror}; give a LiteLLM YAML") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = "" if where is None else f" in line {where.line + 1}"
        raise UserError(f"--config {path} is no readable YAML{line}; see examples/litellm.yaml") from None
    models = loaded.get("model_list") if isinstance(loaded, dict) else None
    if not isinstance(models, list) or not models:
        raise UserError(f"--config {path} has no model_list with at least one model; see examples/litellm.yaml")
    secrets: set[str] = set()
    entries = tuple(_deployment(entry, i, path, secrets) for i, entry in enumerate(models, 1))
    router = _section(loaded, "router_settings", path, secrets)
    settings = _section(loaded, "litellm_settings", path, secrets)
    fallbacks = {kind: router.pop(kind, None) or settings.pop(kind, None) for kind in FALLBACKS}
    for kept in (router, settings):
        for name in RETRY_SETTINGS & set(kept):
            del kept[name]
    config = LMConfig(
        deployments=entries,
        router_settings=router,
        litellm_settings=settings,
        fallbacks={kind: value for kind, value in fallbacks.items() if value},
        secrets=tuple(sorted(secrets, key=len, reverse=True)),
    )
    _check(config, path)
    return config


def _section(loaded: Mapping[str, Any], name: str, path: str | Path, secrets: set[str]) -> dict[str, Any]:
    section = loaded.get(name) or {}
    if not isinstance(section, dict):
        raise UserError(f"--config {path}: {name} must be a mapping; see examples/litellm.yaml")
    return dict(_resolved(section, f"--config {path}: {name}", secrets))


def _deployment(entry: Any, number: int, path: str | Path, secrets: set[str]) -> Deployment:
    where = f"--config {path}: entry {number} of model_list"
    if not isinstance(entry, dict) or not isinstance(entry.get("model_name"), str):
        raise UserError(f"{where} has no model_name; see examples/litellm.yaml")
    params = entry.get("litellm_params")
    if not isinstance(params, dict) or not isinstance(params.get("model"), str):
        raise UserError(f"{where} ({entry['model_name']}) has no litellm_params with a model")
    # A model that this run does not use may lack its key: the references are resolved by `usable` when it is chosen.
    return Deployment(
        name=entry["model_name"],
        params={k: v for k, v in params.items() if k not in SAMPLING and k not in RETRY_SETTINGS},
        info=entry.get("model_info") or {},
        sampling={k: v for k, v in params.items() if k in SAMPLING},
    )


def usable(deployment: Deployment, secrets: set[str]) -> Deployment:
    """Return a deployment with its `os.environ/NAME` references resolved.

    Raises:
        UserError: A variable is not set.
    """
    params = _resolved(deployment.params, f"the model {deployment.name}", secrets)
    return Deployment(name=deployment.name, params=params, info=deployment.info, sampling=deployment.sampling)


def _resolved(value: Any, where: str, secrets: set[str], *, secret: bool = False) -> Any:
    """Replace `os.environ/NAME`; what came from the environment or stands under a telling name is a secret."""
    if isinstance(value, dict):
        return {
            k: _resolved(v, where, secrets, secret=secret or bool(SECRET_NAME.search(str(k)))) for k, v in value.items()
        }
    if isinstance(value, list):
        return [_resolved(item, where, secrets, secret=secret) for item in value]
    if isinstance(value, str) and value.startswith(ENVIRONMENT):
        name = value.removeprefix(ENVIRONMENT)
        if not os.environ.get(name):
            raise UserError(f"{where} needs the environment variable {name}, which is not set; export {name}=...")
        value, secret = os.environ[name], secret or bool(SECRET_NAME.search(name))
    if secret and isinstance(value, str) and len(value) >= 4:
        secrets.add(value)
    return value


def _check(config: LMConfig, path: str | Path) -> None:
    for name in config.names:
        settings = [d.sampling for d in config.deployments if d.name == name]
        if any(other != settings[0] for other in settings):
            raise UserError(
                f"--config {path}: the deployments of {name} differ in their sampling settings; one name is one model: "
                "give them the same settings, or two names"
            )
    named = {target for value in config.fallbacks.values() for target in targets(value)}
    unknown = sorted(named - set(config.names))
    if unknown:
        known = ", ".join(config.names)
        raise UserError(f"--config {path}: a fallback names the unknown model {unknown[0]!r}; known: {known}")


def targets(value: Any) -> list[str]:
    """Return the model names in a fallback setting of any of LiteLLM's shapes."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [*map(str, value), *(target for v in value.values() for target in targets(v))]
    return [target for item in value for target in targets(item)] if isinstance(value, list) else []
