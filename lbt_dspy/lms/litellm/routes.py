"""Which deployments a name stands for, as LiteLLM's Router finds them: aliases, exact names, wildcards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from lbt_dspy.errors import UserError, nearest_hint
from lbt_dspy.lms.config import Deployment, LMConfig
from lbt_dspy.lms.fleet.fallbacks import ANY, Chains, names_in
from lbt_dspy.lms.fleet.sections import warn_once
from lbt_dspy.lms.litellm.private import fallback_of, matched_pattern


def exact(config: LMConfig, name: str) -> list[Deployment]:
    """Return the deployments of a name or alias that the YAML spells out, under that name.

    Raises:
        UserError: It is a pattern, which is no model.
    """
    meant = config.aliases.get(name, name)
    found = [d for d in config.deployments if d.name == meant]
    if found and "*" in meant:
        raise UserError(
            f"{name} is a pattern of the LiteLLM YAML; name one of its models, with a name in place of the *"
        )
    if not found and meant != name:
        return [_renamed(d, name, str(d.params["model"])) for d in by_pattern(config, meant)]
    for deployment in found:
        if "*" in str(deployment.params["model"]):
            raise UserError(f"the model of {meant} is {deployment.params['model']}, but {meant} has no * to fill it in")
    return [d if d.name == name else _renamed(d, name, str(d.params["model"])) for d in found]


def by_pattern(config: LMConfig, name: str) -> list[Deployment]:
    """Return the deployments of the wildcard that a name matches, with the model that is then asked."""
    patterns = [d for d in config.deployments if "*" in d.name]
    match = matched_pattern([(d.name, str(d.params["model"])) for d in patterns], name) if patterns else None
    if match is None:
        return []
    pattern, models = match
    group = [d for d in patterns if d.name == pattern]
    return [_renamed(d, name, model) for d, model in zip(group, models, strict=True)]


def covered(config: LMConfig, name: str) -> list[Deployment]:
    """Return the deployments of a name, however the YAML covers it."""
    return exact(config, name) or by_pattern(config, name)


def check_group(config: LMConfig, name: str) -> None:
    """Raise `UserError` for a name that stands for several models, none of which it asks by itself."""
    groups = config.router_settings.get("routing_groups") or []
    named = [g for g in groups if isinstance(g, dict) and name in (g.get("group_name"), g.get("name"))]
    models = [str(model) for group in named for model in group.get("models") or ()]
    models += [d.name for d in config.deployments if name in (d.info.get("access_groups") or ())]
    if models:
        listed = ", ".join(dict.fromkeys(models))
        raise UserError(f"{name} is a group of models in the LiteLLM YAML; name one of them: {listed}")


def fallbacks_of(config: LMConfig, kind: str, name: str) -> list[str]:
    """Return the models that are asked after a model, itself left out."""
    chains = config.fallbacks.get(kind) or {}
    return [other for other in fallback_of(chains, name) if other != name]


def all_fallbacks(config: LMConfig, names: Iterable[str]) -> list[str]:
    """Return the models that may be asked after some others."""
    found = (other for name in names for kind in config.fallbacks for other in fallbacks_of(config, kind, name))
    return list(dict.fromkeys(found))


def check_names(config: LMConfig, where: str) -> None:
    """Check that aliases and fallbacks name models of the YAML.

    Raises:
        UserError: One names another.
    """
    for meant in config.aliases.values():
        if not _known(config, meant):
            raise UserError(f"{where}: an alias names the unknown model {meant!r}; {_hint(config, meant)}")
    for name in names_in(config.fallbacks.values()):
        if not _known(config, name):
            raise UserError(f"{where}: a fallback names the unknown model {name!r}; {_hint(config, name)}")
    for kind, chains in config.fallbacks.items():
        for name in _to_themselves(chains):
            warn_once(f"{where}: {kind} of {name} names {name} itself, which is left out")


def _to_themselves(chains: Chains) -> Iterable[str]:
    return (name for name, others in chains.items() if name in others and name != ANY)


def _known(config: LMConfig, name: str) -> bool:
    return name in config.names or bool(by_pattern(config, name))


def _hint(config: LMConfig, name: str) -> str:
    known: Sequence[str] = config.names
    return f"known: {', '.join(known)}{nearest_hint(name, known)}"


def _renamed(deployment: Deployment, name: str, model: str) -> Deployment:
    """Return a deployment under another name; an id of its own would name two deployments."""
    place = deployment.place or deployment.params
    return replace(
        deployment,
        name=name,
        params={**deployment.params, "model": model},
        place={**place, "model": model},
        info={key: value for key, value in deployment.info.items() if key != "id"},
    )
