"""Settings of a YAML that are numbers, also where they are written as text; what none can be is refused in one line."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lbt_dspy.errors import UserError
from lbt_dspy.lms.fleet.environment import REFERENCE


@dataclass(frozen=True, kw_only=True)
class Range:
    """Which numbers a setting may be."""

    least: float
    most: float = math.inf
    whole: bool = False
    above: bool = False
    """`least` itself is too little."""
    endless: bool = False
    """Infinity will do."""

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        least = f"above {self.least:g}" if self.above else f"of at least {self.least:g}"
        return f"{kind} {least}" + ("" if math.isinf(self.most) else f" and at most {self.most:g}")

    def holds(self, value: float) -> bool:
        """Return whether a number is one of them."""
        if math.isnan(value) or (math.isinf(value) and not self.endless) or (self.whole and value != int(value)):
            return False
        return self.least <= value <= self.most and not (self.above and value == self.least)


COUNT = Range(least=1, whole=True)
SECONDS = Range(least=0, above=True, endless=True)
FROM_ZERO = Range(least=0)
WHOLE_FROM_ZERO = Range(least=0, whole=True)
PENALTY = Range(least=-2, most=2)
RANGES: Mapping[str, Range] = {
    "temperature": Range(least=0, most=2), "top_p": Range(least=0, most=1), "min_p": Range(least=0, most=1),
    "top_k": Range(least=-1, whole=True), "max_tokens": COUNT, "max_completion_tokens": COUNT, "n": COUNT,
    "max_input_tokens": COUNT, "max_output_tokens": COUNT, "frequency_penalty": PENALTY, "presence_penalty": PENALTY,
    "timeout": SECONDS, "stream_timeout": SECONDS, "request_timeout": SECONDS, "cooldown_time": FROM_ZERO,
    "retry_after": FROM_ZERO, "num_retries": WHOLE_FROM_ZERO, "max_retries": WHOLE_FROM_ZERO,
    "allowed_fails": WHOLE_FROM_ZERO, "max_fallbacks": WHOLE_FROM_ZERO, "rpm": COUNT, "tpm": COUNT,
    "max_parallel_requests": COUNT, "default_max_parallel_requests": COUNT, "weight": FROM_ZERO,
    "order": WHOLE_FROM_ZERO,
}  # fmt: skip
PRICE = re.compile(r"(^|_)cost(_|$)")


def typed(settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return settings with numbers where numbers belong; null ones are left out.

    Raises:
        UserError: One is no such number, or `stop` is no text.
    """
    return {name: _value(name, value, where) for name, value in settings.items() if value is not None}


def number(value: Any, allowed: Range, what: str) -> float:
    """Return a number, also from its text.

    Raises:
        UserError: It is none, or out of range; true and false are none.
    """
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not allowed.holds(found):
        raise UserError(f"{what} must be {allowed} but got {value!r}; mend it, or leave it out")
    return int(found) if allowed.whole else found


def _value(name: str, value: Any, where: str) -> Any:
    if isinstance(value, str) and value.startswith(REFERENCE):
        return value  # not set, in a dry run
    if name in RANGES:
        found = number(value, RANGES[name], f"{where}: {name}")
        # As it was written, where it was a number: 0 and 0.0 are different settings in a journal's keys.
        return value if isinstance(value, int) or (isinstance(value, float) and not RANGES[name].whole) else found
    if name == "tiered_pricing":
        return [typed(tier, where) if isinstance(tier, Mapping) else tier for tier in value]
    if PRICE.search(name) and not isinstance(value, Mapping | list):
        return number(value, FROM_ZERO, f"{where}: {name}")
    return _stop(value, where) if name == "stop" else value


def _stop(value: Any, where: str) -> Any:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise UserError(f"{where}: stop must be a text or a list of texts but got {value!r}; put it in quotes")
    return value
