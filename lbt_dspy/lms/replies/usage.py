"""What a reply says it used, and what that costs; what it does not say is not known, and counts at its worst case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lbt_dspy.lms.fleet.prices import Priced

Tokens = tuple[int, int, int]
"""Input and output tokens, and those of the input that the provider had in its cache."""


def tokens_of(usage: Any, *, wrote: bool) -> Tokens | None:
    """Return the tokens that a reply says it used; `None`: it does not say, or says what cannot be.

    No prompt has no tokens, no text has none, and no more of a prompt is cached than it has. Where the total is more
    than both together, as with servers that leave thoughts out, the rest is output.

    Args:
        usage: Of the reply; anything.
        wrote: Whether it holds a text or thoughts.
    """
    if not isinstance(usage, Mapping):
        return None
    prompt, output = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if not prompt or output is None or (wrote and not output):
        return None
    cached = _cached(usage)
    if cached is not None and not 0 <= (-1 if _count(cached) is None else cached) <= prompt:
        return None
    return prompt, max(output, (_count(usage.get("total_tokens")) or 0) - prompt), int(cached or 0)


def cost_of(tokens: Tokens | None, price: Priced | None) -> float | None:
    """Return US dollars; `None`: unknown."""
    if price is not None and price.free:
        return 0.0
    return None if tokens is None or price is None else price.of(*tokens)


def cached_of(usage: Any) -> int | None:
    """Return the tokens of the prompt that a provider says it had in its cache; `None`: it does not say."""
    return _count(_cached(usage)) if isinstance(usage, Mapping) else None


def _cached(usage: Mapping[str, Any]) -> Any:
    details = usage.get("prompt_tokens_details")
    return details.get("cached_tokens") if isinstance(details, Mapping) else None


def _count(value: Any) -> int | None:
    """Return a whole number of at least 0; `None` for anything else."""
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and value % 1 == 0
    return int(value) if whole else None
