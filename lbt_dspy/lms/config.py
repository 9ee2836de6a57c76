"""A LiteLLM proxy-style YAML, read and checked before any call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from lbt_dspy.errors import UserError
from lbt_dspy.lms.fleet.environment import REFERENCE, SECRET_NAME, Environment
from lbt_dspy.lms.fleet.fallbacks import KINDS, Chains, chains_of
from lbt_dspy.lms.fleet.numbers import typed
from lbt_dspy.lms.fleet.sections import check_entry, check_globals, check_info, check_sections

__all__ = ["SECRET_NAME", "Deployment", "LMConfig", "read_config", "usable"]

SAMPLING = frozenset({"temperature", "top_p", "top_k", "max_tokens", "stop"})
"""Rendered into each request; other settings of a deployment (min_p, extra_body, ...) are added by the Router."""
RETRY_SETTINGS = frozenset({"num_retries", "max_retries", "retry_policy", "model_group_retry_policy", "retry_after"})
"""Left to the ledger, which counts and pays for every request."""
CHOICES = ("n", "best_of")
"""How many answers are written, of which one is used: more than one would be paid for and thrown away."""
REQUEST_TIMEOUT = 60.0
"""Seconds that a request may take where nothing else is said."""
LIMITS = frozenset({"rpm", "tpm", "timeout", "stream_timeout", "max_parallel_requests", "weight", "order", "tags"})
"""Settings that cannot change an answer."""
EXECUTION_SETTINGS = frozenset(
    {"rollout_id", "n", "num_generations", "stream", "stream_options", "cache", "caching", "prompt_cache",
     "num_retries", "max_retries", "retry_strategy"}
)  # fmt: skip
"""Settings of a `dspy.LM` that say how often it is asked, and in which form: the ledger's affair."""
CONNECTION_SETTINGS = EXECUTION_SETTINGS | {
    "api_key", "api_base", "base_url", "api_version", "headers", "extra_headers", "extra_query", "timeout",
    "organization", "project", "azure_ad_token_provider", "custom_llm_provider",
}  # fmt: skip
"""Settings of a `dspy.LM` that say how it is reached and asked, not what."""
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
    place: Mapping[str, Any] | None = None
    """`params` as they are written, by which replies are journalled; `None`: `params`."""
    keyless: bool = False
    """It is asked without a key: none is given, and that of the environment belongs elsewhere."""


@dataclass(frozen=True, kw_only=True)
class LMConfig:
    """What a YAML says, ready for a Router."""

    deployments: tuple[Deployment, ...] = ()
    router_settings: Mapping[str, Any] = field(default_factory=dict)
    litellm_settings: Mapping[str, Any] = field(default_factory=dict)
    fallbacks: Mapping[str, Chains] = field(default_factory=dict)
    """The four kinds of fallbacks of LiteLLM, wherever in the file they stood."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """`model_group_alias`: other names of models."""
    credentials: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """`credential_list`, by name."""
    environment: Environment = field(default_factory=Environment)
    secrets: tuple[str, ...] = ()
    """Values that must never be written anywhere."""

    @property
    def names(self) -> tuple[str, ...]:
        """The model names, in the order of the file."""
        return tuple(dict.fromkeys((*(d.name for d in self.deployments), *self.aliases)))


def read_config(path: str | Path, *, lenient: bool = False) -> LMConfig:
    """Read a YAML with `model_list`, and optionally `router_settings`, `litellm_settings`, `credential_list` and more.

    Args:
        path: Of the file.
        lenient: Environment variables need not be set: for a dry run.

    Raises:
        UserError: The file is missing or no such YAML, or it names an environment variable that is not set.
    """
    loaded, where = _loaded(path), f"config {path}"
    models = loaded.get("model_list") if isinstance(loaded, dict) else None
    if not isinstance(models, list) or not models:
        raise UserError(f"config {path} has no model_list with at least one model; see examples/litellm.yaml")
    check_sections(loaded, where)
    own = loaded.get("environment_variables") or {}
    if not isinstance(own, dict):
        raise UserError(f"{where}: environment_variables must be a mapping; see examples/litellm.yaml")
    environment = Environment(own, lenient=lenient)
    entries = tuple(_deployment(entry, i, where, environment) for i, entry in enumerate(models, 1))
    router = _section(loaded, "router_settings", where, environment)
    settings = _section(loaded, "litellm_settings", where, environment)
    fallbacks = {kind: _chains(kind, router, settings, where) for kind in KINDS}
    config = LMConfig(
        deployments=entries,
        aliases=_aliases(router.pop("model_group_alias", None), where),
        router_settings=router,
        litellm_settings=settings,
        fallbacks={kind: chains for kind, chains in fallbacks.items() if chains},
        credentials=_credentials(loaded.get("credential_list") or [], where),
        environment=environment,
        secrets=tuple(sorted(environment.secrets, key=len, reverse=True)),
    )
    _check(config, where)
    return config


def _loaded(path: str | Path) -> Any:
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"config {path} cannot be read: {error.strerror}; give a LiteLLM YAML") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = "" if where is None else f" in line {where.line + 1}"
        raise UserError(f"config {path} is no readable YAML{line}; see examples/litellm.yaml") from None


def _section(loaded: Mapping[str, Any], name: str, where: str, environment: Environment) -> dict[str, Any]:
    section = loaded.get(name) or {}
    if not isinstance(section, dict):
        raise UserError(f"{where}: {name} must be a mapping; see examples/litellm.yaml")
    found = typed(environment.resolved(section, f"{where}: {name}"), f"{where}: {name}")
    check_globals(found, f"{where}: {name}")
    return {key: value for key, value in found.items() if key not in RETRY_SETTINGS}


def _chains(kind: str, router: dict[str, Any], settings: dict[str, Any], where: str) -> Chains:
    """Take fallbacks out of the sections; those of the Router stand first."""
    of_router, of_settings = (chains_of(section.pop(kind, None), kind, where) for section in (router, settings))
    return of_router or of_settings


def _deployment(entry: Any, number: int, where: str, environment: Environment) -> Deployment:
    where = f"{where}: entry {number} of model_list"
    if not isinstance(entry, dict) or not isinstance(entry.get("model_name"), str):
        raise UserError(f"{where} has no model_name; see examples/litellm.yaml")
    written = entry["model_name"]
    name = environment.get(written.removeprefix(REFERENCE)) or written if written.startswith(REFERENCE) else written
    params = entry.get("litellm_params")
    if not isinstance(params, dict) or not isinstance(params.get("model"), str):
        raise UserError(f"{where} ({name}) has no litellm_params with a model")
    check_entry(entry, f"{where} ({name})")
    info = entry.get("model_info") or {}
    if not isinstance(info, dict):
        raise UserError(f"{where} ({name}): model_info must be a mapping; see examples/litellm.yaml")
    # A model that this run does not use may lack its key: the references are resolved by `usable` when it is chosen.
    return Deployment(
        name=name,
        params=_checked({k: v for k, v in params.items() if k not in SAMPLING}, f"{where} ({name})"),
        info=typed(info, f"{where} ({name})"),
        sampling=typed({k: v for k, v in params.items() if k in SAMPLING}, f"{where} ({name})"),
        place={k: v for k, v in params.items() if k not in SAMPLING and k not in RETRY_SETTINGS},
    )


def _checked(params: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return `litellm_params` with numbers for numbers, without what the ledger does itself.

    Raises:
        UserError: One is no number, or asks for several answers.
    """
    found = typed(params, where)
    body = typed(found["extra_body"], f"{where}: extra_body") if isinstance(found.get("extra_body"), dict) else {}
    for inside, settings in (("", found), ("extra_body: ", body)):
        for name in CHOICES:
            if settings.get(name, 1) != 1:
                raise UserError(
                    f"{where}: {inside}{name}: {settings[name]!r} would pay for answers that nobody reads; leave it out"
                )
    return {name: value for name, value in found.items() if name not in RETRY_SETTINGS and name not in CHOICES}


