"""Fallbacks of a YAML, of any of the shapes that are written, as one list of names per model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lbt_dspy.errors import UserError

CHAINS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
DEFAULT = "default_fallbacks"
KINDS = (*CHAINS, DEFAULT)
ANY = "*"
"""In place of a model: all that have no fallbacks of their own."""

Chains = Mapping[str, tuple[str, ...]]


def chains_of(value: Any, kind: str, where: str) -> Chains:
    """Return by model the names that are asked after it.

    Args:
        value: `[{a: [b, c]}]`, or a mapping in place of the list, or one name in place of a list of names; of
            `default_fallbacks` a name or a list of names, which stand for any model.
        kind: One of `KINDS`.
        where: Names the file, for messages.

    Raises:
        UserError: It is something else.
    """
    if value is None or value == []:
        return {}
    if kind == DEFAULT:
        return {ANY: _names(value, f"{where}: {kind}")}
    chains: dict[str, tuple[str, ...]] = {}
    for entry in [value] if isinstance(value, Mapping) else value if isinstance(value, list) else [None]:
        if not isinstance(entry, Mapping):
            raise UserError(f"{where}: {kind} must be a list such as [{{model: [other]}}] but got {value!r}")
        for name, others in entry.items():
            if str(name) in chains:
                raise UserError(f"{where}: {kind} names {name!r} twice; write its models as one list")
            chains[str(name)] = _names(others, f"{where}: {kind} of {name}")
    return chains


def names_in(chains: Iterable[Chains]) -> list[str]:
    """Return all names that stand in chains, before and behind the colon, but for `*`."""
    named = [name for chain in chains for key, others in chain.items() for name in (key, *others)]
    return [name for name in dict.fromkeys(named) if name != ANY]


def _names(value: Any, where: str) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    names = [item.get("model") if isinstance(item, Mapping) and set(item) == {"model"} else item for item in listed]
    if not all(isinstance(name, str | int) and not isinstance(name, bool) and name != ANY for name in names):
        raise UserError(f"{where} must be a list of model names but got {value!r}; write [other] or [one, two]")
    return tuple(dict.fromkeys(map(str, names)))
