"""What a deployment's tokens cost: of its prices the dearest that can apply, so that nothing costs more than that."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

INPUT, OUTPUT = "input_cost_per_token", "output_cost_per_token"
CACHED = "cache_read_input_token_cost"
WRITTEN = "cache_creation_input_token_cost"
REASONED = "output_cost_per_reasoning_token"
TIER = re.compile(r"^(?P<base>.+?)_above_(?P<thousands>\d+)k_tokens$")
SERVICE_TIERS = ("priority", "ultrafast", "flex", "balanced")
BY_TIME = ("input_cost_per_second", "output_cost_per_second", "cost_per_second")
"""What costs by time has no worst case."""
PLACES = ("api_base", "base_url", "vertex_location", "aws_region_name", "region_name")
"""Settings that can lead to a region with dearer prices."""
LIMIT_NAMES = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens")
"""What servers call the most tokens of an answer."""
DEFAULT_OUTPUT_TOKENS = 4096


Tier = tuple[int, float, float]
"""Tokens of the prompt above which it applies, dollars per input token, dollars per output token."""


@dataclass(frozen=True, kw_only=True)
class Price:
    """US dollars per token, by the size of the prompt; the first tier of each is above 0."""

    spent: Sequence[Tier]
    """What is charged for the tokens of a reply."""
    reserved: Sequence[Tier]
    """The same, if all of the prompt were written into a cache, in a dear region."""
    cached: float | None = None
    """Of a prompt's token that the provider had in its cache; `None`: as any other."""
    request: float = 0.0
    """Of a request as such."""

    @property
    def free(self) -> bool:
        """Whether nothing costs anything."""
        return not self.request and not any(price for _, *prices in self.reserved for price in prices)

    def most(self, prompt: float, output: float) -> float:
        """Return the most that a prompt of at most so many tokens, and an answer, can cost."""
        return self.request + _dearest_tier(self.reserved, prompt, output)

    def of(self, prompt: float, output: float, cached: float = 0) -> float:
        """Return what was spent, by the tokens that a server counted."""
        saved = 0.0 if self.cached is None else min(cached, prompt) * (self.spent[0][1] - self.cached)
        return self.request + _dearest_tier(self.spent, prompt, output) - max(saved, 0.0)


class Priced(Protocol):
    """Says what a reply costs."""

    @property
    def free(self) -> bool:
        """Whether nothing costs anything."""

    def of(self, prompt: float, output: float, cached: float = 0) -> float:
        """Return what was spent, by the tokens that a server counted."""


@dataclass(frozen=True)
class Dearest:
    """Of several prices, which of them applies being unknown, the dearest."""

    prices: Sequence[Price]

    @property
    def free(self) -> bool:
        """Whether nothing costs anything."""
        return all(price.free for price in self.prices)

    def of(self, prompt: float, output: float, cached: float = 0) -> float:
        """Return the most that may have been spent."""
        return max(price.of(prompt, output, cached) for price in self.prices)


def _dearest_tier(tiers: Sequence[Tier], prompt: float, output: float) -> float:
    return max(prompt * i + output * o for above, i, o in tiers if above == 0 or prompt > above)


def price_from(source: Mapping[str, Any], settings: Mapping[str, Any]) -> Price | None:
    """Return the price of a model's text; `None` where it is not known per token.

    Args:
        source: Prices under LiteLLM's names.
        settings: How the deployment is asked: its `service_tier` decides which prices apply.
    """
    listed = [tier for tier in source.get("tiered_pricing") or () if isinstance(tier, Mapping)]
    if (any(source.get(name) is None for name in (INPUT, OUTPUT)) and not listed) or any(map(source.get, BY_TIME)):
        return None
    tier, cached = str(settings.get("service_tier") or ""), source.get(CACHED)
    placed = any(settings.get(name) for name in PLACES)
    uplifts = [float(value) for name, value in source.items() if "uplift_multiplier" in name and value and placed]
    dear = max([1.0, *uplifts])
    flat = {**{name: 0.0 for name in (INPUT, OUTPUT)}, **source}
    own = [(0, float(t.get(INPUT) or 0), float(t.get(OUTPUT) or 0)) for t in listed]
    return Price(
        spent=(*_tiers(flat, (INPUT,), tier), *own),
        reserved=tuple((mark, i * dear, o * dear) for mark, i, o in (*_tiers(flat, (INPUT, WRITTEN), tier), *own)),
        cached=None if cached is None else float(cached),
        request=float(source.get("input_cost_per_request") or 0.0),
    )


def _tiers(source: Mapping[str, Any], inputs: Sequence[str], tier: str) -> list[Tier]:
    marks = sorted({0, *(mark for name in source if (mark := _mark(name)))})
    return [(m, _dearest(source, inputs, m, tier), _dearest(source, (OUTPUT, REASONED), m, tier)) for m in marks]


def _dearest(source: Mapping[str, Any], names: Sequence[str], mark: int, tier: str) -> float:
    """Return the highest of the prices of some names, up to a size of the prompt and in a service tier."""
    applying = [
        float(value)
        for key, value in source.items()
        if value is not None and (_mark(key) or 0) <= mark and _plain(key, tier) in names
    ]
    return max(applying)


def _plain(name: str, tier: str) -> str:
    """Return a price's name without what says when it applies; unchanged for a service tier that is not asked for."""
    if tier in SERVICE_TIERS:
        name = name.removesuffix(f"_{tier}")
    found = TIER.match(name)
    return (found["base"] if found else name).removesuffix("_above_1hr").removesuffix("_above_12hr")


def _mark(name: str) -> int | None:
    found = TIER.match(re.sub(rf"_({'|'.join(SERVICE_TIERS)})$", "", name))
    return int(found["thousands"]) * 1000 if found else None


def limit_of(*settings: Mapping[str, Any]) -> int | None:
    """Return the most tokens of an answer that settings allow; `None`: they do not say."""
    named = [int(found[name]) for found in settings for name in LIMIT_NAMES if found.get(name)]
    return max(named) if named else None