def _aliases(value: Any, where: str) -> dict[str, str]:
    found = {}
    if not isinstance(value or {}, dict):
        raise UserError(f"{where}: model_group_alias must be a mapping but got {value!r}; write {{other: name}}")
    for name, meant in (value or {}).items():
        target = meant.get("model") if isinstance(meant, dict) else meant
        if not isinstance(target, str):
            raise UserError(f"{where}: model_group_alias of {name} must be a model name but got {meant!r}; mend it")
        found[str(name)] = target
    return found


def _credentials(value: Any, where: str) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for entry in value if isinstance(value, list) else [None]:
        values = entry.get("credential_values") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(values, dict) or not entry.get("credential_name"):
            raise UserError(f"{where}: credential_list must have a credential_name and credential_values in each entry")
        found[str(entry["credential_name"])] = values
    return found


def usable(deployment: Deployment, config: LMConfig) -> Deployment:
    """Return a deployment with its `os.environ/NAME` references resolved, and its credential put in.

    Raises:
        UserError: A variable is not set, or a number is none.
    """
    where, environment = f"the model {deployment.name}", config.environment
    named = deployment.params.get("litellm_credential_name")
    given: Mapping[str, Any] = config.credentials.get(str(named), {}) if named is not None else {}
    raw = {k: v for k, v in (deployment.place or deployment.params).items() if k != "litellm_credential_name"}
    place = environment.resolved({**given, **raw}, where)
    params = _checked({k: v for k, v in place.items() if k not in SAMPLING}, where)
    return replace(
        deployment,
        params=params,
        place=place,
        info=check_info(typed(environment.resolved(dict(deployment.info), where), where), where),
        sampling=typed(environment.resolved(dict(deployment.sampling), where), where),
    )


def _check(config: LMConfig, where: str) -> None:
    for name in config.names:
        settings = [d.sampling for d in config.deployments if d.name == name]
        if any(other != settings[0] for other in settings):
            raise UserError(
                f"{where}: the deployments of {name} differ in their sampling settings; one name is one model: "
                "give them the same settings, or two names"
            )
    for deployment in config.deployments:
        named = deployment.params.get("litellm_credential_name")
        if named is not None and str(named) not in config.credentials:
            known = ", ".join(config.credentials) or "none"
            raise UserError(
                f"{where}: {deployment.name} names the unknown credential {named!r}; known in credential_list: {known}"
            )
